//! One WebSocket of one channel, frame by frame.
//!
//! A connection speaks the protocol and remembers nothing: batches come unpacked, the heartbeat beats while
//! [`Connection::next`] is awaited, and a Close frame ends it at once, whatever the TCP end does.

use std::{
    collections::VecDeque,
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use edgewise_core::proto::{Envelope, Hello, envelope::Payload};
use futures_util::{Sink, SinkExt, Stream, future::BoxFuture};
use prost::Message as _;
use reqwest::{Url, header};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self, Message as Frame,
        client::IntoClientRequest,
        handshake::client::Request,
        protocol::{CloseFrame, frame::coding},
    },
};

use crate::{Client, Close, CloseCode, Error, Problem};

const SUBPROTOCOL: &str = "edgewise.v1";
/// For the way to an open socket: TCP, TLS, handshake.
const OPENING: Duration = Duration::from_secs(15);
/// Until `hello` says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Where a connection carries its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenPlace {
    /// As the subprotocol `bearer.<JWT>`, as browsers must.
    #[default]
    Subprotocol,
    /// In the `Authorization` header.
    Header,
    /// As `?token=`.
    Query,
    /// Nowhere.
    Nowhere,
}

/// A connection about to be opened; awaiting it opens it.
///
/// ```no_run
/// # async fn example(client: edgewise_client::Client) -> Result<(), edgewise_client::Error> {
/// let mut connection = client.connect("the channel's id").since(41).await?;
/// let hello = connection.hello().await?;
/// while let Some(envelope) = connection.next().await {
///     println!("{:?}", envelope?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a connection is opened by awaiting this"]
pub struct Connect {
    client: Client,
    channel_id: String,
    query: Vec<(String, String)>,
    token: TokenPlace,
    batches: bool,
}

impl Client {
    /// A WebSocket to a channel.
    ///
    /// # Errors
    /// When awaited: [`Error::Network`] where the server is not reached, [`Error::Problem`] where it answers over
    /// HTTP. A refused token or channel is no error yet: the connection opens and ends with [`Error::Closed`].
    pub fn connect(&self, channel_id: &str) -> Connect {
        Connect {
            client: self.clone(),
            channel_id: channel_id.to_owned(),
            query: Vec::new(),
            token: TokenPlace::default(),
            batches: true,
        }
    }
}

impl Connect {
    /// Asks for everything that changed after this revision.
    pub fn since(self, revision: u64) -> Self {
        self.query("since", &revision.to_string())
    }

    /// A further parameter of the query, as it is.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Carries the token in another place than the subprotocol.
    pub fn token_in(mut self, place: TokenPlace) -> Self {
        self.token = place;
        self
    }

    /// Does not offer `edgewise.v1`: every event then comes in a frame of its own. The token then has to be in
    /// another place than the subprotocol, of which the server would select none.
    pub fn without_subprotocol(mut self) -> Self {
        self.batches = false;
        self
    }

    fn request(&self, url: &Url) -> Result<Request, Error> {
        let token = self.client.token();
        let mut url = url.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(&self.query);
            if self.token == TokenPlace::Query {
                query.append_pair("token", &token);
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        let mut request =
            url.as_str().into_client_request().map_err(|_| Error::Address(self.client.url.to_string()))?;
        let bearer = format!("bearer.{token}");
        let offered = [self.batches.then_some(SUBPROTOCOL), {
            (self.token == TokenPlace::Subprotocol).then_some(bearer.as_str())
        }];
        let offered = offered.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let headers = request.headers_mut();
        if !offered.is_empty() {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered.parse().map_err(|_| Error::Token)?);
        }
        if self.token == TokenPlace::Header {
            let value = format!("Bearer {token}").parse().map_err(|_| Error::Token)?;
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }

    async fn open(self) -> Result<Connection, Error> {
        let mut url = self.client.address(&["api", "channels", &self.channel_id, "ws"])?;
        let secure = url.scheme() == "https";
        let address = || Error::Address(self.client.url.to_string());
        url.set_scheme(if secure { "wss" } else { "ws" }).map_err(|()| address())?;
        let host = url.host_str().ok_or_else(address)?.trim_matches(['[', ']']);
        let port = url.port_or_known_default().ok_or_else(address)?;
        let connector = if secure { Connector::Rustls(self.client.tls.clone()) } else { Connector::Plain };

        let opening = async {
            let tcp = TcpStream::connect((host, port)).await.map_err(|error| Error::network(&url, error))?;
            tcp.set_nodelay(true).map_err(|error| Error::network(&url, error))?;
            client_async_tls_with_config(self.request(&url)?, tcp, None, Some(connector))
                .await
                .map_err(|error| failure(&url, error))
        };
        let (socket, response) = timeout(OPENING, opening)
            .await
            .unwrap_or_else(|_| Err(Error::network(&url, "no connection in time")))?;
        let subprotocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        let subprotocol = subprotocol.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Connection {
            socket,
            url,
            subprotocol,
            received: VecDeque::new(),
            heartbeat: Heartbeat::new(HEARTBEAT),
            requests: 0,
            unflushed: false,
            ended: false,
        })
    }
}

impl IntoFuture for Connect {
    type Output = Result<Connection, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// An open WebSocket of a channel.
///
/// Also a [`Stream`]; its last item is an error that says why it ended.
#[derive(Debug)]
pub struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    url: Url,
    subprotocol: Option<String>,
    received: VecDeque<Envelope>,
    heartbeat: Heartbeat,
    requests: u64,
    unflushed: bool,
    ended: bool,
}

impl Connection {
    /// What the server selected: `edgewise.v1`, or nothing.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The next envelope, out of a batch too; `None` after the error that ended the connection. Safe to drop before
    /// it is done. The heartbeat beats only while this is awaited.
    ///
    /// # Errors
    /// [`Error::Closed`] with the code of the Close frame, [`Error::Network`] where there was none,
    /// [`Error::Silent`] where a `ping` stayed unanswered, [`Error::Answer`] for what is no Envelope.
    pub async fn next(&mut self) -> Option<Result<Envelope, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The first frame, which is the server's greeting.
    ///
    /// # Errors
    /// As [`next`](Self::next), and [`Error::Answer`] where another frame came first.
    pub async fn hello(&mut self) -> Result<Hello, Error> {
        match self.next().await {
            Some(Ok(Envelope { payload: Some(Payload::Hello(hello)), .. })) => Ok(hello),
            Some(Ok(_)) => Err(Error::Answer("the first frame is no hello".into())),
            Some(Err(error)) => Err(error),
            None => Err(Error::Ended),
        }
    }

    /// Sends an envelope as it is.
    ///
    /// # Errors
    /// [`Error::Network`] where the connection has ended; [`next`](Self::next) then says why.
    pub async fn send(&mut self, envelope: &Envelope) -> Result<(), Error> {
        self.send_bytes(envelope.encode_to_vec()).await
    }

    /// Sends a request under a `request_id` that this connection has not used, and gives that id.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn request(&mut self, payload: Payload) -> Result<String, Error> {
        self.requests += 1;
        let request_id = self.requests.to_string();
        self.send(&Envelope { request_id: request_id.clone(), payload: Some(payload), revision: 0 }).await?;
        Ok(request_id)
    }

    /// Sends a request and awaits its answer; what else comes meanwhile is kept for [`next`](Self::next).
    ///
    /// # Errors
    /// [`Error::Problem`] where the server refuses; else as [`send`](Self::send) and [`next`](Self::next).
    pub async fn call(&mut self, payload: Payload) -> Result<Payload, Error> {
        let request_id = self.request(payload).await?;
        let mut others = VecDeque::new();
        let answer = loop {
            match self.next().await {
                Some(Ok(envelope)) if envelope.request_id == request_id => break Ok(envelope.payload),
                Some(Ok(envelope)) => others.push_back(envelope),
                Some(Err(error)) => break Err(error),
                None => break Err(Error::Ended),
            }
        };
        others.append(&mut self.received);
        self.received = others;
        match answer? {
            Some(Payload::Error(error)) => Err(Problem::from(error).into()),
            Some(payload) => Ok(payload),
            None => Err(Error::Answer("the answer has no payload that this client knows".into())),
        }
    }

    /// Sends a binary frame as it is.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_bytes(&mut self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let sent = self.socket.send(Frame::Binary(bytes.into())).await;
        sent.map_err(|error| failure(&self.url, error))
    }

    /// Sends a text frame as it is.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        let sent = self.socket.send(Frame::text(text)).await;
        sent.map_err(|error| failure(&self.url, error))
    }

    /// Says goodbye, with code 1000, and ends the connection.
    pub async fn close(mut self) {
        let goodbye = CloseFrame { code: coding::CloseCode::Normal, reason: "".into() };
        // The server sees the end either way.
        let _ = timeout(Duration::from_secs(1), self.socket.close(Some(goodbye))).await;
    }

    /// Takes a frame apart; an error ends the connection.
    fn receive(&mut self, frame: Frame) -> Result<(), Error> {
        self.heartbeat.heard();
        match frame {
            Frame::Binary(bytes) => {
                let envelope = Envelope::decode(bytes).map_err(|error| Error::Answer(error.to_string()))?;
                if let Some(Payload::EnvelopeBatch(batch)) = envelope.payload {
                    self.received.extend(batch.envelopes);
                } else {
                    if let Some(Payload::Hello(Hello { heartbeat_interval_ms: ms @ 1.., .. })) =
                        envelope.payload
                    {
                        self.heartbeat = Heartbeat::new(Duration::from_millis(ms.into()));
                    }
                    self.received.push_back(envelope);
                }
                Ok(())
            }
            Frame::Close(frame) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                Err(Error::Closed(Close { code: CloseCode::from(code), reason }))
            }
            Frame::Text(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => Ok(()),
        }
    }

    fn end(&mut self, error: Error) -> Poll<Option<Result<Envelope, Error>>> {
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for Connection {
    type Item = Result<Envelope, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(envelope) = this.received.pop_front() {
                return Poll::Ready(Some(Ok(envelope)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match this.heartbeat.poll(cx) {
                Poll::Ready(Beat::Ping) => {
                    this.unflushed = true;
                    if let Err(error) = Pin::new(&mut this.socket).start_send(Frame::text("ping")) {
                        let error = failure(&this.url, error);
                        return this.end(error);
                    }
                }
                Poll::Ready(Beat::Missed) => return this.end(Error::Silent),
                Poll::Pending => {}
            }
            if this.unflushed && Pin::new(&mut this.socket).poll_flush(cx).is_ready() {
                // A failure to write shows when reading, where a Close frame may tell why.
                this.unflushed = false;
            }
            let frame = match Pin::new(&mut this.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    let error = failure(&this.url, error);
                    return this.end(error);
                }
                Poll::Ready(None) => {
                    let error = Error::network(&this.url, "the connection broke");
                    return this.end(error);
                }
                Poll::Pending => return Poll::Pending,
            };
            if let Err(error) = this.receive(frame) {
                // A Close is answered as far as that goes without waiting.
                let _ = Pin::new(&mut this.socket).poll_flush(cx);
                return this.end(error);
            }
        }
    }
}

/// When to send the next `ping`, and whether the last was answered.
#[derive(Debug)]
struct Heartbeat {
    interval: Duration,
    next: Pin<Box<Sleep>>,
    unanswered: bool,
}

enum Beat {
    Ping,
    Missed,
}

impl Heartbeat {
    fn new(interval: Duration) -> Self {
        Self { interval, next: Box::pin(sleep(interval)), unanswered: false }
    }

    /// Any frame tells that the other end is there.
    fn heard(&mut self) {
        self.unanswered = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        if self.next.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.next.as_mut().reset(Instant::now() + self.interval);
        // Registers the waker for the beat after this one.
        let _ = self.next.as_mut().poll(cx);
        let missed = std::mem::replace(&mut self.unanswered, true);
        Poll::Ready(if missed { Beat::Missed } else { Beat::Ping })
    }
}

fn failure(url: &Url, error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => {
            let pause = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let body = response.body().as_deref().unwrap_or_default();
            Problem::from_http(response.status().as_u16(), pause, body).into()
        }
        error => Error::network(url, error),
    }
}

#[cfg(test)]
#[path = "connection/tests.rs"]
mod tests;
