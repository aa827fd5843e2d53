//! The server under test.

use std::{
    collections::HashMap,
    env, fs,
    path::PathBuf,
    process,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::{Value, json};

use crate::{
    Room, Token, User,
    node::{Node, Plan},
};

/// The server's `JWT_SECRET`.
pub const SECRET: &str = "known to these tests and to the server that they start";

/// A running server with a database of its own.
///
/// Most tests share one, [`Server::shared`]; what kills it, or needs other settings, starts its own.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    url: String,
    node: Mutex<Option<Node>>,
}

impl Server {
    /// The one that lives as long as the tests do.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Server> = LazyLock::new(Server::start);
        &SHARED
    }

    /// One of the caller's own.
    #[must_use]
    pub fn start() -> Self {
        Self::with_vars(&[])
    }

    /// One with further settings; an empty one takes a setting away.
    #[must_use]
    pub fn with_vars(vars: &[(&str, &str)]) -> Self {
        Self::start_as(vars, false)
    }

    /// One whose log is kept, for [`Server::log`].
    #[must_use]
    pub fn keeping_log(vars: &[(&str, &str)]) -> Self {
        Self::start_as(vars, true)
    }

    fn start_as(vars: &[(&str, &str)], keeps_log: bool) -> Self {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let usual = [
            ("JWT_SECRET", SECRET),
            ("EXPOSE_COST", "true"),
            ("RATE_LIMIT_SEND", "off"),
            ("RATE_LIMIT_REACT", "off"),
            ("RATE_LIMIT_AUTH", "off"),
        ];
        let vars: HashMap<_, _> =
            usual.iter().chain(vars).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let vars = vars.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let state = env::temp_dir().join(format!("edgewise-test-{}-{number}", process::id()));
        let log = keeps_log.then(|| state.with_extension("log"));
        let plan = Plan { state, vars, log };
        let node = Node::start(&plan, 0);
        Self { plan, url: node.url.clone(), node: Mutex::new(Some(node)) }
    }

    /// Where it is: `http://127.0.0.1:41234`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the server has logged, and everything that it runs on.
    pub fn log(&self) -> String {
        let log = self.plan.log.as_ref().expect("the log is kept");
        fs::read_to_string(log).unwrap_or_default()
    }

    /// A path for a file that goes when the server does.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.plan.state.join(name)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// A token for a user, yet to be minted.
    #[allow(clippy::unused_self, reason = "reads as what it is: this server's token")]
    pub fn token(&self, sub: &str) -> Token {
        Token::new(sub, SECRET)
    }

    /// A user named `Ana` where the id is `ana`, who may what everyone may.
    pub fn user(&self, id: &str) -> User {
        User::new(self, id, self.token(id).name(&display_name(id)).mint())
    }

    /// A user with the owner's token.
    pub fn owner(&self) -> User {
        User::new(self, "olga", self.token("olga").name("Olga").owner().mint())
    }

    /// Whoever a token names, or nobody.
    pub fn with_token(&self, token: &str) -> User {
        User::new(self, "", token.to_owned())
    }

    /// A new public channel.
    pub async fn room(&self) -> Room<'_> {
        Room::open(self, false).await
    }

    /// A new private channel, of which only the owner is a member.
    pub async fn private_room(&self) -> Room<'_> {
        Room::open(self, true).await
    }

    /// A client of the library, that gives up at once.
    pub fn client(&self, id: &str) -> edgewise_client::Client {
        edgewise_client::Client::new(&self.url, self.user(id).token())
            .expect("the address is one")
            .with_retry(edgewise_client::Retry::NEVER)
    }

    /// Drops a channel's object from memory as soon as it rests, as the platform may. Its sockets hibernate. Gives
    /// whether it was in memory at all.
    pub async fn evict(&self, channel_id: &str) -> bool {
        self.ask(json!({"cmd": "evict", "channel": channel_id})).await == true
    }

    /// Resets every object in the middle of what it does, as a deploy would: requests and sockets break.
    pub async fn reset_objects(&self) {
        self.ask(json!({"cmd": "reset"})).await;
    }

    /// Runs a statement on the database, and gives its rows.
    pub async fn sql(&self, sql: &str, params: Value) -> Vec<Value> {
        let rows = self.ask(json!({"cmd": "sql", "sql": sql, "params": params})).await;
        rows.as_array().cloned().unwrap_or_default()
    }

    /// What the server has logged so far, a line each.
    pub async fn logged(&self) -> Vec<String> {
        let lines = self.ask(json!({"cmd": "logged"})).await;
        lines.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Kills everything at once, as a power cut would.
    pub async fn kill(&self) {
        let answer = self.running(|node| node.ask(json!({"cmd": "crash"})));
        assert!(answer.await.is_err(), "the server survived SIGKILL");
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Starts it again after [`Server::kill`], at the same address, on what its disk holds.
    pub async fn restart(&self) {
        let port = self.address().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let plan = self.plan.clone();
        let node = tokio::task::spawn_blocking(move || Node::start(&plan, port)).await.expect("it starts");
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
    }

    async fn ask(&self, command: Value) -> Value {
        let answer = self.running(|node| node.ask(command)).await.expect("the server is running");
        assert!(answer["error"].is_null(), "the harness fails: {}", answer["error"]);
        answer["result"].clone()
    }

    fn running<T>(&self, then: impl FnOnce(&mut Node) -> T) -> T {
        then(
            self.node.lock().unwrap_or_else(PoisonError::into_inner).as_mut().expect("the server is running"),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // What a killed process could not take along.
        let _ = fs::remove_dir_all(&self.plan.state);
        if let Some(log) = &self.plan.log {
            let _ = fs::remove_file(log);
        }
    }
}

pub(crate) fn display_name(id: &str) -> String {
    let (first, rest) = id.split_at(id.len().min(1));
    first.to_uppercase() + rest
}
