//! Registering a key, logging in with it, staying logged in; and everything that is none of these.

use edgewise_tests::{Answer, Key, Login, Server, now};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

/// How many ask for one thing at once.
const CROWD: usize = 200;

/// The answers to all of these requests, made at once.
async fn all(requests: impl IntoIterator<Item = impl Future<Output = Answer>>) -> Vec<Answer> {
    stream::iter(requests).buffer_unordered(CROWD).collect().await
}

/// Expects that one was let in, and all others were refused alike.
fn one_of(answers: Vec<Answer>, status: u16, code: &str) {
    assert_eq!(answers.len(), CROWD);
    let (let_in, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| matches!(answer.status, 200 | 201));
    assert_eq!(let_in.len(), 1);
    for answer in refused {
        answer.refused(status, code);
    }
}

async fn refresh(server: &Server, token: &str) -> Answer {
    server.ask_auth("refresh", &json!({"refresh_token": token})).await
}

/// What is not the same in two refusals that are alike.
fn without_request_id(answer: Answer) -> Value {
    let mut problem = answer.refused(401, "CREDENTIALS_INVALID");
    problem["request_id"] = Value::Null;
    problem
}

#[tokio::test]
async fn a_key_registers_and_logs_in() {
    let server = Server::shared();
    let key = Key::new();
    let challenge = key.challenge(server).await;
    assert_eq!(challenge["challenge_bytes"].as_str().unwrap().len(), 64);
    let expires_in = challenge["expires_at"].as_u64().unwrap() - now() * 1_000;
    assert!((55_000..=61_000).contains(&expires_in), "{expires_in}");

    let registered = key.register(server).await;
    assert_eq!((registered.expires_in, registered.is_owner), (900, false));
    let id = uuid::Uuid::parse_str(&registered.user_id).unwrap();
    assert_eq!((id.get_version_num(), id.to_string()), (7, registered.user_id.clone()));
    let again = key.log_in(server).await;
    assert_eq!(again.user_id, registered.user_id);
    assert_ne!(again.refresh_token, registered.refresh_token);

    // Both tokens speak for the same user, and what they say carries the key.
    let room = server.room().await;
    for login in [&registered, &again] {
        let sent = room.with_token(&login.access_token).send("hello").await;
        assert_eq!((&sent.sender_id, sent.sender_display_name.as_str()), (&registered.user_id, "Ana"));
        assert_eq!(sent.sender_pubkey, Some(key.public()));
    }
    room.with_token(&again.access_token).connect().await;
}

#[tokio::test]
async fn an_access_token_carries_the_contracts_claims() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use sha2::{Digest as _, Sha256};
    let key = Key::new();
    let login = key.register(Server::shared()).await;
    let claims = login.access_token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let fingerprint = hex::encode(&Sha256::digest(key.signer().verifying_key().as_bytes())[..20]);
    let iat = claims["iat"].as_u64().unwrap();
    assert!(iat.abs_diff(now()) < 60);
    assert_eq!(
        claims,
        json!({"sub": login.user_id, "iat": iat, "exp": iat + 900, "fingerprint": fingerprint})
    );
}

#[tokio::test]
async fn a_key_is_registered_once() {
    let server = Server::shared();
    let key = Key::new();
    let bodies = all_bodies(CROWD, || key.registration(server)).await;
    one_of(all(bodies.iter().map(|body| server.ask_auth("register", body))).await, 409, "KEY_TAKEN");
    let rows =
        server.sql("SELECT count(*) AS n FROM users WHERE public_key = ?", json!([key.public()])).await;
    assert_eq!(rows[0]["n"], 1);
    key.log_in(server).await;
}

#[tokio::test]
async fn a_challenge_is_answered_once() {
    let server = Server::shared();
    let key = Key::new();
    let body = key.registration(server).await;
    let answers = all((0..CROWD).map(|_| server.ask_auth("register", &body))).await;
    one_of(answers, 401, "CREDENTIALS_INVALID");
    let body = key.login(server).await;
    let answers = all((0..CROWD).map(|_| server.ask_auth("verify", &body))).await;
    one_of(answers, 401, "CREDENTIALS_INVALID");
}

#[tokio::test]
async fn the_last_use_of_an_invite_is_used_once() {
    let server = Server::with_vars(&[("REGISTRATION", "invite")]);
    let body = json!({"max_uses": 1});
    let invite: Value = server.owner().post("/api/invites").json(&body).send().await.expect(201).json();
    let bodies = all_bodies(CROWD, || async {
        let mut body = Key::new().registration(&server).await;
        body["invite_code"] = invite["code"].clone();
        body
    });
    let bodies = bodies.await;
    one_of(all(bodies.iter().map(|body| server.ask_auth("register", body))).await, 403, "INVITE_INVALID");

    let body = Key::new().registration(&server).await;
    server.ask_auth("register", &body).await.refused(403, "INVITE_INVALID");
    let info: Value = server.with_token("").get("/api/info").send().await.expect(200).json();
    assert_eq!(info["registration"], "invite");
}

/// Bodies that need a challenge each, made many at a time.
async fn all_bodies<F: Future<Output = Value>>(count: usize, make: impl Fn() -> F) -> Vec<Value> {
    stream::iter(0..count).map(|_| make()).buffer_unordered(32).collect().await
}

#[tokio::test]
async fn logins_that_fail_are_alike() {
    let server = Server::shared();
    let (known, unknown) = (Key::new(), Key::new());
    known.register(server).await;
    let verify = async |body: &Value| without_request_id(server.ask_auth("verify", body).await);
    let unknown_key = verify(&unknown.login(server).await).await;
    let with = async |field: &str, value: Value| {
        let mut body = known.login(server).await;
        body[field] = value;
        body
    };
    let challenge = known.challenge(server).await;
    let sign = |purpose: &str, host: &str| {
        json!({
            "public_key": known.public(), "challenge_id": challenge["challenge_id"],
            "signature": known.sign(purpose, host, challenge["challenge_bytes"].as_str().unwrap()),
        })
    };
    let used = known.login(server).await;
    server.ask_auth("verify", &used).await.expect(200);
    let others = unknown.login(server).await;
    for wrong in [
        used,
        with("signature", "00".repeat(64).into()).await,
        with("signature", "ab".into()).await,
        with("signature", "no hex at all".into()).await,
        with("signature", others["signature"].clone()).await,
        with("challenge_id", others["challenge_id"].clone()).await,
        with("challenge_id", "x".into()).await,
        with("challenge_id", "'; DROP TABLE users; --".into()).await,
        with("public_key", unknown.public().into()).await,
        with("public_key", "zz".into()).await,
        sign("edgewise-register-v1", server.address()),
        sign("edgewise-login-v1", "another.example.com"),
        sign("edgewise-login-v1", ""),
        sign("edgewise-login-v2", server.address()),
    ] {
        assert_eq!(verify(&wrong).await, unknown_key, "{wrong}");
    }
    // None of these had used it up.
    server.ask_auth("verify", &sign("edgewise-login-v1", server.address())).await.expect(200);
}

#[tokio::test]
async fn challenges_are_signed_and_not_stored() {
    let server = Server::start();
    let rows =
        async || server.sql("SELECT count(*) AS n FROM used_challenges", json!([])).await[0]["n"].clone();
    let key = Key::new();
    for _ in 0..20 {
        key.challenge(&server).await;
        let body = key.login(&server).await;
        server.ask_auth("verify", &body).await.refused(401, "CREDENTIALS_INVALID");
    }
    assert_eq!(rows().await, 0);
    key.register(&server).await;
    assert_eq!(rows().await, 1);
}

#[tokio::test]
async fn a_login_is_one_batch_of_few_rows() {
    let server = Server::start();
    let key = Key::new();
    let cost = |answer: &Answer| answer.header("x-edgewise-cost").to_owned();
    let challenge = json!({"public_key": key.public()});
    assert_eq!(cost(&server.ask_auth("challenge", &challenge).await.expect(200)), "");
    let written = |answer: &Answer| {
        let cost = cost(answer);
        let (batches, rows) = cost.split_once(';').unwrap_or_default();
        assert_eq!(batches, "batches=1", "{cost}");
        rows.rsplit('=').next().and_then(|rows| rows.parse::<u32>().ok()).unwrap()
    };
    let registration = key.registration(&server).await;
    let registered = server.ask_auth("register", &registration).await.expect(201);
    // The user and their key, the challenge, the login and when it ends.
    assert_eq!(written(&registered), 5);
    let login = key.login(&server).await;
    assert_eq!(written(&server.ask_auth("verify", &login).await.expect(200)), 3);
    let token = registered.json::<Login>().refresh_token;
    assert!(written(&refresh(&server, &token).await.expect(200)) <= 3);
}

#[tokio::test]
async fn another_servers_challenge_is_none() {
    let server = Server::shared();
    let other = Server::with_vars(&[("JWT_SECRET", "another secret, and long enough for this")]);
    let key = Key::new();
    key.register(server).await;
    let challenge = key.challenge(&other).await;
    let bytes = challenge["challenge_bytes"].as_str().unwrap();
    let body = json!({
        "public_key": key.public(), "challenge_id": challenge["challenge_id"],
        "signature": key.sign("edgewise-login-v1", server.address(), bytes),
    });
    server.ask_auth("verify", &body).await.refused(401, "CREDENTIALS_INVALID");
}

#[tokio::test]
async fn keys_and_signatures_with_a_second_meaning_are_refused() {
    let server = Server::shared();
    // The points of small order, and a second spelling of one: a signature of zeros fits many a message.
    for key in [
        format!("01{}", "00".repeat(31)),
        format!("01{}80", "00".repeat(30)),
        format!("ec{}7f", "ff".repeat(30)),
        format!("ee{}7f", "ff".repeat(30)),
        "00".repeat(32),
        format!("{}80", "00".repeat(31)),
    ] {
        let body = json!({"public_key": key});
        server.ask_auth("challenge", &body).await.refused(400, "BODY_INVALID");
        let body = json!({
            "public_key": key, "challenge_id": "00".repeat(72), "display_name": "Ana",
            "signature": format!("01{}", "00".repeat(63)),
        });
        server.ask_auth("register", &body).await.refused(401, "CREDENTIALS_INVALID");
    }
    for wrong in ["", "00", &"zz".repeat(32), &"00".repeat(33)] {
        server.ask_auth("challenge", &json!({"public_key": wrong})).await.refused(400, "BODY_INVALID");
    }

    // S + L: the same signature to a verifier that does not look.
    let key = Key::new();
    key.register(server).await;
    let mut body = key.login(server).await;
    let mut signature = hex::decode(body["signature"].as_str().unwrap()).unwrap();
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    let right = body.clone();
    body["signature"] = hex::encode(signature).into();
    server.ask_auth("verify", &body).await.refused(401, "CREDENTIALS_INVALID");
    server.ask_auth("verify", &right).await.expect(200);
}

#[tokio::test]
async fn registrations_that_make_no_sense() {
    let server = Server::shared();
    let key = Key::new();
    for (name, status, code) in [
        (json!(""), 422, "NAME_INVALID"),
        (json!(" \t "), 422, "NAME_INVALID"),
        (json!("x".repeat(65)), 422, "NAME_INVALID"),
        (json!("two\nlines"), 422, "NAME_INVALID"),
        (json!(7), 400, "BODY_INVALID"),
        (Value::Null, 400, "BODY_INVALID"),
    ] {
        let mut body = key.registration(server).await;
        body["display_name"] = name;
        server.ask_auth("register", &body).await.refused(status, code);
    }
    for route in ["challenge", "register", "verify", "refresh", "logout"] {
        for body in [json!({}), json!([]), json!("x"), json!({"public_key": 1, "refresh_token": 1})] {
            server.ask_auth(route, &body).await.refused(400, "BODY_INVALID");
        }
        let nobody = server.with_token("");
        let path = format!("/api/auth/{route}");
        nobody.get(&path).send().await.refused(405, "METHOD_NOT_ALLOWED");
        nobody.post(&path).body("text/plain", "x").send().await.refused(415, "MEDIA_TYPE_UNSUPPORTED");
    }
    // A registration is signed as one.
    let mut body = key.login(server).await;
    body["display_name"] = "Ana".into();
    server.ask_auth("register", &body).await.refused(401, "CREDENTIALS_INVALID");

    let name = "O'Brien \"); DROP TABLE users; -- \\ {\"a\":1} ☃";
    let mut body = key.registration(server).await;
    body["display_name"] = name.into();
    let login: Login = server.ask_auth("register", &body).await.expect(201).json();
    let sent = server.room().await.with_token(&login.access_token).send("hi").await;
    assert_eq!(sent.sender_display_name, name);
}

#[tokio::test]
async fn logins_are_signed_for_the_public_host() {
    let server = Server::with_vars(&[("PUBLIC_HOST", "Chat.Example.com")]);
    let key = Key::new();
    let body = key.registration(&server).await;
    server.ask_auth("register", &body).await.refused(401, "CREDENTIALS_INVALID");
    let challenge = key.challenge(&server).await;
    let bytes = challenge["challenge_bytes"].as_str().unwrap();
    let signature = key.sign("edgewise-register-v1", "chat.example.com", bytes);
    let body = json!({
        "public_key": key.public(), "challenge_id": challenge["challenge_id"], "display_name": "Ana",
        "signature": signature,
    });
    server.ask_auth("register", &body).await.expect(201);
}

#[tokio::test]
async fn who_has_the_setup_token_is_the_first_owner_even_of_a_closed_server() {
    let server = Server::with_vars(&[("REGISTRATION", "closed"), ("SETUP_TOKEN", "the house is mine")]);
    let with = async |token: Option<&str>| {
        let mut body = Key::new().registration(&server).await;
        body["setup_token"] = token.into();
        server.ask_auth("register", &body).await
    };
    with(None).await.refused(403, "REGISTRATION_CLOSED");
    for wrong in ["the house is min", "the house is mine ", "x"] {
        with(Some(wrong)).await.refused(403, "SETUP_TOKEN_INVALID");
    }
    let answers = all((0..CROWD).map(|_| with(Some("the house is mine")))).await;
    let owner = answers.iter().find(|answer| answer.status == 201).map(Answer::json::<Login>);
    one_of(answers, 403, "SETUP_TOKEN_INVALID");
    let owner = owner.unwrap();
    assert!(owner.is_owner);
    let body = json!({"name": "owned"});
    server.with_token(&owner.access_token).post("/api/channels").json(&body).send().await.expect(201);
    with(Some("the house is mine")).await.refused(403, "SETUP_TOKEN_INVALID");
}

#[tokio::test]
async fn without_a_setup_token_there_is_none() {
    let server = Server::shared();
    for token in ["", "undefined", "null"] {
        let mut body = Key::new().registration(server).await;
        body["setup_token"] = token.into();
        let answer = server.ask_auth("register", &body).await;
        if token.is_empty() {
            assert!(!answer.expect(201).json::<Login>().is_owner);
        } else {
            answer.refused(403, "SETUP_TOKEN_INVALID");
        }
    }
}

#[tokio::test]
async fn what_an_owner_may_ends_with_the_database_and_not_with_the_token() {
    let server = Server::with_vars(&[("SETUP_TOKEN", "mine")]);
    let mut body = Key::new().registration(&server).await;
    body["setup_token"] = "mine".into();
    let owner: Login = server.ask_auth("register", &body).await.expect(201).json();
    let owner = server.with_token(&owner.access_token);
    let make = || owner.post("/api/channels").json(&json!({"name": "x"})).send();
    make().await.expect(201);
    server.sql("UPDATE users SET is_owner = 0", json!([])).await;
    make().await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_ends_its_login_when_it_comes_back() {
    let server = Server::shared();
    let key = Key::new();
    let (first, other) = (key.register(server).await, key.log_in(server).await);
    let second: Login = refresh(server, &first.refresh_token).await.expect(200).json();
    assert_eq!((&second.user_id, second.expires_in), (&first.user_id, 900));
    let third: Login = refresh(server, &second.refresh_token).await.expect(200).json();
    server.room().await.with_token(&third.access_token).send("still here").await;

    let spent = without_request_id(refresh(server, &first.refresh_token).await);
    for token in [&third.refresh_token, &second.refresh_token, "x", ""] {
        assert_eq!(without_request_id(refresh(server, token).await), spent);
    }
    // Another login of the same user goes on, and the key logs in again.
    refresh(server, &other.refresh_token).await.expect(200);
    key.log_in(server).await;
}

#[tokio::test]
async fn a_refresh_token_is_spent_by_one_of_many() {
    let server = Server::shared();
    let login = Key::new().register(server).await;
    let answers = all((0..CROWD).map(|_| refresh(server, &login.refresh_token))).await;
    let next = answers.iter().find(|answer| answer.status == 200).map(Answer::json::<Login>);
    one_of(answers, 401, "CREDENTIALS_INVALID");
    // Somebody has a copy, so the login has ended.
    refresh(server, &next.unwrap().refresh_token).await.refused(401, "CREDENTIALS_INVALID");
}

#[tokio::test]
async fn logging_out_ends_the_login() {
    let server = Server::shared();
    let key = Key::new();
    let (login, other) = (key.register(server).await, key.log_in(server).await);
    let body = json!({"refresh_token": login.refresh_token});
    let answer = server.ask_auth("logout", &body).await.expect(204);
    assert!(answer.body.is_empty());
    refresh(server, &login.refresh_token).await.refused(401, "CREDENTIALS_INVALID");
    server.ask_auth("logout", &body).await.expect(204);
    server.ask_auth("logout", &json!({"refresh_token": "never was one"})).await.expect(204);
    refresh(server, &other.refresh_token).await.expect(200);
}

#[tokio::test]
async fn who_is_banned_learns_it_by_proving_the_key() {
    let server = Server::shared();
    let key = Key::new();
    let login = key.register(server).await;
    let sql = "INSERT INTO bans (user_id, banned_by, created_at) VALUES (?, 'olga', 1)";
    server.sql(sql, json!([login.user_id])).await;
    server.ask_auth("verify", &key.login(server).await).await.refused(403, "BANNED");
    refresh(server, &login.refresh_token).await.refused(403, "BANNED");
    let mut forged = key.login(server).await;
    forged["signature"] = "00".repeat(64).into();
    server.ask_auth("verify", &forged).await.refused(401, "CREDENTIALS_INVALID");
    server.sql("DELETE FROM bans WHERE user_id = ?", json!([login.user_id])).await;
    refresh(server, &login.refresh_token).await.expect(200);
}

#[tokio::test]
async fn an_address_asks_ten_times_a_minute() {
    let server = Server::with_vars(&[("RATE_LIMIT_AUTH", "")]);
    let ask = |address: &str| {
        let body = json!({"public_key": Key::new().public()});
        let call = server.with_token("").post("/api/auth/challenge").json(&body);
        call.header("cf-connecting-ip", address).send()
    };
    // Another minute may begin meanwhile.
    let until_refused = async |address: &dyn Fn(u32) -> String| {
        for number in 0..=20 {
            let answer = ask(&address(number)).await;
            assert_eq!(answer.header("ratelimit-policy"), "\"auth\";q=10;w=60");
            if answer.status == 429 {
                assert!(number >= 10, "refused after {number}");
                return answer;
            }
            answer.expect(200);
        }
        panic!("21 requests passed")
    };
    let answer = until_refused(&|_| "203.0.113.7".into()).await;
    assert_eq!(answer.header("retry-after"), "60");
    assert_eq!(answer.header("ratelimit"), "\"auth\";r=0;t=60");
    answer.refused(429, "RATE_LIMITED");
    // Others go on; all of one network of IPv6 are one.
    ask("203.0.113.8").await.expect(200);
    until_refused(&|host| format!("2001:db8:1:2::{host:x}")).await.refused(429, "RATE_LIMITED");
    ask("2001:db8:1:3::1").await.expect(200);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_told_and_let_nobody_in() {
    let server = Server::with_vars(&[("REGISTRATION", "opne")]);
    let body = Key::new().registration(&server).await;
    let problem = server.ask_auth("register", &body).await.refused(503, "CONFIG_MISSING");
    assert!(problem["detail"].as_str().unwrap().contains("REGISTRATION"));
    server.with_token("").get("/health").send().await.refused(503, "CONFIG_MISSING");

    let server = Server::with_vars(&[("JWT_SECRET", "")]);
    for route in ["challenge", "register", "verify", "refresh", "logout"] {
        server.ask_auth(route, &json!({})).await.refused(503, "CONFIG_MISSING");
    }
}
