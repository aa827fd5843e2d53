//! A channel of a test's own, and who speaks in it.

use std::{future::ready, ops::Deref, time::Duration};

use edgewise_client::{Changes, LastRead, Message, Page};
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{
    Answer, Call, Server, http,
    server::display_name,
    socket::{Dial, Socket},
};

/// How long what alarms do may take, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);

/// A new channel, with the owner at hand.
#[derive(Debug)]
pub struct Room<'a> {
    server: &'a Server,
    /// The channel's id.
    pub id: String,
    /// Who made it.
    pub owner: User,
}

impl<'a> Room<'a> {
    pub(crate) async fn open(server: &'a Server, private: bool) -> Self {
        let owner = server.owner();
        let name = format!("room {}", Uuid::new_v4());
        let body = json!({"name": name, "private": private});
        let channel: Value = owner.post("/api/channels").json(&body).send().await.expect(201).json();
        let id = channel["id"].as_str().expect("a channel has an id").to_owned();
        Self { server, owner: owner.in_channel(&id), id }
    }

    /// The server it is on.
    pub fn server(&self) -> &'a Server {
        self.server
    }

    /// A user named `Ana` where the id is `ana`, in this channel.
    pub fn user(&self, id: &str) -> User {
        self.server.user(id).in_channel(&self.id)
    }

    /// Whoever a token names, in this channel.
    pub fn with_token(&self, token: &str) -> User {
        self.server.with_token(token).in_channel(&self.id)
    }

    /// A user whom nobody else is, and whom the server knows already.
    pub async fn known_user(&self) -> User {
        let id = format!("u{}", Uuid::new_v4());
        let sql = "INSERT INTO users (id, display_name, created_at) VALUES (?, ?, 1)";
        self.server.sql(sql, json!([id, display_name(&id)])).await;
        self.user(&id)
    }

    /// The id of such a user, with a role of these permissions.
    pub async fn user_with_role(&self, permissions: u32) -> String {
        let (user, role) = (self.known_user().await.id, format!("r{}", Uuid::new_v4()));
        let sql = "INSERT INTO roles (id, name, permissions) VALUES (?1, ?1, ?2)";
        self.server.sql(sql, json!([role, permissions])).await;
        self.server.sql("INSERT INTO user_roles (user_id, role_id) VALUES (?, ?)", json!([user, role])).await;
        user
    }

    /// Sends so many messages, many at once.
    pub async fn fill(&self, count: usize) {
        let sending =
            (1..=count).map(|number| async move { self.owner.send(&format!("message {number}")).await });
        stream::iter(sending).buffer_unordered(64).for_each(|_| ready(())).await;
    }

    /// Waits until a statement on the database gives these rows.
    pub async fn until(&self, sql: &str, params: Value, rows: Value) {
        let seen = async {
            while Value::from(self.server.sql(sql, params.clone()).await) != rows {
                sleep(TICK).await;
            }
        };
        timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{sql} never gave {rows}"));
    }

    /// Drops the channel's object from memory, where it is. Its sockets hibernate.
    pub async fn evict(&self) {
        self.server.evict(&self.id).await;
    }
}

/// Who speaks: a token, and the channel that they are in.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's id.
    pub id: String,
    http: reqwest::Client,
    url: String,
    token: String,
    channel: String,
}

impl User {
    pub(crate) fn new(server: &Server, id: &str, token: String) -> Self {
        let url = server.url().to_owned();
        Self { id: id.to_owned(), http: http::client(&url), url, token, channel: String::new() }
    }

    /// The same user in a channel.
    #[must_use]
    pub fn in_channel(mut self, channel_id: &str) -> Self {
        channel_id.clone_into(&mut self.channel);
        self
    }

    /// The channel that the user is in.
    pub fn channel_id(&self) -> &str {
        &self.channel
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request to a path of the server, or to one below the channel where it does not start with a slash.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let url = match path {
            path if path.starts_with('/') => format!("{}{path}", self.url),
            "" => format!("{}/api/channels/{}", self.url, self.channel),
            path => format!("{}/api/channels/{}/{path}", self.url, self.channel),
        };
        Call::new(&self.http, method, &url, &self.token)
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    /// A PATCH.
    pub fn patch(&self, path: &str) -> Call {
        self.call(Method::PATCH, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Tries to send what this body says.
    pub async fn try_send(&self, body: Value) -> Answer {
        self.post("messages").json(&body).send().await
    }

    /// Sends a message.
    pub async fn send(&self, content: &str) -> Message {
        self.try_send(json!({"content": content})).await.expect(201).json()
    }

    /// Sends so many messages, named by their numbers from 1.
    pub async fn send_many(&self, count: usize) -> Vec<Message> {
        let mut sent = Vec::with_capacity(count);
        for number in 1..=count {
            sent.push(self.send(&format!("message {number}")).await);
        }
        sent
    }

    /// Replaces a message's content.
    pub async fn edit(&self, message: &Message, content: &str) -> Message {
        let path = format!("messages/{}", message.id);
        self.put(&path).json(&json!({"content": content})).send().await.expect(200).json()
    }

    /// Deletes a message.
    pub async fn erase(&self, message: &Message) {
        self.delete(&format!("messages/{}", message.id)).send().await.expect(204);
    }

    /// Tries to react.
    pub async fn try_react(&self, message: &Message, emoji: &str) -> Answer {
        self.post(&format!("messages/{}/reactions", message.id)).json(&json!({"emoji": emoji})).send().await
    }

    /// Reacts.
    pub async fn react(&self, message: &Message, emoji: &str) -> Value {
        self.try_react(message, emoji).await.expect(201).json()
    }

    /// Tries to take a reaction back.
    pub async fn try_unreact(&self, message: &Message, emoji: &str) -> Answer {
        let emoji: String = emoji.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.delete(&format!("messages/{}/reactions/{emoji}", message.id)).send().await
    }

    /// Takes a reaction back.
    pub async fn unreact(&self, message: &Message, emoji: &str) {
        self.try_unreact(message, emoji).await.expect(204);
    }

    /// Reads a message.
    pub async fn read(&self, message: &Message) -> Message {
        self.get(&format!("messages/{}", message.id)).send().await.expect(200).json()
    }

    /// Reads a page of history: `before=5&limit=2`.
    pub async fn history(&self, query: &str) -> Page {
        self.get(&format!("messages?{query}")).send().await.expect(200).json()
    }

    /// Reads the whole history, page by page, oldest first.
    pub async fn whole_history(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut page = self.history("limit=100").await;
        loop {
            messages.append(&mut page.messages);
            let Some(oldest) = messages.last().filter(|_| page.has_more) else { break };
            page = self.history(&format!("limit=100&before={}", oldest.server_sequence)).await;
        }
        messages.reverse();
        messages
    }

    /// Reads one page of what changed after a revision.
    pub async fn changes(&self, since: u64) -> Changes {
        self.get(&format!("changes?since={since}")).send().await.expect(200).json()
    }

    /// Marks everything up to a sequence as read.
    pub async fn mark_read(&self, last_sequence: u64) -> LastRead {
        self.put("last-read").json(&json!({"last_sequence": last_sequence})).send().await.expect(200).json()
    }

    /// How far the user has read.
    pub async fn last_read(&self) -> LastRead {
        self.get("last-read").send().await.expect(200).json()
    }

    /// The channel, as the user sees it.
    pub async fn channel(&self) -> edgewise_client::Channel {
        self.get("").send().await.expect(200).json()
    }

    /// A socket about to be opened.
    pub fn dial(&self) -> Dial {
        Dial::new(&self.url, &self.channel, &self.token)
    }

    /// Opens a socket, and reads its `hello`.
    pub async fn connect(&self) -> Socket {
        self.dial().open().await
    }
}

impl Deref for Room<'_> {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server
    }
}
