//! JSON Web Tokens like those that an application's own backend would sign.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Whom a token names and what it allows.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) name: Option<String>,
    pub(crate) is_owner: bool,
    pub(crate) is_admin: bool,
    pub(crate) scope: Option<String>,
    pub(crate) hours: u32,
}

impl Claims {
    fn check(&self) -> Result<()> {
        if !is_user_id(&self.sub) {
            return Err(Error::Usage(format!(
                "`--sub {}` is no user id, which is 1 to 128 letters, digits and _ . : @ - |, the first a letter or digit",
                self.sub
            )));
        }
        if self.name.as_ref().is_some_and(|name| !is_display_name(name)) {
            return Err(Error::Usage(
                "`--name` takes 1 to 64 characters, none a control character".to_owned(),
            ));
        }
        Ok(())
    }

    fn into_json(self, now: u64) -> Value {
        let mut claims = Map::new();
        let mut set = |claim: &str, value: Value| claims.insert(claim.to_owned(), value);
        set("sub", self.sub.into());
        if let Some(name) = self.name {
            set("name", name.into());
        }
        if self.is_owner {
            set("is_owner", true.into());
        }
        if self.is_admin {
            set("is_admin", true.into());
        }
        if let Some(scope) = self.scope {
            set("scope", scope.into());
        }
        set("iat", now.into());
        set("exp", (now + u64::from(self.hours) * 3600).into());
        claims.into()
    }
}

/// Signs the claims with HS256; `now` is in seconds since 1970.
pub(crate) fn mint(claims: Claims, secret: &str, now: u64) -> Result<String> {
    claims.check()?;
    let encode = |part: &Value| BASE64URL.encode(part.to_string());
    let header = serde_json::json!({"alg": "HS256", "typ": "JWT"});
    let signed = format!("{}.{}", encode(&header), encode(&claims.into_json(now)));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|error| Error::failed("The token could not be signed", error.to_string()))?;
    mac.update(signed.as_bytes());
    let signature = BASE64URL.encode(mac.finalize().into_bytes());
    Ok(format!("{signed}.{signature}"))
}

fn is_user_id(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "_.:@-|".contains(character))
}

fn is_display_name(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(sub: &str) -> Claims {
        Claims { sub: sub.to_owned(), hours: 12, ..Claims::default() }
    }

    fn payload(token: &str) -> Value {
        let part = token.split('.').nth(1).expect("a token has three parts");
        serde_json::from_slice(&BASE64URL.decode(part).expect("base64url")).expect("JSON")
    }

    #[test]
    fn signed_as_rfc_7515_prescribes() {
        // Made with another implementation: {"alg":"HS256","typ":"JWT"}, {"exp":4600,"iat":1000,"sub":"ana"}.
        let token = mint(Claims { hours: 1, ..claims("ana") }, "0123456789abcdef0123456789abcdef", 1_000);
        assert_eq!(
            token.expect("mints"),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQ2MDAsImlhdCI6MTAwMCwic3ViIjoiYW5hIn0.ewhTTCgjoj09kO7pc_KWJjEj7jYHF7rKB6YxvXnYEJ0"
        );
    }

    #[test]
    fn claims_are_there_only_where_asked_for() {
        let plain = mint(claims("ana"), "secret", 1_000).expect("mints");
        assert_eq!(payload(&plain), serde_json::json!({"sub": "ana", "iat": 1_000, "exp": 44_200}));

        let all = Claims {
            name: Some("Ana".to_owned()),
            is_owner: true,
            is_admin: true,
            scope: Some("gossip".to_owned()),
            ..claims("auth0:ana|1")
        };
        assert_eq!(
            payload(&mint(all, "secret", 0).expect("mints")),
            serde_json::json!({
                "sub": "auth0:ana|1", "name": "Ana", "is_owner": true, "is_admin": true, "scope": "gossip",
                "iat": 0, "exp": 43_200,
            })
        );
    }

    #[test]
    fn who_could_not_be_a_user_gets_no_token() {
        for sub in ["", "-ana", ".ana", "ana b", "añа", "ana/b", &"a".repeat(129)] {
            assert!(mint(claims(sub), "secret", 0).is_err(), "{sub:?}");
        }
        for sub in ["a", "9", "ana@example.com", &"a".repeat(128)] {
            assert!(mint(claims(sub), "secret", 0).is_ok(), "{sub:?}");
        }
        let nameless = Claims { name: Some(String::new()), ..claims("ana") };
        assert!(mint(nameless, "secret", 0).is_err());
    }
}
