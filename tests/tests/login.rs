//! `edgewise login`: a key at the prompt, and a login that goes on by itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use edgewise_client::{Event, Login, Retry, Signer, Start};
use edgewise_tests::{
    Server, User,
    command::{Watch, edgewise},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Someone at a prompt, with a configuration folder of their own.
struct Person<'a> {
    server: &'a Server,
    folder: PathBuf,
    /// Without a token.
    user: User,
}

impl<'a> Person<'a> {
    fn new(server: &'a Server) -> Self {
        let folder = server.scratch(&format!("person-{}", Uuid::new_v4()));
        Self { server, folder, user: server.with_token("") }
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = edgewise(&self.user, arguments);
        command.env("EDGEWISE_CONFIG_DIR", &self.folder).env_remove("EDGEWISE_SETUP_TOKEN");
        command
    }

    async fn tries(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.expect("the command runs")
    }

    /// Runs a command, and gives the JSON lines that it prints.
    async fn runs(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.tries(&[arguments, &["--json"]].concat()).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "edgewise {}: {complaint}", arguments.join(" "));
        let printed = String::from_utf8(output.stdout).expect("text");
        let login = fs::read_to_string(self.file("login.json")).unwrap_or_default();
        for secret in ["access_token", "refresh_token"] {
            let kept: Value = serde_json::from_str(&login).unwrap_or_default();
            let secret = kept[secret].as_str().unwrap_or("nothing is kept");
            assert!(!printed.contains(secret) && !complaint.contains(secret), "{printed}{complaint}");
        }
        printed.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    async fn fails(&self, arguments: &[&str], told: &str) {
        let output = self.tries(arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {complaint}");
        assert!(complaint.contains(told), "{complaint}");
    }

    /// A file that is kept for the server, the one that this person knows.
    fn file(&self, name: &str) -> PathBuf {
        let servers = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        servers.map(|server| server.path()).next().unwrap_or_default().join(name)
    }

    fn login(&self) -> Login {
        serde_json::from_slice(&fs::read(self.file("login.json")).expect("a login is kept"))
            .expect("and is one")
    }

    /// Lets the access token have ended.
    fn let_time_pass(&self) {
        let mut login = self.login();
        login.access_token = self.server.token(&login.user_id).expires_in(-60).mint();
        fs::write(self.file("login.json"), serde_json::to_vec(&login).unwrap()).unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_key_is_made_registered_and_kept_from_others() {
    let server = Server::shared();
    let room = server.room().await;
    let ana = Person::new(server);
    ana.fails(&["channels"], "edgewise login").await;
    let told = ana.runs(&["login", "--name", "Ana"]).await;
    assert_eq!((&told[0]["display_name"], &told[0]["is_owner"]), (&json!("Ana"), &json!(false)));
    assert_eq!((mode(&ana.file("key")), mode(&ana.file("login.json"))), (0o600, 0o600));
    assert_eq!(mode(ana.file("key").parent().unwrap()), 0o700);

    ana.runs(&["send", &room.id, "by key"]).await;
    let sent = &room.owner.history("").await.messages[0];
    assert_eq!(
        (sent.sender_id.as_str(), sent.sender_display_name.as_str()),
        (told[0]["user_id"].as_str().unwrap(), "Ana")
    );
    assert_eq!(sent.sender_pubkey.as_deref(), told[0]["public_key"].as_str());
    assert!(sent.envelope.is_some(), "who logs in with a key signs with it");

    // The same key is the same user; what is kept is replaced.
    let before = ana.login();
    let again = ana.runs(&["login"]).await;
    assert_eq!(again, told);
    assert_ne!(ana.login().refresh_token, before.refresh_token);

    let refresh_token = ana.login().refresh_token;
    ana.runs(&["logout"]).await;
    assert!(!ana.file("login.json").exists() && ana.file("key").exists());
    let body = json!({"refresh_token": refresh_token});
    server.ask_auth("refresh", &body).await.refused(401, "CREDENTIALS_INVALID");
    ana.fails(&["channels"], "edgewise login").await;
    ana.fails(&["logout"], "not logged in").await;
    assert_eq!(ana.runs(&["login"]).await, told);
}

#[tokio::test]
async fn a_login_goes_on_by_itself() {
    let server = Server::shared();
    let room = server.room().await;
    let ana = Person::new(server);
    ana.runs(&["login", "--name", "Ana"]).await;
    let before = ana.login();
    ana.let_time_pass();
    ana.runs(&["channels"]).await;
    assert_ne!(ana.login().refresh_token, before.refresh_token);

    // Any number at once: one renews it, and the others see that.
    ana.let_time_pass();
    let runs = (0..4).map(|number| {
        let (ana, channel) = (&ana, room.id.as_str());
        async move { ana.runs(&["send", channel, &number.to_string()]).await }
    });
    futures_util::future::join_all(runs).await;
    assert_eq!(room.owner.history("").await.messages.len(), 4);
    let body = json!({"refresh_token": ana.login().refresh_token});
    server.ask_auth("refresh", &body).await.expect(200);

    // That has spent the one that is kept: the key logs in again.
    ana.let_time_pass();
    ana.runs(&["channels"]).await;
    assert_eq!(ana.login().user_id, before.user_id);

    // So it does for whoever listens meanwhile.
    ana.let_time_pass();
    let mut watch = Watch::of(ana.command(&["tail", &room.id, "-n", "1", "--json"]));
    let first = watch.next().await;
    assert_eq!(first["change"], "created");
    room.owner.send("still there").await;
    assert_eq!(watch.next().await["message"]["content"], "still there");
}

#[tokio::test]
async fn the_library_goes_on_with_a_login_over_a_live_socket() {
    let server = Server::shared();
    let room = server.room().await;
    let signer =
        Signer::new(&[Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat().try_into().unwrap());
    let client = server.client("nobody").with_token("").with_retry(Retry::PATIENT);
    let login = client.register(&signer, "Ana", &edgewise_client::Admission::default()).await.unwrap();
    let known = client.log_in(&signer).await.unwrap();
    assert_eq!(known.user_id, login.user_id);
    assert!(!format!("{login:?}").contains(&login.refresh_token));

    let expired = server.token(&login.user_id).expires_in(-60).mint();
    let ana = client.clone().with_login(Login { access_token: expired, ..login.clone() });
    let (live, mut events) = ana.live(&room.id).start(Start::Newest(1)).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::CaughtUp(_)) {}
    live.send("hello").await.unwrap();
    assert_eq!(room.owner.history("").await.messages[0].sender_id, login.user_id);
    assert_eq!(ana.me().await.unwrap().id, login.user_id);
    // The first refresh token was spent, so without a key that is the end of it.
    let stolen = client.renew(&login.refresh_token).await.unwrap_err();
    assert_eq!(stolen.code(), Some("CREDENTIALS_INVALID"));
    client.log_out(&known.refresh_token).await.unwrap();
    let renamed = ana.rename("Anna").await.unwrap();
    assert_eq!(
        (renamed.display_name.as_str(), ana.user(&renamed.id).await.unwrap()),
        ("Anna", renamed.clone())
    );
}

#[tokio::test]
async fn a_token_that_is_given_wins_and_signs_with_nobodys_key() {
    let server = Server::shared();
    let room = server.room().await;
    let ana = Person::new(server);
    ana.runs(&["login", "--name", "Ana"]).await;
    let token = server.token("ben").name("Ben").mint();
    let output = ana.command(&["send", &room.id, "by token"]).env("EDGEWISE_TOKEN", token).output().await;
    assert!(output.unwrap().status.success());
    let sent = &room.owner.history("").await.messages[0];
    assert_eq!((sent.sender_id.as_str(), &sent.envelope), ("ben", &None));
}

#[tokio::test]
async fn a_key_that_others_can_read_is_not_used() {
    let ana = Person::new(Server::shared());
    ana.runs(&["login", "--name", "Ana"]).await;
    fs::set_permissions(ana.file("key"), fs::Permissions::from_mode(0o644)).unwrap();
    ana.fails(&["login"], "chmod 600").await;
    ana.fails(&["channels"], "chmod 600").await;
    assert!(ana.file("key").exists());
}

#[tokio::test]
async fn the_first_owner_comes_in_by_the_setup_token_and_others_by_invite() {
    let server = Server::with_vars(&[("REGISTRATION", "invite"), ("SETUP_TOKEN", "the house is mine")]);
    let [olga, ana, ben] = [(); 3].map(|()| Person::new(&server));
    ana.fails(&["login", "--name", "Ana"], "INVITE_INVALID").await;
    let mut login = olga.command(&["login", "--name", "Olga"]);
    let output = login.env("EDGEWISE_SETUP_TOKEN", "the house is mine").output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("Olga, the owner"), "{printed}");

    let invite = olga.runs(&["admin", "invites", "create", "--uses", "1", "--expires-in", "1h"]).await;
    let code = invite[0]["code"].as_str().unwrap();
    assert!(invite[0]["expires_at"].as_u64() > invite[0]["created_at"].as_u64());
    ana.runs(&["login", "--name", "Ana", "--invite", code]).await;
    ben.fails(&["login", "--name", "Ben", "--invite", code], "INVITE_INVALID").await;
    ana.fails(&["admin", "invites", "create"], "FORBIDDEN").await;
    let listed = olga.runs(&["admin", "invites", "list"]).await;
    assert_eq!((listed.len(), &listed[0]["uses"]), (1, &json!(1)));
    olga.runs(&["admin", "invites", "delete", code]).await;
    olga.fails(&["admin", "invites", "delete", code], "INVITE_NOT_FOUND").await;
    assert_eq!(olga.runs(&["admin", "invites", "list"]).await, Vec::<Value>::new());
}
