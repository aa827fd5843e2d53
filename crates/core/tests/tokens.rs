//! Tokens of every wrong kind, and the few right ones.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use edgewise_core::{
    ids::UserId,
    token::{Claims, Identity, LEEWAY_MS, MAX_BYTES, SecretTooShort, SignError, TokenError, Verifier, sign},
};
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const NOW: u64 = 1_800_000_000;
const NOW_MS: u64 = NOW * 1_000;

fn hs256(key: &[u8], message: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

fn hs384(key: &[u8], message: &str) -> Vec<u8> {
    Hmac::<Sha384>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

fn hs512(key: &[u8], message: &str) -> Vec<u8> {
    Hmac::<Sha512>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

/// Any header and any claims, signed as `signature` does.
fn token_by(signature: impl Fn(&[u8], &str) -> Vec<u8>, header: &str, claims: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let signature = BASE64.encode(signature(SECRET, &message));
    format!("{message}.{signature}")
}

fn token(claims: impl AsRef<[u8]>) -> String {
    token_by(hs256, HS256, claims)
}

fn verify(token: &str) -> Result<Identity, TokenError> {
    Verifier::new(SECRET).unwrap().verify(token, NOW_MS)
}

fn verify_claims(claims: impl AsRef<[u8]>) -> Result<Identity, TokenError> {
    verify(&token(claims))
}

/// The least that a token needs, and these claims.
fn with(extra: Value) -> Result<Identity, TokenError> {
    let mut claims = json!({"sub": "ana", "exp": NOW + 60});
    let Value::Object(extra) = extra else { panic!("claims are an object") };
    claims.as_object_mut().unwrap().extend(extra);
    verify_claims(claims.to_string())
}

fn ana() -> Identity {
    Identity {
        user_id: UserId::parse("ana").unwrap(),
        display_name: None,
        is_owner: false,
        is_admin: false,
        scope: None,
        fingerprint: None,
        expires_at_ms: (NOW + 60) * 1_000,
    }
}

fn signed() -> String {
    sign(SECRET, &Claims::new(ana().user_id, NOW, NOW + 60)).unwrap()
}

#[test]
fn what_is_signed_verifies() {
    assert_eq!(verify(&signed()), Ok(ana()));
    let claims = Claims {
        name: Some("Ana Maria".into()),
        fingerprint: Some("ab".repeat(20)),
        is_owner: true,
        is_admin: true,
        scope: Some("gossip".into()),
        ..Claims::new(ana().user_id, NOW, NOW + 60)
    };
    let identity = Identity {
        display_name: claims.name.clone(),
        fingerprint: claims.fingerprint.clone(),
        is_owner: true,
        is_admin: true,
        scope: claims.scope.clone(),
        ..ana()
    };
    assert_eq!(verify(&sign(SECRET, &claims).unwrap()), Ok(identity));
}

#[test]
fn another_backends_token_verifies() {
    let extra = json!({"iss": "shop", "iat": NOW, "jti": "1", "cart": {"items": [1, {"a": null}]}, "sid": 5});
    assert_eq!(with(extra), Ok(ana()));
    let null =
        json!({"nbf": null, "aud": null, "name": null, "is_owner": null, "scope": null, "fingerprint": null});
    assert_eq!(with(null), Ok(ana()));
}

#[test]
fn these_tests_sign_as_rfc_7515_does() {
    // Appendix A.1.
    let key = BASE64
        .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .unwrap();
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    assert_eq!(BASE64.encode(hs256(&key, message)), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

#[test]
fn secrets_have_32_bytes() {
    assert_eq!(Verifier::new(&SECRET[..31]).unwrap_err(), SecretTooShort);
    assert_eq!(
        sign(b"short", &Claims::new(ana().user_id, 0, 0)),
        Err(SignError::SecretTooShort(SecretTooShort))
    );
    assert!(Verifier::new(SECRET).is_ok());
    assert!(!format!("{:?}", Verifier::new(SECRET)).contains(&format!("{SECRET:?}")));
}

#[test]
fn another_key_is_refused_even_if_expired() {
    let other = b"another secret of at least 32 bytes";
    for exp in [NOW + 60, NOW - 60] {
        let token = sign(other, &Claims::new(ana().user_id, NOW, exp)).unwrap();
        assert_eq!(verify(&token), Err(TokenError::Invalid));
    }
}

#[test]
fn another_algorithm_is_refused() {
    let claims = json!({"sub": "ana", "exp": NOW + 60}).to_string();
    for alg in ["HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA", "none", "None", "", "hs256", "HS256 "] {
        let header = json!({"alg": alg}).to_string();
        for signature in [hs256, hs384, hs512] {
            assert_eq!(verify(&token_by(signature, &header, &claims)), Err(TokenError::Invalid), "{alg}");
        }
        let unsigned = token_by(|_, _| Vec::new(), &header, &claims);
        assert_eq!(verify(&unsigned), Err(TokenError::Invalid), "{alg}");
    }
    for signature in [hs384, hs512] {
        assert_eq!(verify(&token_by(signature, HS256, &claims)), Err(TokenError::Invalid));
    }
    for truncated in [0, 1, 16, 31] {
        let signature = |key: &[u8], message: &str| hs256(key, message)[..truncated].to_vec();
        assert_eq!(verify(&token_by(signature, HS256, &claims)), Err(TokenError::Invalid));
    }
}

#[test]
fn headers_that_are_none() {
    let claims = json!({"sub": "ana", "exp": NOW + 60}).to_string();
    for header in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256"} x"#,
        r#"{"alg":"HS256","typ":"\ud800"}"#,
        &format!(r#"{{"alg":"HS256","x":{}}}"#, "[".repeat(2_000)),
    ] {
        assert_eq!(verify(&token_by(hs256, header, &claims)), Err(TokenError::Invalid), "{header}");
    }
    let ignored = r#"{"typ":"at+jwt","alg":"HS256","kid":"1","jku":"https://evil.example","jwk":{"kty":"oct","k":"AA"}}"#;
    assert_eq!(verify(&token_by(hs256, ignored, &claims)), Ok(ana()));
}

#[test]
fn expiry() {
    let verifier = Verifier::new(SECRET).unwrap();
    let exp_ms = (NOW + 60) * 1_000;
    for (now, expected) in [
        (0, Ok(ana())),
        (exp_ms, Ok(ana())),
        (exp_ms + LEEWAY_MS - 1, Ok(ana())),
        (exp_ms + LEEWAY_MS, Err(TokenError::Expired)),
        (u64::MAX, Err(TokenError::Expired)),
    ] {
        assert_eq!(verifier.verify(&signed(), now), expected, "{now}");
    }
}

#[test]
fn exp_may_be_any_number() {
    let latest = (1 << 53) - 1;
    for (exp, expected) in [
        ("1800000060", Ok(NOW_MS + 60_000)),
        ("1800000060.0", Ok(NOW_MS + 60_000)),
        ("1.80000006e9", Ok(NOW_MS + 60_000)),
        ("1800000000.25", Ok(NOW_MS + 250)),
        ("18446744073709551615", Ok(latest)),
        ("18446744073709551616", Ok(latest)),
        ("1e300", Ok(latest)),
        ("1e-300", Err(TokenError::Expired)),
        ("0", Err(TokenError::Expired)),
        ("-0.0", Err(TokenError::Expired)),
        ("-1", Err(TokenError::Expired)),
        ("-1e300", Err(TokenError::Expired)),
        ("1e400", Err(TokenError::Invalid)),
        ("NaN", Err(TokenError::Invalid)),
        ("null", Err(TokenError::Invalid)),
        ("\"1800000060\"", Err(TokenError::Invalid)),
        ("true", Err(TokenError::Invalid)),
        ("[1800000060]", Err(TokenError::Invalid)),
    ] {
        let result = verify_claims(format!(r#"{{"sub":"ana","exp":{exp}}}"#));
        assert_eq!(result.map(|identity| identity.expires_at_ms), expected, "{exp}");
    }
    assert_eq!(verify_claims(r#"{"sub":"ana"}"#), Err(TokenError::Invalid));
}

#[test]
fn not_before() {
    for (nbf, expected) in [
        (json!(0), Ok(ana())),
        (json!(-5), Ok(ana())),
        (json!(NOW + 30), Ok(ana())),
        (json!(NOW + 31), Err(TokenError::Invalid)),
        (json!(1e300), Err(TokenError::Invalid)),
        (json!("0"), Err(TokenError::Invalid)),
    ] {
        assert_eq!(with(json!({"nbf": nbf})), expected, "{nbf}");
    }
}

#[test]
fn audience() {
    for right in [json!("edgewise"), json!(["edgewise"]), json!(["shop", "edgewise"])] {
        assert_eq!(with(json!({"aud": right})), Ok(ana()));
    }
    for wrong in [
        json!(""),
        json!("shop"),
        json!("Edgewise"),
        json!("edgewise "),
        json!([]),
        json!(["shop"]),
        json!(["edgewise", 5]),
        json!([["edgewise"]]),
        json!({"edgewise": true}),
        json!(5),
    ] {
        assert_eq!(with(json!({"aud": wrong})), Err(TokenError::Invalid), "{wrong}");
    }
}

#[test]
fn sub_is_a_user_id() {
    for right in ["ana", "auth0|5f7c", "01890a5d-ac96-774b-bcce-b302099a8057", &"a".repeat(128)] {
        assert_eq!(with(json!({"sub": right})).unwrap().user_id.as_str(), right);
    }
    for wrong in ["", " ana", "_ana", "ana/bob", "anä", "ana\0", "a b", &"a".repeat(129)] {
        assert_eq!(with(json!({"sub": wrong})), Err(TokenError::Invalid), "{wrong}");
    }
    for wrong in [json!(5), json!(null), json!(["ana"]), json!({}), json!(true)] {
        assert_eq!(with(json!({"sub": wrong})), Err(TokenError::Invalid), "{wrong}");
    }
    assert_eq!(verify_claims(json!({"exp": NOW + 60}).to_string()), Err(TokenError::Invalid));
}

#[test]
fn names_are_cleaned_not_refused() {
    let name = |name: &str| with(json!({"name": name})).unwrap().display_name;
    assert_eq!(name(" Ana\r\nMaria\0 ").as_deref(), Some("Ana  Maria"));
    assert_eq!(name(&"é".repeat(200)), Some("é".repeat(64)));
    assert_eq!(name("\0 \n"), None);
    assert_eq!(name(""), None);
}

#[test]
fn claims_of_another_type_are_refused() {
    for (claim, wrong) in [
        ("name", json!(5)),
        ("name", json!(["Ana"])),
        ("is_owner", json!("true")),
        ("is_owner", json!(1)),
        ("is_admin", json!({})),
        ("scope", json!(["gossip"])),
        ("fingerprint", json!(0)),
    ] {
        assert_eq!(with(json!({claim: wrong})), Err(TokenError::Invalid), "{claim}");
    }
}

#[test]
fn claims_that_are_none() {
    let exp = NOW + 60;
    for claims in [
        String::new(),
        "null".into(),
        format!(r#"["ana",{exp}]"#),
        format!(r#"{{"sub":"ana","exp":{exp}"#),
        format!(r#"{{"sub":"ana","exp":{exp}}} {{}}"#),
        format!(r#"{{"sub":"ana","exp":{exp},}}"#),
        format!(r#"{{"sub":"ana","sub":"bob","exp":{exp}}}"#),
        format!(r#"{{"sub":"ana","exp":1,"exp":{exp}}}"#),
        format!(r#"{{"sub":"ana","exp":{exp},"is_owner":false,"is_owner":true}}"#),
        format!(r#"{{"sub":"ana","exp":{exp},"name":"\ud800"}}"#),
        format!(r#"{{"sub":"ana","exp":{exp},"name":"\udc00\ud800"}}"#),
        format!(r#"{{"sub":"ana","exp":{exp},"x":{}}}"#, "[".repeat(2_000)),
    ] {
        assert_eq!(verify_claims(&claims), Err(TokenError::Invalid), "{claims}");
    }
    let mut not_utf8 = format!(r#"{{"exp":{exp},"sub":"ana","name":""#).into_bytes();
    not_utf8.extend(b"\xff\"}");
    assert_eq!(verify_claims(not_utf8), Err(TokenError::Invalid));
}

#[test]
fn strings_that_are_no_token() {
    let right = signed();
    let parts: Vec<&str> = right.split('.').collect();
    let (message, signature) = right.rsplit_once('.').unwrap();
    for wrong in [
        "",
        ".",
        "..",
        "...",
        "ana",
        message,
        &format!("{message}."),
        &format!("{right}."),
        &format!(".{right}"),
        &format!("{right}.{signature}"),
        &format!("{}.{right}", parts[0]),
        &format!("{}..{}", parts[0], parts[2]),
        &format!(".{}.{}", parts[1], parts[2]),
        &format!("{right}="),
        &format!("{right}\n"),
        &format!(" {right}"),
        &format!("Bearer {right}"),
        &right.replace('.', "%2E"),
        &format!("{message}.!{}", &signature[1..]),
        &format!("{message}.é{}", &signature[2..]),
    ] {
        assert_eq!(verify(wrong), Err(TokenError::Invalid), "{wrong}");
    }
}

#[test]
fn huge_tokens_are_not_looked_at() {
    let padded = |bytes: usize| with(json!({"x": "x".repeat(bytes)}));
    // Base64 makes four bytes of three.
    assert_eq!(padded(MAX_BYTES * 3 / 4 - 150), Ok(ana()));
    assert_eq!(padded(MAX_BYTES * 3 / 4), Err(TokenError::Invalid));
}

/// Neither another message nor another spelling of the same signature.
#[test]
fn no_letter_of_a_token_can_be_changed() {
    let right = signed();
    let verifier = Verifier::new(SECRET).unwrap();
    for at in 0..right.len() {
        for letter in (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').chain(*b"-_.=+/") {
            let mut changed = right.clone().into_bytes();
            changed[at] = letter;
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed == right || verifier.verify(&changed, NOW_MS).is_err(), "{changed}");
        }
    }
}

proptest! {
    #[test]
    fn no_string_verifies(text in any::<String>(), now in any::<u64>()) {
        prop_assert_eq!(Verifier::new(SECRET).unwrap().verify(&text, now), Err(TokenError::Invalid));
    }

    #[test]
    fn nothing_in_the_form_of_a_token_verifies(text in r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,60}){0,3}") {
        prop_assert_eq!(verify(&text), Err(TokenError::Invalid));
        let header = BASE64.encode(HS256);
        prop_assert_eq!(verify(&format!("{header}.{text}")), Err(TokenError::Invalid));
    }

    #[test]
    fn any_signed_bytes_will_do(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>(), now in any::<u64>()) {
        let verifier = Verifier::new(SECRET).unwrap();
        let _ = verifier.verify(&token(&claims), now);
        let _ = verifier.verify(&token_by(hs256, &String::from_utf8_lossy(&header), &claims), now);
    }

    #[test]
    fn any_number_is_a_time(exp in any::<f64>(), nbf in any::<i64>(), now in any::<u64>()) {
        let claims = format!(r#"{{"sub":"ana","exp":{exp:e},"nbf":{nbf}}}"#);
        if let Ok(identity) = Verifier::new(SECRET).unwrap().verify(&token(claims), now) {
            prop_assert!(identity.expires_at_ms.saturating_add(LEEWAY_MS) > now);
            prop_assert!(identity.expires_at_ms < 1 << 53);
        }
    }
}
