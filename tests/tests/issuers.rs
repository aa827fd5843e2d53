//! Tokens of other issuers: taken by their keys, held to their audience, and worth no more than they are.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use edgewise_core::proto::envelope::Payload;
use edgewise_tests::{Issuer, KeyServer, Server, Token, ask, now};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

/// A server that takes tokens of these issuers.
fn server(issuers: &[Value]) -> Server {
    Server::with_vars(&[("JWT_ISSUERS", &json!(issuers).to_string())])
}

async fn status(server: &Server, token: &str) -> u16 {
    server.with_token(token).get("/api/channels").send().await.status
}

async fn refused(server: &Server, token: &str, code: &str) {
    server.with_token(token).get("/api/channels").send().await.refused(401, code);
}

#[tokio::test]
async fn their_users_do_what_users_do() {
    let issuers = [
        Issuer::ed25519("https://ed.example.com/", "e"),
        Issuer::p256("https://ec.example.com/", "c"),
        Issuer::rsa("https://rsa.example.com/", "r"),
    ];
    let entries: Vec<_> =
        issuers.iter().zip(["ed", "ec", "rsa"]).map(|(issuer, prefix)| issuer.inline(prefix)).collect();
    let server = server(&entries);
    let room = server.room().await;
    for (issuer, prefix) in issuers.iter().zip(["ed", "ec", "rsa"]) {
        let named = issuer.claims("auth0|ana", &json!({"name": "Ana"}));
        let ana = room.with_token(&issuer.sign(&issuer.header(), &named));
        let sent = ana.send("hello").await;
        assert_eq!((sent.sender_id, sent.sender_display_name), (format!("{prefix}:auth0|ana"), "Ana".into()));
        let me: Value = ana.get("/api/users/@me").send().await.expect(200).json();
        assert_eq!(me["id"], format!("{prefix}:auth0|ana"));

        // A socket takes them at its door, and for its refreshment.
        let mut socket = ana.connect().await;
        let later =
            issuer.sign(&issuer.header(), &issuer.claims("auth0|ana", &json!({"exp": now() + 3_600})));
        assert!(matches!(socket.ask(ask::refresh(&later)).await, Payload::Ack(_)));
        let Payload::Error(error) = socket.ask(ask::refresh(&issuer.token("ben"))).await else {
            panic!("that is another user's")
        };
        assert_eq!(error.error_code, "FORBIDDEN");
        let expired = issuer.sign(&issuer.header(), &issuer.claims("auth0|ana", &json!({"exp": now() - 60})));
        socket.refused(ask::refresh(&expired), 401, "TOKEN_EXPIRED").await;
        room.with_token(&expired).dial().refused(4001).await;
        let forged = format!("{}AAAA", &later[..later.len() - 4]);
        socket.refused(ask::refresh(&forged), 401, "TOKEN_INVALID").await;
        room.with_token(&forged).dial().refused(4002).await;
    }
    // The server's own tokens are as good as ever.
    room.user("ana").send("hi").await;
}

#[tokio::test]
async fn what_they_say_of_rights_means_nothing() {
    let issuer = Issuer::ed25519("https://id.example.com/", "k");
    let server = server(&[issuer.inline("idp")]);
    let claims = json!({"is_owner": true, "is_admin": true, "scope": "gossip", "fingerprint": "00"});
    let claims = issuer.claims("ana", &claims);
    let ana = server.with_token(&issuer.sign(&issuer.header(), &claims));
    ana.get("/api/channels").send().await.expect(200);
    ana.post("/api/channels").json(&json!({"name": "mine"})).send().await.refused(403, "FORBIDDEN");
    ana.post("/api/invites").json(&json!({})).send().await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn tokens_that_are_wrong_in_one_way_each() {
    let issuers = [
        Issuer::ed25519("https://ed.example.com/", "k"),
        Issuer::p256("https://ec.example.com/", "k"),
        Issuer::rsa("https://rsa.example.com/", "k"),
    ];
    let entries: Vec<_> =
        issuers.iter().zip(["ed", "ec", "rsa"]).map(|(issuer, prefix)| issuer.inline(prefix)).collect();
    let server = server(&entries);
    for issuer in &issuers {
        assert_eq!(status(&server, &issuer.token("ana")).await, 200);
        for (other, code) in [
            (json!({"exp": now() - 31}), "TOKEN_EXPIRED"),
            (json!({"exp": null}), "TOKEN_INVALID"),
            (json!({"nbf": now() + 40}), "TOKEN_INVALID"),
            (json!({"aud": "edgewise"}), "TOKEN_INVALID"),
            (json!({"aud": null}), "TOKEN_INVALID"),
            (json!({"iss": "https://nobody.example.com/"}), "TOKEN_INVALID"),
            (json!({"iss": null}), "TOKEN_INVALID"),
            (json!({"sub": "a b"}), "TOKEN_INVALID"),
            (json!({"sub": null}), "TOKEN_INVALID"),
        ] {
            refused(&server, &issuer.sign(&issuer.header(), &issuer.claims("ana", &other)), code).await;
        }
        let right = issuer.claims("ana", &json!({}));
        for algorithm in ["none", "HS256", "EdDSA", "ES256", "RS256", "RS512"] {
            if algorithm != issuer.algorithm() {
                let header = json!({"alg": algorithm, "kid": "k"});
                refused(&server, &issuer.sign(&header, &right), "TOKEN_INVALID").await;
            }
        }
        // One issuer's key for another's name.
        for other in issuers.iter().filter(|other| other.name != issuer.name) {
            let claims = other.claims("ana", &json!({}));
            refused(&server, &issuer.sign(&issuer.header(), &claims), "TOKEN_INVALID").await;
            refused(&server, &issuer.sign(&other.header(), &claims), "TOKEN_INVALID").await;
        }
        // What everyone may know of a key is nobody's secret.
        let jwk = issuer.jwk();
        let public = ["n", "x"].into_iter().find_map(|name| jwk[name].as_str()).unwrap();
        for secret in [public.to_owned(), jwk.to_string(), json!({"keys": [jwk]}).to_string()] {
            let token = Token::new("ana", &secret).claim("iss", issuer.name.as_str()).claim("aud", "chat");
            refused(&server, &token.mint(), "TOKEN_INVALID").await;
            let header = json!({"alg": "HS256", "kid": "k"});
            refused(&server, &token.header(header).mint(), "TOKEN_INVALID").await;
        }
        // Every bit of a signature counts, and its form does.
        let token = issuer.token("ana");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let bytes = BASE64.decode(signature).unwrap();
        for position in [0, 31, 32, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            refused(&server, &format!("{signed}.{}", BASE64.encode(changed)), "TOKEN_INVALID").await;
        }
        let zeros = vec![0; bytes.len()];
        for other in [&bytes[1..], &[], &[bytes.as_slice(), &[0]].concat(), &zeros] {
            refused(&server, &format!("{signed}.{}", BASE64.encode(other)), "TOKEN_INVALID").await;
        }
        refused(&server, &format!("{signed}."), "TOKEN_INVALID").await;
        refused(&server, signed, "TOKEN_INVALID").await;
    }
    // An issuer's user is not the server's own of the same name, whoever signs.
    let own = server.token("ed:ana").claim("iss", "https://ed.example.com/");
    refused(&server, &own.mint(), "TOKEN_INVALID").await;
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_wait_and_again_for_one_that_is_new() {
    let [first, second, never] = ["k1", "k2", "k3"].map(|key| Issuer::p256("https://id.example.com/", key));
    let keys = KeyServer::start(&[&first]);
    let server = server(&[first.at("idp", &keys.url)]);
    assert_eq!(keys.asked(), 0);
    let crowd = async |token: String| -> Vec<u16> {
        let asking = (0..50).map(|_| status(&server, &token));
        stream::iter(asking).buffer_unordered(50).collect().await
    };
    assert_eq!(crowd(first.token("ana")).await, [200; 50]);
    assert_eq!(keys.asked(), 1);

    keys.publish(&[&first, &second]);
    assert_eq!(crowd(second.token("ana")).await, [200; 50]);
    assert_eq!(keys.asked(), 2);
    // A name that never was one is not looked for over and over.
    assert_eq!(crowd(never.token("ana")).await, [401; 50]);
    refused(&server, &never.token("ana"), "TOKEN_INVALID").await;
    assert_eq!(keys.asked(), 2);
    assert_eq!(status(&server, &first.token("ben")).await, 200);
}

#[tokio::test]
async fn a_token_does_not_say_where_its_key_is() {
    let issuer = Issuer::ed25519("https://id.example.com/", "k");
    let mallory = Issuer::ed25519("https://id.example.com/", "m");
    let (keys, own) = (KeyServer::start(&[&issuer]), KeyServer::start(&[&mallory]));
    let server = server(&[issuer.at("idp", &keys.url)]);
    for (name, value) in
        [("jku", json!(own.url)), ("x5u", json!(own.url)), ("jwk", mallory.jwk()), ("iss", json!(own.url))]
    {
        let mut header = mallory.header();
        header[name] = value.clone();
        let claims = mallory.claims("ana", &json!({name: value}));
        refused(&server, &mallory.sign(&header, &claims), "TOKEN_INVALID").await;
        let claims = mallory.claims("ana", &json!({}));
        refused(&server, &mallory.sign(&header, &claims), "TOKEN_INVALID").await;
    }
    assert_eq!(own.asked(), 0);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_told_and_stops_nobody_else() {
    let issuer = Issuer::ed25519("https://id.example.com/", "k");
    let elsewhere = KeyServer::start(&[&issuer]);
    let redirection = format!("location: {}\r\n", elsewhere.url);
    let too_large = json!({"keys": [issuer.jwk()], "padding": "x".repeat(70_000)}).to_string();
    let silent = ("", "", "");
    for (status, header, body) in [
        ("500 Internal Server Error", "", "{}"),
        ("302 Found", redirection.as_str(), ""),
        ("200 OK", "", "no keys at all"),
        ("200 OK", "", too_large.as_str()),
        silent,
    ] {
        let keys = KeyServer::start(&[]);
        if status.is_empty() {
            keys.fall_silent();
        } else {
            keys.answer(status, header, body);
        }
        let server = server(&[issuer.at("idp", &keys.url)]);
        let ana = server.with_token(&issuer.token("ana"));
        let problem = ana.get("/api/channels").send().await.refused(503, "CONFIG_MISSING");
        assert!(problem["detail"].as_str().unwrap().contains("issuer"), "{problem}");
        server.user("ana").get("/api/channels").send().await.expect(200);
        // It is on record for who runs the server.
        assert!(server.logged().await.iter().any(|line| line.contains("https://id.example.com/")));
    }
    assert_eq!(elsewhere.asked(), 0, "no redirection is followed");
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_told_and_nobody_is_let_in() {
    let server = Server::with_vars(&[("JWT_ISSUERS", r#"[{"issuer": "https://id.example.com/"}]"#)]);
    let health = server.with_token("").get("/health").send().await.refused(503, "CONFIG_MISSING");
    assert!(health["detail"].as_str().unwrap().contains("JWT_ISSUERS"), "{health}");
    server.user("ana").get("/api/channels").send().await.refused(503, "CONFIG_MISSING");
}

#[tokio::test]
async fn no_token_reaches_the_logs() {
    let issuer = Issuer::ed25519("https://id.example.com/", "k");
    let keys = KeyServer::start(&[]);
    keys.answer("500 Internal Server Error", "", "");
    let vars = json!([issuer.at("idp", &keys.url)]).to_string();
    let server = Server::with_vars(&[("JWT_ISSUERS", &vars), ("SETUP_TOKEN", "a setup token of its own")]);
    let room = server.room().await;
    let (key, registered) = server.registered().await;
    let login = key.log_in(&server).await;
    let tokens = [
        room.token("ana").mint(),
        room.token("ana").expires_in(-120).mint(),
        room.token("ana").key("another key that is long enough for it").mint(),
        issuer.token("ana"),
        registered.token().to_owned(),
        login.access_token,
    ];
    for token in &tokens {
        let user = room.with_token(token);
        user.get("messages").send().await;
        user.post("messages").json(&json!({"content": "x"})).send().await;
        user.get(&format!("ws?token={token}")).send().await;
        let _ = user.dial().token_in_query().try_connect().await;
        let _ = user.dial().try_connect().await;
    }
    let mut setup = edgewise_tests::Key::new().registration(&server).await;
    setup["setup_token"] = "a setup token of its own".into();
    let setup = server.ask_auth("register", &setup).await.expect(201);
    let refresh = json!({"refresh_token": login.refresh_token});
    server.ask_auth("refresh", &refresh).await.expect(200);
    server.ask_auth("refresh", &refresh).await.refused(401, "CREDENTIALS_INVALID");

    let logged = server.logged().await.join("\n");
    assert!(logged.contains("cannot be fetched"), "logs are looked at: {logged}");
    let secrets = tokens.iter().map(String::as_str).chain([
        login.refresh_token.as_str(),
        "a setup token of its own",
        edgewise_tests::SECRET,
    ]);
    for secret in secrets {
        // Nor any part that would do.
        let end = secret.rsplit('.').next().unwrap();
        assert!(!logged.contains(end), "{logged}");
    }
    drop(setup);
    // What the platform logs of its own accord.
    let config = include_str!("../../wrangler.toml");
    for setting in ["redact_query_string = true", "invocation_logs = false"] {
        assert!(config.contains(setting), "{setting}");
    }
}
