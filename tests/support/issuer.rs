//! Others who issue tokens: their keys, and where they publish them.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::Signer as _;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use rsa::{
    RsaPrivateKey, pkcs1v15::SigningKey as RsaSigningKey, signature::SignatureEncoding as _,
    traits::PublicKeyParts as _,
};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::{Key, now};

/// Who issues tokens, with one key.
#[derive(Debug)]
pub struct Issuer {
    /// Its name, as tokens have it in `iss`.
    pub name: String,
    /// The name of its key.
    pub key_id: String,
    key: Private,
}

#[derive(Debug)]
enum Private {
    Ed25519(Key),
    P256(EcdsaKeyPair),
    Rsa(RsaPrivateKey),
}

impl Issuer {
    /// One that signs with Ed25519.
    #[must_use]
    pub fn ed25519(name: &str, key_id: &str) -> Self {
        Self { name: name.into(), key_id: key_id.into(), key: Private::Ed25519(Key::new()) }
    }

    /// One that signs with P-256.
    #[must_use]
    pub fn p256(name: &str, key_id: &str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key is made");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("and read");
        Self { name: name.into(), key_id: key_id.into(), key: Private::P256(key) }
    }

    /// One that signs with RSA. All of these have the same key, which takes its time to make.
    #[must_use]
    pub fn rsa(name: &str, key_id: &str) -> Self {
        static KEY: LazyLock<RsaPrivateKey> =
            LazyLock::new(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key is made"));
        Self { name: name.into(), key_id: key_id.into(), key: Private::Rsa(KEY.clone()) }
    }

    /// The algorithm, as a token's header has it.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Private::Ed25519(_) => "EdDSA",
            Private::P256(_) => "ES256",
            Private::Rsa(_) => "RS256",
        }
    }

    /// The public key, as key sets have it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut key = match &self.key {
            Private::Ed25519(key) => {
                let x = BASE64.encode(key.signer().verifying_key().as_bytes());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
            Private::P256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y)})
            }
            Private::Rsa(key) => {
                let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
                json!({"kty": "RSA", "n": BASE64.encode(n), "e": BASE64.encode(e)})
            }
        };
        key["kid"] = self.key_id.clone().into();
        key
    }

    /// Its entry in `JWT_ISSUERS`, with the key.
    #[must_use]
    pub fn inline(&self, prefix: &str) -> Value {
        let keys = json!({"keys": [self.jwk()]});
        json!({"issuer": self.name, "audience": "chat", "prefix": prefix, "jwks": keys})
    }

    /// Its entry in `JWT_ISSUERS`, with an address.
    #[must_use]
    pub fn at(&self, prefix: &str, url: &str) -> Value {
        json!({"issuer": self.name, "audience": "chat", "prefix": prefix, "jwks_url": url})
    }

    /// A right header.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.key_id})
    }

    /// Right claims for a user, and these in their place; null takes one away.
    #[must_use]
    pub fn claims(&self, sub: &str, other: &Value) -> Value {
        let mut claims = json!({"iss": self.name, "aud": "chat", "sub": sub, "exp": now() + 600});
        let all = claims.as_object_mut().expect("an object");
        all.extend(other.as_object().cloned().unwrap_or_else(Map::new));
        all.retain(|_, value| !value.is_null());
        claims
    }

    /// A token for a user.
    #[must_use]
    pub fn token(&self, sub: &str) -> String {
        self.sign(&self.header(), &self.claims(sub, &json!({})))
    }

    /// Any token, signed with the key.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = [header, claims].map(|part| BASE64.encode(part.to_string())).join(".");
        let signature = match &self.key {
            Private::Ed25519(key) => key.signer().sign(signed.as_bytes()).to_vec(),
            Private::P256(key) => {
                key.sign(&SystemRandom::new(), signed.as_bytes()).expect("it signs").as_ref().to_vec()
            }
            Private::Rsa(key) => RsaSigningKey::<Sha256>::new(key.clone()).sign(signed.as_bytes()).to_vec(),
        };
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// A real HTTP server that publishes keys, and counts who asks.
#[derive(Debug)]
pub struct KeyServer {
    /// Where.
    pub url: String,
    asked: Arc<AtomicUsize>,
    /// The whole answer; None: never one.
    answer: Arc<Mutex<Option<String>>>,
}

impl KeyServer {
    /// One that publishes these.
    #[must_use]
    pub fn start(issuers: &[&Issuer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/jwks.json", listener.local_addr().expect("it is bound"));
        let server = Self { url, asked: Arc::default(), answer: Arc::default() };
        server.publish(issuers);
        let (asked, answer) = (Arc::clone(&server.asked), Arc::clone(&server.answer));
        // Ends with the tests.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
                thread::spawn(move || serve(stream, answer));
            }
        });
        server
    }

    /// Publishes these from now on.
    pub fn publish(&self, issuers: &[&Issuer]) {
        let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        self.answer("200 OK", "", &json!({"keys": keys}).to_string());
    }

    /// Answers with this from now on.
    pub fn answer(&self, status: &str, header: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// Answers nothing from now on.
    pub fn fall_silent(&self) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answer: Option<String>) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    match answer {
        Some(answer) => drop(stream.write_all(answer.as_bytes())),
        // Until who asked gives up.
        None => while matches!(stream.read(&mut request), Ok(1..)) {},
    }
}
