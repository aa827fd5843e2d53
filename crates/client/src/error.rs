//! What can go wrong, told for people and typed for code.

use std::{fmt, time::Duration};

use edgewise_core::proto::ErrorResponse;
use serde::Deserialize;

use crate::{Close, token::BoxError};

/// Why a request, or a connection, did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused, over REST or over the socket.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The server was not reached, or the connection broke before its answer was in.
    #[error("the server at {host} does not answer: {reason}")]
    Network {
        /// Host and port.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The server's answer is not what its contract says.
    #[error("the server's answer makes no sense: {0}")]
    Answer(String),
    /// The address is none that a server could have.
    #[error("{0} is not the address of a server; it looks like https://chat.example.com")]
    Address(String),
    /// The token cannot go into a header.
    #[error("the token has characters that no token has")]
    Token,
    /// No new token was to be had in place of one that has expired.
    #[error("the token has expired and no new one was to be had: {0}")]
    Refresh(#[source] BoxError),
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The server closed the connection and said why.
    #[error("the server closed the connection: {0}")]
    Closed(Close),
    /// The connection was silent for longer than a heartbeat.
    #[error("the connection went silent")]
    Silent,
    /// The channel is no longer kept live: the session ended before this request was answered.
    #[error("the session has ended")]
    Ended,
}

impl Error {
    /// The problem's code, such as `CONTENT_TOO_LONG`, where the server refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether the same request can succeed later, unchanged.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.retryable,
            Self::Network { .. } | Self::Silent => true,
            Self::Closed(close) => close.code.step() != crate::close::Step::Stop,
            _ => false,
        }
    }

    /// Whether the request may have taken effect all the same.
    pub(crate) fn is_uncertain(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status >= 500,
            _ => true,
        }
    }

    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after,
            _ => None,
        }
    }

    pub(crate) fn network(url: &reqwest::Url, reason: impl fmt::Display) -> Self {
        let host = match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => url.to_string(),
        };
        Self::Network { host, reason: reason.to_string() }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// A refusal: RFC 9457 over REST, an `ErrorResponse` over the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct Problem {
    /// The HTTP status, over the socket too.
    pub status: u16,
    /// Stable, such as `CONTENT_TOO_LONG`.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub detail: String,
    /// The kind of problem, for people; empty over the socket.
    #[serde(default)]
    pub title: String,
    /// Whether the same request can succeed later, unchanged.
    #[serde(default)]
    pub retryable: bool,
    /// How long to wait before that.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// The server's name for the request, to be quoted when asking its operator.
    #[serde(default)]
    pub request_id: String,
    /// Where one body has several faults.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// One of several faults of a body.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// A JSON pointer to the field.
    pub pointer: String,
    /// As a problem's own code.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl Problem {
    /// The problem in an HTTP answer; one that is not of this server (a proxy's, say) becomes `HTTP_<status>`.
    pub(crate) fn from_http(status: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let mut problem = serde_json::from_slice(body).unwrap_or_else(|_| Self {
            code: format!("HTTP_{status}"),
            detail: format!("the server answers with status {status}"),
            retryable: matches!(status, 429 | 502..=504),
            ..Self::default()
        });
        problem.status = status;
        problem.retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        problem
    }
}

impl From<ErrorResponse> for Problem {
    fn from(error: ErrorResponse) -> Self {
        let pause = Duration::from_millis(error.retry_after_ms.into());
        Self {
            status: u16::try_from(error.code).unwrap_or(500),
            code: error.error_code,
            detail: error.message,
            title: String::new(),
            retryable: error.retryable,
            retry_after: (!pause.is_zero()).then_some(pause),
            request_id: error.request_id,
            errors: Vec::new(),
        }
    }
}
