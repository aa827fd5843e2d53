//! The body of a request: bounded, of a known media type, and parsed.

use edgewise_core::problem::{Code, Problem};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use crate::border::Incoming;

/// The largest body taken, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// The media type of protobuf, as the contract writes it.
pub(crate) const PROTOBUF: &str = "application/x-protobuf";
/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`; also what does not say.
    Json,
    /// `application/x-protobuf`.
    Protobuf,
}

impl Media {
    /// What a `Content-Type` says that a body is.
    ///
    /// # Errors
    /// 415 `MEDIA_TYPE_UNSUPPORTED` for anything else.
    pub(crate) fn of(header: &str) -> Result<Self, Problem> {
        let essence = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | JSON => Ok(Self::Json),
            PROTOBUF => Ok(Self::Protobuf),
            _ => Err(Code::MediaTypeUnsupported.with("a body is application/json")),
        }
    }
}

/// Reads a body, however long its sender says that it is.
///
/// # Errors
/// 413 `BODY_TOO_LARGE`; 400 `BODY_INVALID` where it breaks off.
pub(crate) async fn read(request: &Incoming) -> Result<Vec<u8>, Problem> {
    let too_large = || Code::BodyTooLarge.with(format!("a body has at most {MAX_BYTES} bytes"));
    let told = request.header("content-length").and_then(|text| text.parse::<usize>().ok());
    if told.is_some_and(|length| length > MAX_BYTES) {
        return Err(too_large());
    }
    if told.is_some() {
        // The runtime holds the sender to what it told. One call, where a stream is several.
        return request.bytes().await.map_err(|_| Code::BodyInvalid.with("the body broke off"));
    }
    // Without a body there is no stream either.
    let Some(mut stream) = request.stream() else { return Ok(Vec::new()) };
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Code::BodyInvalid.with("the body broke off"))?;
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Parses a JSON object.
///
/// # Errors
/// 400 `BODY_INVALID`.
pub(crate) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let invalid = |detail: String| Code::BodyInvalid.with(detail);
    let text = std::str::from_utf8(body).map_err(|_| invalid("the body is not UTF-8".into()))?;
    // A list would do for serde, its elements standing for the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(invalid("the body is not a JSON object".into()));
    }
    serde_json::from_str(text).map_err(|error| invalid(format!("the body is not what this takes: {error}")))
}

/// Parses a protobuf message.
///
/// # Errors
/// 400 `BODY_INVALID`.
pub(crate) fn parse_protobuf<T: prost::Message + Default>(body: &[u8]) -> Result<T, Problem> {
    T::decode(body)
        .map_err(|error| Code::BodyInvalid.with(format!("the body is not what this takes: {error}")))
}
