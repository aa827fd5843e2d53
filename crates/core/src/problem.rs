//! Everything that can be refused, and how it is told: one code, its HTTP status, and a sentence.
//!
//! REST renders a [`Problem`] as `application/problem+json` (RFC 9457), the socket as an `ErrorResponse`: the same
//! codes on both.

use std::borrow::Cow;

use serde::Serialize;

use crate::{database::DatabaseError, proto::ErrorResponse};

macro_rules! codes {
    ($($variant:ident $status:literal $name:literal,)*) => {
        /// A stable name for a refusal. Each belongs to one HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are the contract's own")]
        pub enum Code { $($variant,)* }

        impl Code {
            /// Every code, for documentation and tests.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// `UPPER_SNAKE`, as clients see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    BodyInvalid 400 "BODY_INVALID",
    IdInvalid 400 "ID_INVALID",
    QueryInvalid 400 "QUERY_INVALID",
    RequestUnsupported 400 "REQUEST_UNSUPPORTED",
    TokenMissing 401 "TOKEN_MISSING",
    TokenInvalid 401 "TOKEN_INVALID",
    TokenExpired 401 "TOKEN_EXPIRED",
    CredentialsInvalid 401 "CREDENTIALS_INVALID",
    Forbidden 403 "FORBIDDEN",
    Banned 403 "BANNED",
    SignatureRequired 403 "SIGNATURE_REQUIRED",
    RegistrationClosed 403 "REGISTRATION_CLOSED",
    InviteInvalid 403 "INVITE_INVALID",
    SetupTokenInvalid 403 "SETUP_TOKEN_INVALID",
    ChannelNotFound 404 "CHANNEL_NOT_FOUND",
    MessageNotFound 404 "MESSAGE_NOT_FOUND",
    ReactionNotFound 404 "REACTION_NOT_FOUND",
    UserNotFound 404 "USER_NOT_FOUND",
    RoleNotFound 404 "ROLE_NOT_FOUND",
    BanNotFound 404 "BAN_NOT_FOUND",
    InviteNotFound 404 "INVITE_NOT_FOUND",
    RouteNotFound 404 "ROUTE_NOT_FOUND",
    MethodNotAllowed 405 "METHOD_NOT_ALLOWED",
    NameTaken 409 "NAME_TAKEN",
    KeyTaken 409 "KEY_TAKEN",
    BodyTooLarge 413 "BODY_TOO_LARGE",
    MediaTypeUnsupported 415 "MEDIA_TYPE_UNSUPPORTED",
    ContentEmpty 422 "CONTENT_EMPTY",
    ContentTooLong 422 "CONTENT_TOO_LONG",
    EmojiInvalid 422 "EMOJI_INVALID",
    TooManyReactions 422 "TOO_MANY_REACTIONS",
    TooManyMentions 422 "TOO_MANY_MENTIONS",
    NonceInvalid 422 "NONCE_INVALID",
    NonceReused 422 "NONCE_REUSED",
    EnvelopeTooLarge 422 "ENVELOPE_TOO_LARGE",
    EnvelopeMismatch 422 "ENVELOPE_MISMATCH",
    EnvelopeStale 422 "ENVELOPE_STALE",
    SignatureInvalid 422 "SIGNATURE_INVALID",
    NameInvalid 422 "NAME_INVALID",
    TopicInvalid 422 "TOPIC_INVALID",
    ReplyTargetNotFound 422 "REPLY_TARGET_NOT_FOUND",
    SequenceOutOfRange 422 "SEQUENCE_OUT_OF_RANGE",
    UpgradeRequired 426 "UPGRADE_REQUIRED",
    RateLimited 429 "RATE_LIMITED",
    Internal 500 "INTERNAL",
    StorageUnavailable 503 "STORAGE_UNAVAILABLE",
    ConfigMissing 503 "CONFIG_MISSING",
}

impl Code {
    /// Whether the same request can succeed later, unchanged.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self.status(), 429 | 503)
    }

    /// The code as a title: `Content too long`.
    #[must_use]
    pub fn title(self) -> String {
        let name = self.as_str();
        let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
        format!("{first}{}", rest.to_lowercase().replace('_', " "))
    }

    /// The code as a fragment of the error documentation: `content-too-long`.
    #[must_use]
    pub fn anchor(self) -> String {
        self.as_str().to_lowercase().replace('_', "-")
    }

    /// This code, with a sentence for people.
    #[must_use]
    pub fn with(self, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { code: self, detail: detail.into(), retry_after_ms: None, errors: Vec::new() }
    }
}

/// One of several faults of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON pointer to the field.
    pub pointer: &'static str,
    /// What is wrong with it.
    pub code: Code,
    /// For people.
    pub detail: Cow<'static, str>,
}

/// A refusal: what a caller is told. Never carries SQL, a file name, a token or a stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .code.as_str())]
pub struct Problem {
    /// What is wrong, for programs.
    pub code: Code,
    /// What is wrong, for people.
    pub detail: Cow<'static, str>,
    /// When to try again, in milliseconds from now; only where `code.retryable()`.
    pub retry_after_ms: Option<u32>,
    /// Where one body has several faults, each of them.
    pub errors: Vec<FieldError>,
}

#[derive(Serialize)]
struct ProblemJson<'a> {
    r#type: String,
    title: String,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldErrorJson<'a>>,
}

#[derive(Serialize)]
struct FieldErrorJson<'a> {
    pointer: &'a str,
    code: &'static str,
    detail: &'a str,
}

impl Problem {
    /// The same, to be tried again after so many milliseconds.
    #[must_use]
    pub fn retry_after(mut self, ms: u32) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// The database did not answer within the bound.
    #[must_use]
    pub fn storage_unavailable() -> Self {
        Code::StorageUnavailable
            .with("the database is not answering; repeat with the same nonce")
            .retry_after(1_000)
    }

    /// A defect of the server's own. What it was goes to the log, not to the caller.
    #[must_use]
    pub fn internal() -> Self {
        Code::Internal.with("the server made a mistake")
    }

    /// The body of an `application/problem+json` answer.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> String {
        let json = ProblemJson {
            r#type: format!("/docs/errors#{}", self.code.anchor()),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            retryable: self.code.retryable(),
            errors: self
                .errors
                .iter()
                .map(|e| FieldErrorJson { pointer: e.pointer, code: e.code.as_str(), detail: &e.detail })
                .collect(),
        };
        // Strings and numbers only: serialization cannot fail.
        serde_json::to_string(&json).unwrap_or_default()
    }

    /// The same as a frame's `error`.
    #[must_use]
    pub fn to_error_response(&self, request_id: &str) -> ErrorResponse {
        ErrorResponse {
            code: u32::from(self.code.status()),
            message: self.detail.clone().into_owned(),
            request_id: request_id.to_owned(),
            error_code: self.code.as_str().to_owned(),
            retryable: self.code.retryable(),
            retry_after_ms: self.retry_after_ms.unwrap_or(0),
        }
    }

    /// Reads a problem back from an object's answer. A code that this build doesn't know is a defect.
    #[must_use]
    pub fn from_error_response(error: &ErrorResponse) -> Self {
        let Some(code) = Code::ALL.iter().copied().find(|code| code.as_str() == error.error_code) else {
            return Self::internal();
        };
        let retry_after_ms = (error.retry_after_ms > 0).then_some(error.retry_after_ms);
        Self { retry_after_ms, ..code.with(error.message.clone()) }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(_) => Self::storage_unavailable(),
            DatabaseError::Refused(_) | DatabaseError::Malformed(_) => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_the_contract_shows_it() {
        let problem = Code::ContentTooLong.with("content is 4210 characters; the limit is 4000");
        let json: serde_json::Value = serde_json::from_str(&problem.to_json("r1")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "/docs/errors#content-too-long", "title": "Content too long", "status": 422,
                "detail": "content is 4210 characters; the limit is 4000", "code": "CONTENT_TOO_LONG",
                "request_id": "r1", "retryable": false
            })
        );
    }

    #[test]
    fn problems_survive_the_way_through_the_object() {
        for code in Code::ALL {
            let mut problem = code.with("why");
            if code.retryable() {
                problem = problem.retry_after(250);
            }
            assert_eq!(Problem::from_error_response(&problem.to_error_response("r")), problem);
        }
    }
}
