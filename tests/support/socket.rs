//! A WebSocket that sees every frame as it comes, batches and Close codes too.

use std::{collections::VecDeque, time::Duration};

use edgewise_core::proto::{ChatMessage, Envelope, ErrorResponse, Hello, SyncResponse, envelope::Payload};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue, http::header},
};

/// Longer than anything here takes: only what never comes takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A socket about to be opened: with `edgewise.v1`, and the token as a subprotocol, unless told otherwise.
#[derive(Clone, Debug)]
#[must_use = "opened by `open`"]
pub struct Dial {
    url: String,
    channel: String,
    query: Vec<String>,
    protocols: Vec<String>,
    authorization: Option<String>,
    token: String,
}

impl Dial {
    pub(crate) fn new(url: &str, channel: &str, token: &str) -> Self {
        Self {
            url: url.replacen("http", "ws", 1),
            channel: channel.to_owned(),
            query: Vec::new(),
            protocols: vec!["edgewise.v1".to_owned(), format!("bearer.{token}")],
            authorization: None,
            token: token.to_owned(),
        }
    }

    /// Asks for everything that changed after a revision.
    pub fn since(self, revision: u64) -> Self {
        self.query(&format!("since={revision}"))
    }

    /// With a parameter.
    pub fn query(mut self, parameter: &str) -> Self {
        self.query.push(parameter.to_owned());
        self
    }

    /// Offers these subprotocols and no others: the token then has to be elsewhere.
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|&protocol| protocol.to_owned()).collect();
        self
    }

    /// With the token in the `Authorization` header, and no subprotocol.
    pub fn token_in_header(mut self) -> Self {
        self.authorization = Some(format!("Bearer {}", self.token));
        self.protocols(&[])
    }

    /// With the token in the query, and no subprotocol.
    pub fn token_in_query(self) -> Self {
        let parameter = format!("token={}", self.token);
        self.query(&parameter).protocols(&[])
    }

    /// Opens the socket.
    pub async fn connect(self) -> Socket {
        self.try_connect().await.expect("the server accepts every socket")
    }

    /// Opens the socket of a server that may be gone.
    pub async fn try_connect(self) -> Result<Socket, Error> {
        let address = self.url.trim_start_matches("ws://").to_owned();
        let url = format!("{}/api/channels/{}/ws?{}", self.url, self.channel, self.query.join("&"));
        let mut request = url.trim_end_matches('?').into_client_request()?;
        let headers = request.headers_mut();
        let value = |text: &str| HeaderValue::from_str(text).expect("a header's value");
        if !self.protocols.is_empty() {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value(&self.protocols.join(", ")));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, value(authorization));
        }
        let opening = async { client_async(request, TcpStream::connect(address).await?).await };
        let (stream, response) = timeout(PATIENCE, opening).await.expect("the socket opens, or fails to")?;
        let protocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        let protocol = protocol.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (hello, pending) = (Hello::default(), VecDeque::new());
        Ok(Socket { stream, protocol, hello, pending, requests: 0, patience: PATIENCE })
    }

    /// Opens the socket, and reads the `hello` that comes first.
    pub async fn open(self) -> Socket {
        let mut socket = self.connect().await;
        match socket.next().await.payload {
            Some(Payload::Hello(hello)) => socket.hello = hello,
            other => panic!("the first frame is {other:?}"),
        }
        socket
    }

    /// Opens the socket, and expects that it is closed at once with this code.
    pub async fn refused(self, code: u16) {
        assert_eq!(self.connect().await.frame().await, Frame::Close(code));
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a test holds one at a time")]
pub enum Frame {
    /// A binary frame.
    Envelope(Envelope),
    /// A text frame.
    Text(String),
    /// The end, with its code; 1006 where the connection broke.
    Close(u16),
}

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The subprotocol that the server selected, empty where none.
    pub protocol: String,
    /// What the server said first.
    pub hello: Hello,
    pending: VecDeque<Envelope>,
    requests: u64,
    patience: Duration,
}

impl Socket {
    /// The same socket, for what takes long.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The next frame, whatever it is.
    pub async fn frame(&mut self) -> Frame {
        loop {
            let next = timeout(self.patience, self.stream.next()).await.expect("a frame, in time");
            return match next {
                Some(Ok(Message::Binary(bytes))) => {
                    Frame::Envelope(Envelope::decode(bytes).expect("an Envelope"))
                }
                Some(Ok(Message::Text(text))) => Frame::Text(text.to_string()),
                Some(Ok(Message::Close(close))) => {
                    Frame::Close(close.map_or(1005, |close| close.code.into()))
                }
                Some(Err(Error::Io(_) | Error::Protocol(_) | Error::ConnectionClosed)) | None => {
                    Frame::Close(1006)
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => panic!("the socket fails: {error}"),
            };
        }
    }

    /// The next envelope, out of a batch too.
    pub async fn next(&mut self) -> Envelope {
        self.try_next()
            .await
            .unwrap_or_else(|code| panic!("an envelope was expected, and came the end: {code}"))
    }

    /// The next envelope, out of a batch too, or the code with which the socket ended.
    pub async fn try_next(&mut self) -> Result<Envelope, u16> {
        loop {
            if let Some(envelope) = self.pending.pop_front() {
                return Ok(envelope);
            }
            match self.frame().await {
                Frame::Envelope(Envelope { payload: Some(Payload::EnvelopeBatch(batch)), .. }) => {
                    self.pending.extend(batch.envelopes);
                }
                Frame::Envelope(envelope) => return Ok(envelope),
                Frame::Close(code) => return Err(code),
                Frame::Text(text) => panic!("an envelope was expected, and came {text:?}"),
            }
        }
    }

    /// The next envelope that this takes; what comes before it is passed over.
    pub async fn find<T>(&mut self, mut take: impl FnMut(Envelope) -> Option<T>) -> T {
        loop {
            if let Some(found) = take(self.next().await) {
                return found;
            }
        }
    }

    /// The next mutation (120 to 124), with its revision.
    pub async fn change(&mut self) -> (u64, Payload) {
        self.find(|envelope| match envelope.payload {
            Some(
                payload @ (Payload::NewMessageEvent(_)
                | Payload::MessageEditedEvent(_)
                | Payload::MessageDeletedEvent(_)
                | Payload::ReactionAddedEvent(_)
                | Payload::ReactionRemovedEvent(_)),
            ) => {
                assert_eq!(envelope.request_id, "", "a push has no request id");
                Some((envelope.revision, payload))
            }
            _ => None,
        })
        .await
    }

    /// The next mutation, which is expected to be a new message.
    pub async fn message(&mut self) -> ChatMessage {
        match self.change().await {
            (revision, Payload::NewMessageEvent(event)) => {
                let message = event.message.expect("the event carries the message");
                assert_eq!(message.revision, revision);
                message
            }
            (_, other) => panic!("a new message was expected, and came {other:?}"),
        }
    }

    /// The mutations up to the message with this id, and not that one.
    pub async fn changes_until(&mut self, id: &str) -> Vec<(u64, Payload)> {
        let mut changes = Vec::new();
        loop {
            let (revision, payload) = self.change().await;
            match &payload {
                Payload::NewMessageEvent(event) if event.message.as_ref().is_some_and(|m| m.id == id) => {
                    return changes;
                }
                _ => changes.push((revision, payload)),
            }
        }
    }

    /// The present states up to `caught_up_event`, and its revision.
    pub async fn catch_up(&mut self) -> (Vec<ChatMessage>, u64) {
        let mut states = Vec::new();
        loop {
            match self.next().await.payload {
                Some(Payload::SyncResponse(SyncResponse { messages, .. })) => states.extend(messages),
                Some(Payload::CaughtUpEvent(event)) => return (states, event.revision),
                Some(Payload::PresenceUpdateEvent(_) | Payload::TypingEvent(_)) => {}
                other => panic!("while catching up came {other:?}"),
            }
        }
    }

    /// Sends a request, and gives the id that its answer will carry.
    pub async fn request(&mut self, payload: Payload) -> String {
        self.try_request(payload).await.expect("the socket is open")
    }

    /// The same on a socket that may have ended.
    pub async fn try_request(&mut self, payload: Payload) -> Result<String, Error> {
        self.requests += 1;
        let request_id = format!("request {}", self.requests);
        let envelope = Envelope { request_id: request_id.clone(), revision: 0, payload: Some(payload) };
        self.stream.send(Message::Binary(envelope.encode_to_vec().into())).await?;
        Ok(request_id)
    }

    /// The answer to a request. What else comes meanwhile stays for later.
    pub async fn answer(&mut self, request_id: &str) -> Payload {
        let mut others = VecDeque::new();
        let answer = loop {
            let envelope = self.next().await;
            if envelope.request_id == request_id {
                break envelope.payload.expect("an answer says something");
            }
            others.push_back(envelope);
        };
        others.append(&mut self.pending);
        self.pending = others;
        answer
    }

    /// Sends a request, and awaits its answer.
    pub async fn ask(&mut self, payload: Payload) -> Payload {
        let request_id = self.request(payload).await;
        self.answer(&request_id).await
    }

    /// Sends a request, and expects it to be refused.
    pub async fn refused(&mut self, payload: Payload, status: u32, code: &str) -> ErrorResponse {
        let request_id = self.request(payload).await;
        match self.answer(&request_id).await {
            Payload::Error(error) => {
                assert_eq!((error.code, error.error_code.as_str()), (status, code), "{error:?}");
                assert_eq!(error.request_id, request_id);
                assert!(!error.message.is_empty());
                assert_eq!(error.retryable, matches!(status, 429 | 503));
                error
            }
            other => panic!("{code} was expected, and came {other:?}"),
        }
    }

    /// Sends a text `ping`, and awaits the `pong`. What else comes meanwhile stays for later.
    pub async fn ping(&mut self) {
        self.send_text("ping").await;
        let mut others = VecDeque::new();
        loop {
            match self.frame().await {
                Frame::Text(text) if text == "pong" => break,
                Frame::Envelope(Envelope { payload: Some(Payload::EnvelopeBatch(batch)), .. }) => {
                    others.extend(batch.envelopes);
                }
                Frame::Envelope(envelope) => others.push_back(envelope),
                other => panic!("a pong was expected, and came {other:?}"),
            }
        }
        self.pending.append(&mut others);
    }

    /// Awaits the end, and expects its code. What comes before is passed over.
    pub async fn closed(mut self, code: u16) {
        loop {
            if let Frame::Close(seen) = self.frame().await {
                assert_eq!(seen, code);
                return;
            }
        }
    }

    /// Sends a binary frame.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) {
        self.stream.send(Message::Binary(bytes.into())).await.expect("the socket is open");
    }

    /// Sends a text frame.
    pub async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("the socket is open");
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
    }
}
