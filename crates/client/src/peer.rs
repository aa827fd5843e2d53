//! The server's part in the tests, played by hand.

use edgewise_core::proto::{Envelope, envelope::Payload};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as Frame,
        handshake::server::{Request, Response},
        protocol::CloseFrame,
    },
};

use crate::Client;

pub(crate) struct Peer {
    listener: TcpListener,
}

/// The server's end of one connection.
pub(crate) struct Socket {
    frames: WebSocketStream<TcpStream>,
    pub(crate) query: String,
    pub(crate) token: String,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.listener.local_addr().unwrap()), "first").unwrap()
    }

    pub(crate) async fn socket(&self) -> Socket {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let (mut query, mut token) = (String::new(), String::new());
        #[allow(clippy::result_large_err)]
        let shake = |request: &Request, mut response: Response| {
            query = request.uri().query().unwrap_or_default().to_owned();
            let offered = request.headers()["sec-websocket-protocol"].to_str().unwrap();
            token = offered.split(", ").nth(1).unwrap().to_owned();
            response.headers_mut().insert("sec-websocket-protocol", "edgewise.v1".parse().unwrap());
            Ok(response)
        };
        let frames = accept_hdr_async(tcp, shake).await.unwrap();
        Socket { frames, query, token }
    }

    /// Takes one HTTP request and breaks the connection instead of answering.
    pub(crate) async fn hang_up(&self) {
        drop(self.listener.accept().await.unwrap());
    }

    /// Answers one HTTP request; gives its head and body.
    pub(crate) async fn answer(&self, status: u16, body: &str) -> String {
        let (mut tcp, _) = self.listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !complete(&request) {
            let mut part = [0; 4096];
            let length = tcp.read(&mut part).await.unwrap();
            request.extend_from_slice(&part[..length]);
        }
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        tcp.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    body.len() >= length
}

impl Socket {
    pub(crate) async fn send(&mut self, request_id: &str, revision: u64, payload: Payload) {
        let envelope = Envelope { request_id: request_id.into(), revision, payload: Some(payload) };
        self.frames.send(Frame::Binary(envelope.encode_to_vec().into())).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Envelope {
        match self.frames.next().await {
            Some(Ok(Frame::Binary(bytes))) => Envelope::decode(bytes).unwrap(),
            other => panic!("no envelope: {other:?}"),
        }
    }

    /// Says goodbye and lets the TCP end linger for as long as the test runs.
    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.frames.send(Frame::Close(Some(frame))).await.unwrap();
        tokio::spawn(async move { while self.frames.next().await.is_some() {} });
    }

    /// With which code the client closes.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        while let Some(Ok(frame)) = self.frames.next().await {
            if let Frame::Close(frame) = frame {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    }
}
