//! Twenty clients write while sockets are cut, objects are reset, and the server is killed: in the end all of them know
//! what is true, and what was acknowledged is.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use edgewise_client::{Client, Retry};
use edgewise_core::proto::{SyncResponse, envelope::Payload};
use edgewise_tests::{Room, Server, Socket, Store, User, ask};
use futures_util::future::{join, join_all};
use tokio::time::sleep;

const CLIENTS: usize = 20;
const STEPS: usize = 24;

/// One client: what it knows, and what the server acknowledged to it.
struct Member {
    number: usize,
    user: User,
    client: Client,
    store: Store,
    /// Its own messages, by id, with the content that the server acknowledged last.
    own: HashMap<String, String>,
}

impl Member {
    fn new(room: &Room<'_>, number: usize) -> Self {
        let patient = Retry {
            patience: Duration::from_secs(120),
            first: Duration::from_millis(50),
            longest: Duration::from_secs(1),
        };
        let id = format!("client{number}");
        let client = room.client(&id).with_retry(patient);
        Self { number, user: room.user(&id), client, store: Store::default(), own: HashMap::new() }
    }

    /// What it does in a step: mostly over its socket.
    fn next(&self, step: usize) -> Payload {
        let others = self.store.iter().filter(|message| !message.deleted);
        let target = others.min_by_key(|message| message.revision.wrapping_mul(31 + self.number as u64) % 97);
        let own = self.own.keys().min();
        let nonce = format!("{step}");
        let send = ask::send_once(&format!("{}:{step}", self.number), &nonce);
        match (step % 6, target, own) {
            (1 | 4, Some(target), _) => ask::react(&target.id, ["👍", "❤️"][step % 2]),
            (2, _, Some(own)) => ask::edit(own, &format!("edit {}:{step}", self.number)),
            (3, Some(target), _) => ask::unreact(&target.id, "👍"),
            (5, _, Some(own)) if self.own.len() > 2 => ask::delete(own),
            _ => send,
        }
    }

    fn acknowledged(&mut self, request: &Payload, answer: Payload) {
        match (request, answer) {
            (Payload::DeleteMessageRequest(request), _) => drop(self.own.remove(&request.message_id)),
            (_, Payload::Ack(ack)) => {
                if let Some(message) = ack.message.filter(|message| !message.deleted) {
                    self.own.insert(message.id, message.content);
                }
            }
            _ => {}
        }
    }

    /// Works through its steps over sockets that break, and learns what the others do meanwhile.
    async fn live(mut self, done: &AtomicUsize) -> Self {
        let mut step = 0;
        while step < STEPS {
            let Ok(socket) = self.user.dial().since(self.store.since).try_connect().await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            // Every so often the connection breaks by itself, with a request under way.
            let frames = 20 + 7 * self.number;
            self.session(socket, &mut step, frames, done).await;
        }
        self
    }

    async fn session(&mut self, mut socket: Socket, step: &mut usize, frames: usize, done: &AtomicUsize) {
        let mut request: Option<(String, Payload)> = None;
        for _ in 0..frames {
            if *step == STEPS {
                return;
            }
            if request.is_none() {
                if *step % 8 == 7 {
                    self.over_http(*step).await;
                    *step += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let payload = self.next(*step);
                let Ok(id) = socket.try_request(payload.clone()).await else { return };
                request = Some((id, payload));
            }
            let Ok(envelope) = socket.try_next().await else { return };
            let payload = envelope.payload.expect("an envelope says something");
            match request.take() {
                Some((id, asked)) if id == envelope.request_id => {
                    if let Payload::Error(error) = &payload {
                        assert!(matches!(error.code, 404 | 503), "{asked:?}: {error:?}");
                        if error.retryable {
                            continue;
                        }
                    }
                    self.acknowledged(&asked, payload);
                    *step += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                waiting => {
                    request = waiting;
                    self.store.apply(envelope.revision, payload);
                }
            }
        }
    }

    async fn over_http(&mut self, step: usize) {
        let channel = self.user.channel_id();
        let sent =
            self.client.send(channel, format!("{}:{step} over HTTP", self.number)).await.expect("sent");
        self.client.react(channel, &sent.message.id, "🎉").await.expect("reacted");
        self.own.insert(sent.message.id, sent.message.content);
    }

    async fn catch_up(&mut self) {
        let mut socket = self.user.dial().since(self.store.since).open().await;
        let (messages, revision) = socket.catch_up().await;
        self.store.apply(0, Payload::SyncResponse(SyncResponse { messages, revision, has_more: false }));
    }
}

#[tokio::test]
async fn twenty_clients_agree_in_the_end() {
    let server = Server::start();
    let room = server.room().await;
    let done = AtomicUsize::new(0);
    let clients = join_all((0..CLIENTS).map(|number| Member::new(&room, number).live(&done)));
    let disturbances = async {
        for tenth in 1..10 {
            while done.load(Ordering::Relaxed) < tenth * CLIENTS * STEPS / 10 {
                sleep(Duration::from_millis(1)).await;
            }
            if tenth % 3 == 0 {
                server.kill().await;
                server.restart().await;
            } else {
                server.reset_objects().await;
            }
        }
    };
    let (members, ()) = join(clients, disturbances).await;

    let truth = Store::fresh(&room.user("reader")).await;
    let mut sequences: Vec<u64> = truth.iter().map(|message| message.server_sequence).collect();
    sequences.sort_unstable();
    assert!(sequences.iter().copied().eq(1..=sequences.len() as u64), "{sequences:?}");
    for mut member in members {
        for (id, content) in &member.own {
            let kept = truth.get(id).unwrap_or_else(|| panic!("{content} is lost"));
            assert_eq!((&kept.content, kept.deleted), (content, false));
        }
        member.catch_up().await;
        assert_eq!(member.store.since, truth.since);
        assert_eq!(member.store.view(), truth.view(), "what client {} knows", member.number);
    }
}
