//! Tokens of other issuers: which configurations make sense, which key a token is held to, and what it may say.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signer as _, SigningKey};
use edgewise_core::token::{
    Identity, TokenError,
    held::{Held, Next, TIMEOUT_MS},
    issuers::{Issuers, KeySource},
    keys::{CheckSignature, Keys, MAX_KEYS_BYTES, Material, Unverified},
};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://id.example.com/";

/// Ed25519 is checked without help.
struct NoHelp;

impl CheckSignature for NoHelp {
    async fn check(&self, key: &Material, _: &[u8], _: &[u8]) -> bool {
        panic!("{key:?} is not of Ed25519")
    }
}

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn jwk(signer: &SigningKey, kid: &str) -> Value {
    let x = BASE64.encode(signer.verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "alg": "EdDSA", "use": "sig"})
}

fn entry(prefix: &str, issuer: &str, keys: &[Value]) -> Value {
    json!({"issuer": issuer, "audience": "chat", "prefix": prefix, "jwks": {"keys": keys}})
}

fn issuers(entries: &Value) -> Issuers {
    Issuers::parse(&entries.to_string()).unwrap()
}

/// The one of these tests, with a key of seed 1.
fn ours() -> Issuers {
    issuers(&json!([entry("idp", ISSUER, &[jwk(&signer(1), "k1")])]))
}

fn sign(signer: &SigningKey, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = signer.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", BASE64.encode(signature))
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": "k1"})
}

/// Right claims, and these in their place: null takes one away.
fn claims(other: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": "chat", "sub": "ana", "exp": NOW + 60});
    let (Value::Object(other), Some(all)) = (other, claims.as_object_mut()) else { panic!("objects") };
    all.extend(other);
    all.retain(|_, value| !value.is_null());
    claims
}

fn verify(issuers: &Issuers, token: &str) -> Result<Identity, TokenError> {
    let token = Unverified::parse(token).ok_or(TokenError::Invalid)?;
    let (_, issuer) = issuers.of(&token).ok_or(TokenError::Invalid)?;
    let KeySource::Inline(keys) = issuer.keys() else { panic!("the keys are inline") };
    let key = keys.find(&token).ok_or(TokenError::Invalid)?;
    issuer.verify(&token, key, &NoHelp, NOW * 1_000).now_or_never().unwrap()
}

fn with(other: Value) -> Result<Identity, TokenError> {
    verify(&ours(), &sign(&signer(1), &header(), &claims(other)))
}

#[test]
fn a_users_id_carries_the_issuers_prefix_and_nothing_gives_rights() {
    let identity = with(json!({
        "name": " Ana\n", "is_owner": true, "is_admin": true, "scope": "gossip", "fingerprint": "00",
    }));
    let identity = identity.unwrap();
    assert_eq!(identity.user_id.as_str(), "idp:ana");
    assert_eq!(identity.display_name.as_deref(), Some("Ana"));
    assert_eq!(identity.expires_at_ms, (NOW + 60) * 1_000);
    assert!(!identity.is_owner && !identity.is_admin);
    assert_eq!((identity.scope, identity.fingerprint), (None, None));
    // Whatever form an issuer gives to what means nothing here.
    for other in
        [json!({"name": 7}), json!({"is_owner": "yes"}), json!({"scope": ["a"]}), json!({"nbf": NOW})]
    {
        assert!(with(other.clone()).is_ok(), "{other}");
    }
    assert!(with(json!({"aud": ["other", "chat"]})).is_ok());
    assert_eq!(with(json!({"sub": "auth0|5f7c"})).unwrap().user_id.as_str(), "idp:auth0|5f7c");
}

#[test]
fn claims_that_are_wrong() {
    for (wrong, error) in [
        (json!({"exp": NOW - 30}), TokenError::Expired),
        (json!({"exp": null}), TokenError::Invalid),
        (json!({"exp": "soon"}), TokenError::Invalid),
        (json!({"nbf": NOW + 31}), TokenError::Invalid),
        (json!({"aud": "edgewise"}), TokenError::Invalid),
        (json!({"aud": []}), TokenError::Invalid),
        (json!({"aud": null}), TokenError::Invalid),
        (json!({"aud": "chat "}), TokenError::Invalid),
        (json!({"iss": "https://id.example.com"}), TokenError::Invalid),
        (json!({"iss": null}), TokenError::Invalid),
        (json!({"iss": [ISSUER]}), TokenError::Invalid),
        (json!({"sub": null}), TokenError::Invalid),
        (json!({"sub": ""}), TokenError::Invalid),
        (json!({"sub": 7}), TokenError::Invalid),
        (json!({"sub": "a b"}), TokenError::Invalid),
        (json!({"sub": "a/b"}), TokenError::Invalid),
        (json!({"sub": "x".repeat(125)}), TokenError::Invalid),
    ] {
        assert_eq!(with(wrong.clone()), Err(error), "{wrong}");
    }
    // The same leeway as for other tokens.
    assert!(with(json!({"exp": NOW - 29, "nbf": NOW + 30})).is_ok());
    assert_eq!(with(json!({"sub": "x".repeat(124)})).unwrap().user_id.as_str().len(), 128);
}

#[test]
fn a_token_is_held_to_its_key_and_to_the_keys_algorithm() {
    let (right, issuers) = (claims(json!({})), ours());
    let signed = |header: Value| verify(&issuers, &sign(&signer(1), &header, &right));
    assert!(signed(header()).is_ok());
    assert!(signed(json!({"alg": "EdDSA"})).is_ok(), "there is but one key");
    for wrong in [
        json!({"alg": "none", "kid": "k1"}),
        json!({"alg": "HS256", "kid": "k1"}),
        json!({"alg": "ES256", "kid": "k1"}),
        json!({"alg": "RS256", "kid": "k1"}),
        json!({"alg": "eddsa", "kid": "k1"}),
        json!({"alg": "EdDSA", "kid": "k2"}),
        json!({"alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": false}),
        json!({"kid": "k1"}),
        json!({"alg": ["EdDSA"], "kid": "k1"}),
    ] {
        assert_eq!(signed(wrong.clone()), Err(TokenError::Invalid), "{wrong}");
    }
    // A key in the token itself, or an address of one, is nobody's.
    let own = json!({
        "alg": "EdDSA", "kid": "k1", "jwk": jwk(&signer(2), "k1"), "jku": "https://evil.example.com/jwks.json",
    });
    assert_eq!(verify(&issuers, &sign(&signer(2), &own, &right)), Err(TokenError::Invalid));
    assert!(verify(&issuers, &sign(&signer(1), &own, &right)).is_ok());
}

#[test]
fn no_bit_can_be_changed() {
    let (issuers, right) = (ours(), sign(&signer(1), &header(), &claims(json!({}))));
    for position in 0..right.len() {
        for other in ["A", "B", "_", "."] {
            let mut changed = right.clone();
            changed.replace_range(position..=position, other);
            assert!(changed == right || verify(&issuers, &changed).is_err(), "{changed}");
        }
    }
}

#[test]
fn issuers_do_not_speak_for_each_other() {
    let other = "https://other.example.com/";
    let issuers = issuers(&json!([
        entry("idp", ISSUER, &[jwk(&signer(1), "k1")]),
        entry("other", other, &[jwk(&signer(2), "k1")]),
    ]));
    let by = |seed: u8, iss: &str| {
        let token = sign(&signer(seed), &header(), &claims(json!({"iss": iss})));
        verify(&issuers, &token).map(|identity| identity.user_id.to_string())
    };
    assert_eq!(by(1, ISSUER).as_deref(), Ok("idp:ana"));
    assert_eq!(by(2, other).as_deref(), Ok("other:ana"));
    assert_eq!(by(1, other), Err(TokenError::Invalid));
    assert_eq!(by(2, ISSUER), Err(TokenError::Invalid));
    assert_eq!(by(1, "https://third.example.com/"), Err(TokenError::Invalid));
}

#[test]
fn keys_of_the_same_kind_are_told_apart_by_name() {
    let keys = [jwk(&signer(1), "k1"), jwk(&signer(2), "k2")];
    let issuers = issuers(&json!([entry("idp", ISSUER, &keys)]));
    let by = |seed: u8, header: Value| verify(&issuers, &sign(&signer(seed), &header, &claims(json!({}))));
    assert!(by(1, header()).is_ok());
    assert!(by(2, json!({"alg": "EdDSA", "kid": "k2"})).is_ok());
    assert!(by(2, header()).is_err());
    assert!(by(1, json!({"alg": "EdDSA"})).is_err(), "it could be of either");
}

#[test]
fn configurations_that_make_no_sense() {
    let key = || jwk(&signer(1), "k1");
    let right = || entry("idp", ISSUER, &[key()]);
    let changed = |name: &str, value: Value| {
        let mut entry = right();
        entry[name] = value;
        json!([entry])
    };
    let url = |url: &str| {
        let mut entry = changed("jwks_url", url.into());
        entry[0].as_object_mut().unwrap().remove("jwks");
        entry
    };
    let mut wrong = vec![
        json!({}),
        json!("x"),
        json!([1]),
        json!([{}]),
        changed("issuer", "".into()),
        changed("issuer", 7.into()),
        changed("audience", "".into()),
        changed("audience", Value::Null),
        changed("prefix", "".into()),
        changed("prefix", "a:b".into()),
        changed("prefix", "_a".into()),
        changed("prefix", "a b".into()),
        changed("prefix", Value::Null),
        changed("jwks", json!({"keys": []})),
        changed("jwks", json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
        changed("jwks", json!([key()])),
        changed("jwks", "{}".into()),
        changed("jwks", Value::Null),
        changed("jwks_url", "https://id.example.com/jwks.json".into()),
        changed("algorithm", "none".into()),
        json!([right(), right()]),
        json!([right(), entry("idp", "https://other.example.com/", &[key()])]),
        json!([right(), entry("other", ISSUER, &[key()])]),
        Value::Array(
            (0..33).map(|n| entry(&format!("p{n}"), &format!("https://{n}.example"), &[key()])).collect(),
        ),
    ];
    wrong.extend(
        [
            "",
            "https://",
            "http://id.example.com/jwks.json",
            "http://127.0.0.1.example.com/",
            "http://127.0.0.1@evil.example.com/",
            "http://localhost:80@evil.example.com/",
            "file:///etc/passwd",
            "//id.example.com/jwks.json",
        ]
        .map(url),
    );
    for wrong in wrong {
        let told = Issuers::parse(&wrong.to_string()).map_err(|error| error.to_string()).unwrap_err();
        assert!(!told.contains("example") && !told.contains("c2Vj"), "{told}");
    }
    for text in ["", "[", "null", "[object Object]"] {
        assert!(Issuers::parse(text).is_err(), "{text}");
    }
    for right in [
        json!([]),
        json!([right()]),
        url("https://id.example.com/jwks.json"),
        url("http://127.0.0.1:8080/jwks.json"),
        url("http://localhost/jwks.json"),
    ] {
        assert!(Issuers::parse(&right.to_string()).is_ok(), "{right}");
    }
}

#[test]
fn keys_that_cannot_be_used_are_left_out() {
    let sets = |key: Value| Keys::parse(json!({"keys": [key]}).to_string().as_bytes());
    let ed = |name: &str, value: Value| {
        let mut key = jwk(&signer(1), "k");
        key[name] = value;
        key
    };
    let coordinate = BASE64.encode([1; 32]);
    let (modulus, short) = (BASE64.encode([0xff; 256]), BASE64.encode([0xff; 128]));
    let rsa = |n: &str, e: &str| json!({"kty": "RSA", "n": n, "e": e});
    let point = |crv: &str, x: &str| json!({"kty": "EC", "crv": crv, "x": x, "y": coordinate});
    for wrong in [
        ed("use", "enc".into()),
        ed("alg", "HS256".into()),
        ed("alg", "RS256".into()),
        ed("key_ops", json!(["sign"])),
        ed("kty", "EC".into()),
        ed("crv", "X25519".into()),
        ed("x", "AA".into()),
        // Of small order.
        ed("x", format!("AQ{}", "A".repeat(41)).into()),
        ed("x", Value::Null),
        ed("kid", 7.into()),
        point("P-384", &coordinate),
        point("P-256", "AA"),
        json!({"kty": "EC", "crv": "P-256", "x": coordinate}),
        rsa(&short, "AQAB"),
        rsa(&modulus, "AQ"),
        rsa(&modulus, ""),
        rsa(&modulus, "AA"),
        rsa(&modulus, &"A".repeat(40)),
        rsa("", "AQAB"),
        rsa(&BASE64.encode([0xff; 1025]), "AQAB"),
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
        json!(7),
    ] {
        assert!(sets(wrong.clone()).is_err(), "{wrong}");
        // It is in nobody's way.
        let set = json!({"keys": [wrong, jwk(&signer(1), "k1")]});
        assert!(Keys::of(set).is_ok());
    }
    for right in [
        ed("key_ops", json!(["verify"])),
        ed("use", Value::Null),
        point("P-256", &coordinate),
        rsa(&modulus, "AQAB"),
        rsa(&modulus, "Aw"),
    ] {
        assert!(sets(right.clone()).is_ok(), "{right}");
    }
    let mut large = json!({"keys": [jwk(&signer(1), "k1")]}).to_string();
    large.push_str(&" ".repeat(MAX_KEYS_BYTES));
    assert!(Keys::parse(large.as_bytes()).is_err());
}

/// Keys as they were fetched.
fn fetched(names: &[&str]) -> Keys {
    let keys: Vec<_> = names.iter().map(|name| jwk(&signer(1), name)).collect();
    Keys::of(json!({"keys": keys})).unwrap()
}

#[test]
fn keys_are_fetched_when_they_are_needed_and_not_more_often() {
    let token = |kid: &str| sign(&signer(1), &json!({"alg": "EdDSA", "kid": kid}), &claims(json!({})));
    let (one, two, three) = (token("k1"), token("k2"), token("k3"));
    let [one, two, three] = [&one, &two, &three].map(|token| Unverified::parse(token).unwrap());
    let (minute, mut held) = (60_000, Held::default());
    let start = NOW * 1_000;

    // The first fetch: others wait for it, and it is tried again where nothing comes of it.
    assert_eq!(held.next(&one, start), Next::Fetch);
    assert_eq!(held.next(&one, start + 10), Next::Wait);
    held.answered(None, start + 20);
    assert_eq!(held.next(&one, start + 30), Next::Unavailable);
    assert_eq!(held.next(&one, start + 5_019), Next::Unavailable);
    assert_eq!(held.next(&one, start + 5_020), Next::Fetch);
    // A request that fetches and is gone does not stop the others for good.
    assert_eq!(held.next(&one, start + 5_020 + TIMEOUT_MS - 1), Next::Wait);
    assert_eq!(held.next(&one, start + 5_020 + TIMEOUT_MS), Next::Fetch);
    let now = start + 20_000;
    held.answered(Some(fetched(&["k1", "k9"])), now);
    assert!(matches!(held.next(&one, now), Next::Use(_)));

    // A key that is not known is looked for once a minute.
    assert_eq!(held.next(&two, now), Next::Fetch);
    assert_eq!(held.next(&two, now + 1), Next::Wait);
    assert!(matches!(held.next(&one, now + 1), Next::Use(_)), "who has a key waits for nobody");
    held.answered(Some(fetched(&["k1", "k2"])), now + 2);
    assert!(matches!(held.next(&two, now + 2), Next::Use(_)));
    for later in [3, 1_000, minute - 1] {
        assert_eq!(held.next(&three, now + later), Next::Unknown);
    }
    assert_eq!(held.next(&three, now + minute), Next::Fetch);
    held.answered(None, now + minute + 1);
    assert_eq!(held.next(&three, now + minute + 2), Next::Unknown);
    assert!(matches!(held.next(&one, now + minute + 2), Next::Use(_)), "a fetch that failed takes none away");

    // Known keys are fetched anew, and where that fails they do for an hour.
    let old = now + 11 * minute;
    assert_eq!(held.next(&one, old), Next::Fetch);
    assert!(matches!(held.next(&one, old + 1), Next::Use(_)));
    held.answered(None, old + 2);
    assert!(matches!(held.next(&one, old + 3), Next::Use(_)));
    assert_eq!(held.next(&one, old + 2 + minute), Next::Fetch);
    // One that took long is not made again at once.
    held.answered(None, old + 2 + minute + TIMEOUT_MS);
    assert!(matches!(held.next(&one, old + 3 + minute + TIMEOUT_MS), Next::Use(_)));
    let over = now + 61 * minute;
    assert_eq!(held.next(&one, over), Next::Fetch);
    held.answered(None, over + 1);
    assert_eq!(held.next(&one, over + 2), Next::Unavailable);
    // A key that is taken out of the set is worth nothing.
    assert_eq!(held.next(&one, over + 6_000), Next::Fetch);
    held.answered(Some(fetched(&["k2", "k9"])), over + 6_001);
    assert_eq!(held.next(&one, over + 6_002), Next::Fetch);
    held.answered(Some(fetched(&["k2", "k9"])), over + 6_003);
    assert_eq!(held.next(&one, over + 6_004), Next::Unknown);
}

proptest! {
    #[test]
    fn any_text_is_no_token(text in ".{0,300}") {
        prop_assert!(verify(&ours(), &text).is_err());
        let header = BASE64.encode(header().to_string());
        let payload = BASE64.encode(claims(json!({})).to_string());
        let forged = format!("{header}.{payload}.{text}");
        prop_assert!(verify(&ours(), &forged).is_err());
    }

    #[test]
    fn any_text_is_a_configuration_or_none(text in ".{0,300}") {
        prop_assert!(Issuers::parse(&text).map_or(true, |issuers| issuers.is_empty()));
    }
}
