//! Answers: JSON, protobuf where the client prefers it, nothing at all, or a problem.

use edgewise_core::{
    message::MessageJson,
    problem::{Code, Problem},
    proto::{ChatMessage, FetchHistoryResponse, SyncResponse},
};
use serde::Serialize;
use worker::{Result, WebSocket};

use crate::{
    body::{JSON, Media, PROTOBUF},
    border::Outgoing,
};

/// An answer, yet without what every answer carries.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    content: Content,
    headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Bytes { media: &'static str, bytes: Vec<u8> },
    Socket(WebSocket),
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, content: Content::Nothing, headers: Vec::new() }
    }

    fn bytes(status: u16, media: &'static str, bytes: Vec<u8>) -> Self {
        Self { status, content: Content::Bytes { media, bytes }, headers: Vec::new() }
    }

    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Structs of strings and numbers: serialization cannot fail.
        Self::bytes(status, JSON, serde_json::to_vec(body).unwrap_or_default())
    }

    /// JSON that is written already.
    pub(crate) fn raw_json(status: u16, body: Vec<u8>) -> Self {
        Self::bytes(status, JSON, body)
    }

    /// A message, a page or states, in the media that the client prefers.
    pub(crate) fn chat(status: u16, media: Media, body: &impl Chat) -> Self {
        let reply = match media {
            Media::Json => body.json(status),
            Media::Protobuf => Self::bytes(status, PROTOBUF, body.encode_to_vec()),
        };
        reply.with("vary", "Accept".into())
    }

    /// A socket's other end.
    pub(crate) fn socket(socket: WebSocket) -> Self {
        Self { status: 101, content: Content::Socket(socket), headers: Vec::new() }
    }

    /// A refusal.
    pub(crate) fn problem(problem: &Problem, request_id: &str) -> Self {
        let body = problem.to_json(request_id).into_bytes();
        let reply = Self::bytes(problem.code.status(), "application/problem+json", body);
        match problem.code.status() {
            401 => reply.with("www-authenticate", challenge(problem.code).into()),
            429 | 503 => {
                let seconds = problem.retry_after_ms.unwrap_or(1_000).div_ceil(1_000).max(1);
                reply.with("retry-after", seconds.to_string())
            }
            426 => reply.with("upgrade", "websocket".into()),
            _ => reply,
        }
    }

    /// The same with a header, in place of one of that name. What an answer varies with adds up.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        if name != "vary" {
            self.headers.retain(|(known, _)| *known != name);
        }
        self.headers.push((name, value));
        self
    }

    /// The same without its body: the answer to HEAD.
    pub(crate) fn without_body(mut self) -> Self {
        if let Content::Bytes { media, .. } = self.content {
            self.headers.push(("content-type", media.into()));
            self.content = Content::Nothing;
        }
        self
    }

    /// What the runtime sends.
    pub(crate) fn into_response(mut self) -> Result<web_sys::Response> {
        let (body, socket) = match &self.content {
            Content::Nothing => (None, None),
            Content::Bytes { media, bytes } => {
                self.headers.push(("content-type", (*media).into()));
                (Some(bytes.as_slice()), None)
            }
            Content::Socket(socket) => (None, Some(socket)),
        };
        Outgoing { status: self.status, headers: &self.headers, body, socket }.respond()
    }
}

/// RFC 6750: a request without a token is told how to send one, another what is wrong with its own.
const fn challenge(code: Code) -> &'static str {
    match code {
        Code::TokenInvalid => r#"Bearer realm="edgewise", error="invalid_token""#,
        Code::TokenExpired => {
            r#"Bearer realm="edgewise", error="invalid_token", error_description="the token has expired""#
        }
        _ => r#"Bearer realm="edgewise""#,
    }
}

/// What the message routes answer with: protobuf as it is, JSON as a view of it.
pub(crate) trait Chat: prost::Message {
    fn json(&self, status: u16) -> Reply;
}

impl Chat for ChatMessage {
    fn json(&self, status: u16) -> Reply {
        Reply::json(status, &MessageJson::from(self))
    }
}

impl Chat for FetchHistoryResponse {
    fn json(&self, status: u16) -> Reply {
        #[derive(Serialize)]
        struct Page<'a> {
            messages: Vec<MessageJson<'a>>,
            has_more: bool,
            has_newer: bool,
            revision: u64,
        }
        Reply::json(
            status,
            &Page {
                messages: self.messages.iter().map(Into::into).collect(),
                has_more: self.has_more,
                has_newer: self.has_newer,
                revision: self.revision,
            },
        )
    }
}

impl Chat for SyncResponse {
    fn json(&self, status: u16) -> Reply {
        #[derive(Serialize)]
        struct Changes<'a> {
            messages: Vec<MessageJson<'a>>,
            revision: u64,
            has_more: bool,
        }
        Reply::json(
            status,
            &Changes {
                messages: self.messages.iter().map(Into::into).collect(),
                revision: self.revision,
                has_more: self.has_more,
            },
        )
    }
}

/// The media that an `Accept` header prefers: protobuf only where it is named, and not less wanted than JSON.
pub(crate) fn preferred(accept: &str) -> Media {
    // A wildcard asks for what we like best, which is JSON.
    let (mut protobuf, mut json) = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1_000, |weight| thousandths(weight.trim()));
        match media.as_str() {
            PROTOBUF => protobuf = weight,
            JSON => json = weight,
            _ => {}
        }
    }
    if protobuf > 0 && protobuf >= json { Media::Protobuf } else { Media::Json }
}

/// A weight between 0 and 1 with at most three decimals (RFC 9110, 12.4.2); 0 for what is none.
fn thousandths(weight: &str) -> u32 {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = matches!(whole, "0" | "1")
        && decimals.len() <= 3
        && decimals.bytes().all(|digit| digit.is_ascii_digit());
    if !is_weight {
        return 0;
    }
    format!("{whole}{decimals:0<3}").parse::<u32>().map_or(0, |weight| weight.min(1_000))
}
