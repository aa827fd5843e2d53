//! Who registers, logs in and stays logged in, over a real SQLite: what races for one thing is settled by the batch.

mod support;

use std::cell::Cell;

use ed25519_dalek::{Signer as _, SigningKey};
use edgewise_core::{
    identity::{
        CHALLENGE_LIFETIME_MS, Challenges, Claim, Entry, Login, NewUser, Proof, Purpose, REFRESH_LIFETIME_MS,
        RefreshToken, log_in, log_out, register, renew,
    },
    ids::UserId,
    names::DisplayName,
    problem::{Code, Problem},
    token::Verifier,
};
use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};
use support::sqlite::Sqlite;

const NOW: u64 = 1_700_000_000_000;
const HOST: &str = "chat.example.com";
const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
/// How many ask for one thing at once.
const CROWD: usize = 200;

/// A server, whose random numbers are counted.
struct World {
    database: Sqlite,
    numbers: Cell<u64>,
}

impl World {
    fn new() -> Self {
        Self { database: Sqlite::new(), numbers: Cell::new(0) }
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        self.numbers.set(self.numbers.get() + 1);
        let digest = Sha256::digest(self.numbers.get().to_be_bytes());
        std::array::from_fn(|index| digest[index % digest.len()] ^ u8::try_from(index).unwrap())
    }

    fn signer(&self) -> SigningKey {
        SigningKey::from_bytes(&self.random())
    }

    fn proof(&self, signer: &SigningKey, purpose: Purpose) -> Proof {
        let public_key = hex::encode(signer.verifying_key().as_bytes());
        let key = edgewise_core::signature::PublicKey::parse(&public_key).unwrap();
        let challenges = Challenges::new(SECRET);
        let (challenge_id, challenge) = challenges.issue(&key, self.random(), NOW);
        let signature = hex::encode(signer.sign(&purpose.message(HOST, &challenge.bytes)).to_bytes());
        let claim = Claim { public_key: &public_key, challenge_id: &challenge_id, signature: &signature };
        challenges.proven(&claim, purpose, HOST, NOW).unwrap()
    }

    fn token(&self) -> RefreshToken {
        RefreshToken::new(self.random())
    }

    fn register(&self, proof: &Proof, entry: Entry) -> Result<(Login, RefreshToken), Problem> {
        let id = UserId::parse(&format!("user{}", hex::encode(self.random::<8>()))).unwrap();
        let user = NewUser { id, display_name: DisplayName::parse("Ana").unwrap(), entry };
        let token = self.token();
        now(register(&self.database, proof, &user, &token, NOW)).map(|login| (login, token))
    }

    /// A registered user, and the refresh token of their first login.
    fn user(&self) -> (SigningKey, Login, RefreshToken) {
        let signer = self.signer();
        let (login, token) = self.register(&self.proof(&signer, Purpose::Register), Entry::Open).unwrap();
        (signer, login, token)
    }

    fn log_in(&self, proof: &Proof, time: u64) -> Result<Login, Problem> {
        now(log_in(&self.database, proof, &self.token(), time))
    }

    fn renew(&self, token: &RefreshToken, time: u64) -> Result<RefreshToken, Problem> {
        let next = token.next(self.random());
        now(renew(&self.database, token, &next, time)).map(|_| next)
    }

    fn invite(&self, code: &str, max_uses: &str, expires_at: &str) {
        self.database.execute(&format!(
            "INSERT INTO invites (code, created_by, created_at, max_uses, expires_at)
             VALUES ('{code}', 'olga', {NOW}, {max_uses}, {expires_at})"
        ));
    }

    fn ban(&self, login: &Login, expires_at: &str) {
        self.database.execute(&format!(
            "INSERT INTO bans (user_id, banned_by, created_at, expires_at) VALUES ('{}', 'olga', {NOW}, {expires_at})",
            login.user_id
        ));
    }

    fn rows(&self) -> [u64; 3] {
        ["users", "used_challenges", "logins"]
            .map(|table| self.database.number(&format!("SELECT count(*) FROM {table}")))
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("SQLite never waits")
}

fn code<T>(result: Result<T, Problem>) -> Option<Code> {
    result.err().map(|problem| problem.code)
}

/// Expects that one of all succeeded, and that all others were refused alike.
fn one_of<T>(results: impl IntoIterator<Item = Result<T, Problem>>, refused: Code) {
    let codes: Vec<_> = results.into_iter().map(code).collect();
    assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 1);
    assert!(codes.iter().flatten().all(|code| *code == refused), "{codes:?}");
}

#[test]
fn a_key_is_registered_once() {
    let world = World::new();
    let signer = world.signer();
    let proofs: Vec<_> = (0..CROWD).map(|_| world.proof(&signer, Purpose::Register)).collect();
    one_of(proofs.iter().map(|proof| world.register(proof, Entry::Open)), Code::KeyTaken);
    assert_eq!(world.rows(), [1, 1, 1]);
}

#[test]
fn a_challenge_registers_once() {
    let world = World::new();
    let proof = world.proof(&world.signer(), Purpose::Register);
    one_of((0..CROWD).map(|_| world.register(&proof, Entry::Open)), Code::CredentialsInvalid);
    assert_eq!(world.rows(), [1, 1, 1]);
}

#[test]
fn a_challenge_admits_once() {
    let world = World::new();
    let (signer, login, _) = world.user();
    let proof = world.proof(&signer, Purpose::Login);
    one_of((0..CROWD).map(|_| world.log_in(&proof, NOW)), Code::CredentialsInvalid);
    assert_eq!(world.rows(), [1, 2, 2]);
    assert_eq!(world.log_in(&world.proof(&signer, Purpose::Login), NOW), Ok(login));
}

#[test]
fn the_last_use_of_an_invite_is_used_once() {
    let world = World::new();
    world.invite("three", "3", "NULL");
    let enter = || {
        let proof = world.proof(&world.signer(), Purpose::Register);
        world.register(&proof, Entry::Invite("three".into()))
    };
    assert_eq!((code(enter()), code(enter())), (None, None));
    one_of((0..CROWD).map(|_| enter()), Code::InviteInvalid);
    assert_eq!(world.database.number("SELECT uses FROM invites"), 3);
    assert_eq!(world.rows(), [3, 3, 3]);
}

#[test]
fn an_invite_is_not_spent_by_who_is_refused() {
    let world = World::new();
    world.invite("one", "1", "NULL");
    let (signer, ..) = world.user();
    let known = world.proof(&signer, Purpose::Register);
    assert_eq!(code(world.register(&known, Entry::Invite("one".into()))), Some(Code::KeyTaken));
    assert_eq!(world.database.number("SELECT uses FROM invites"), 0);
    // Nor is the challenge.
    assert_eq!(world.database.number("SELECT count(*) FROM used_challenges"), 1);
}

#[test]
fn invites_end() {
    let world = World::new();
    world.invite("past", "NULL", &NOW.to_string());
    world.invite("future", "NULL", &(NOW + 1).to_string());
    for (invite, refused) in
        [("past", Some(Code::InviteInvalid)), ("none", Some(Code::InviteInvalid)), ("future", None)]
    {
        let proof = world.proof(&world.signer(), Purpose::Register);
        assert_eq!(code(world.register(&proof, Entry::Invite(invite.into()))), refused, "{invite}");
    }
}

#[test]
fn there_is_one_first_owner() {
    let world = World::new();
    world.user();
    let proofs: Vec<_> = (0..CROWD).map(|_| world.proof(&world.signer(), Purpose::Register)).collect();
    let logins: Vec<_> = proofs.iter().map(|proof| world.register(proof, Entry::FirstOwner)).collect();
    assert!(logins.iter().flatten().all(|(login, _)| login.is_owner));
    one_of(logins, Code::SetupTokenInvalid);
    assert_eq!(world.database.number("SELECT count(*) FROM users WHERE is_owner"), 1);
}

#[test]
fn keys_that_are_nobodys_cost_nothing() {
    let world = World::new();
    let proof = world.proof(&world.signer(), Purpose::Login);
    assert_eq!(code(world.log_in(&proof, NOW)), Some(Code::CredentialsInvalid));
    assert_eq!(world.rows(), [0, 0, 0]);
}

#[test]
fn who_is_banned_is_told_so_and_not_let_in() {
    let world = World::new();
    let (signer, login, token) = world.user();
    world.ban(&login, &(NOW + 1_000).to_string());
    let proof = world.proof(&signer, Purpose::Login);
    assert_eq!(code(world.log_in(&proof, NOW)), Some(Code::Banned));
    assert_eq!(code(world.renew(&token, NOW)), Some(Code::Banned));
    assert_eq!(world.rows(), [1, 1, 1]);
    // The ban over, neither the challenge nor the token was spent.
    assert_eq!(world.log_in(&proof, NOW + 1_000), Ok(login));
    assert!(world.renew(&token, NOW + 1_000).is_ok());
}

#[test]
fn a_spent_refresh_token_ends_its_login_and_no_other() {
    let world = World::new();
    let (signer, login, first) = world.user();
    let other = world.token();
    now(log_in(&world.database, &world.proof(&signer, Purpose::Login), &other, NOW)).unwrap();
    let second = world.renew(&first, NOW).unwrap();
    let third = world.renew(&second, NOW).unwrap();
    assert_eq!(code(world.renew(&first, NOW)), Some(Code::CredentialsInvalid));
    for ended in [&first, &second, &third] {
        assert_eq!(code(world.renew(ended, NOW)), Some(Code::CredentialsInvalid));
    }
    let renewed = now(renew(&world.database, &other, &other.next([0; 32]), NOW));
    assert_eq!(renewed, Ok(login));
}

#[test]
fn a_refresh_token_is_spent_once() {
    let world = World::new();
    let (.., token) = world.user();
    one_of((0..CROWD).map(|_| world.renew(&token, NOW)), Code::CredentialsInvalid);
    // The second of them ended the login.
    assert_eq!(world.rows(), [1, 1, 0]);
}

#[test]
fn refresh_tokens_last_seven_days() {
    let world = World::new();
    let (.., token) = world.user();
    let second = world.renew(&token, NOW + REFRESH_LIFETIME_MS - 1).unwrap();
    let third = world.renew(&second, NOW + REFRESH_LIFETIME_MS).unwrap();
    assert_eq!(
        code(world.renew(&third, NOW + 2 * REFRESH_LIFETIME_MS)),
        Some(Code::CredentialsInvalid),
        "counted from when it was made"
    );
}

#[test]
fn logging_out_ends_the_login_by_any_of_its_tokens() {
    let world = World::new();
    let (.., first) = world.user();
    let second = world.renew(&first, NOW).unwrap();
    now(log_out(&world.database, &first)).unwrap();
    assert_eq!(code(world.renew(&second, NOW)), Some(Code::CredentialsInvalid));
    now(log_out(&world.database, &second)).unwrap();
}

#[test]
fn only_digests_are_stored() {
    let world = World::new();
    let (.., token) = world.user();
    let stored: String = world.database.value("SELECT id || token_digest FROM logins");
    let bytes = hex::encode({
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.decode(token.text()).unwrap()
    });
    assert!(!stored.contains(&bytes[..32]) && !stored.contains(&bytes[32..]));
}

#[test]
fn what_is_over_goes_in_pieces_and_not_before_its_time() {
    let world = World::new();
    let (signer, ..) = world.user();
    let proof = world.proof(&signer, Purpose::Login);
    world.log_in(&proof, NOW).unwrap();
    // A request that was on its way for long still finds that the challenge was used.
    let late = NOW + CHALLENGE_LIFETIME_MS + 4 * 60_000;
    for _ in 0..2 {
        assert_eq!(code(world.log_in(&proof, late)), Some(Code::CredentialsInvalid));
    }

    world.database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO used_challenges SELECT i, 'c' || i, 'l' FROM n",
    );
    world.database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO logins SELECT 'l' || i, (SELECT id FROM users), 'd', 1, i FROM n",
    );
    let mut left = Vec::new();
    for _ in 0..4 {
        assert!(code(world.log_in(&world.proof(&world.signer(), Purpose::Login), NOW)).is_some());
        left.push(world.rows());
    }
    assert_eq!(left, [[1, 32, 32], [1, 12, 12], [1, 2, 2], [1, 2, 2]]);
}

#[test]
fn an_access_token_says_who_and_not_what_they_may_do() {
    let world = World::new();
    let proof = world.proof(&world.signer(), Purpose::Register);
    let (login, _) = world.register(&proof, Entry::FirstOwner).unwrap();
    let token = login.access_token(SECRET, NOW).unwrap();
    let identity = Verifier::new(SECRET).unwrap().verify(&token, NOW).unwrap();
    assert_eq!(identity.user_id, login.user_id);
    assert_eq!(identity.fingerprint, Some(login.public_key.fingerprint()));
    assert!(login.is_owner && !identity.is_owner && !identity.is_admin);
    assert_eq!(identity.expires_at_ms, NOW + 15 * 60_000);
}
