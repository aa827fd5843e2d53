//! Requests over a socket.

use edgewise_core::proto::{
    AddReactionRequest, DeleteMessageRequest, EditMessageRequest, FetchHistoryRequest, PresenceStatus,
    RefreshTokenRequest, RemoveReactionRequest, SendMessageRequest, SetPresenceRequest, SyncRequest,
    TypingRequest, UpdateLastReadRequest, envelope::Payload,
};

/// 130: the newest page, of 50.
#[must_use]
pub fn history() -> Payload {
    Payload::FetchHistoryRequest(FetchHistoryRequest::default())
}

/// 132
#[must_use]
pub fn send(content: &str) -> Payload {
    Payload::SendMessageRequest(SendMessageRequest { content: content.into(), ..Default::default() })
}

/// 132, with a nonce.
#[must_use]
pub fn send_once(content: &str, nonce: &str) -> Payload {
    let nonce = nonce.to_owned();
    Payload::SendMessageRequest(SendMessageRequest { content: content.into(), nonce, ..Default::default() })
}

/// 132, in answer to a message.
#[must_use]
pub fn reply(content: &str, to: &str) -> Payload {
    let reply_to_id = Some(to.to_owned());
    Payload::SendMessageRequest(SendMessageRequest {
        content: content.into(),
        reply_to_id,
        ..Default::default()
    })
}

/// 133
#[must_use]
pub fn edit(message_id: &str, content: &str) -> Payload {
    let (message_id, content) = (message_id.to_owned(), content.to_owned());
    Payload::EditMessageRequest(EditMessageRequest { message_id, content, ..Default::default() })
}

/// 134
#[must_use]
pub fn delete(message_id: &str) -> Payload {
    Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: message_id.into() })
}

/// 135
#[must_use]
pub fn react(message_id: &str, emoji: &str) -> Payload {
    Payload::AddReactionRequest(AddReactionRequest { message_id: message_id.into(), emoji: emoji.into() })
}

/// 136
#[must_use]
pub fn unreact(message_id: &str, emoji: &str) -> Payload {
    Payload::RemoveReactionRequest(RemoveReactionRequest {
        message_id: message_id.into(),
        emoji: emoji.into(),
    })
}

/// 137
#[must_use]
pub fn mark_read(last_sequence: u64) -> Payload {
    Payload::UpdateLastReadRequest(UpdateLastReadRequest { last_sequence, allow_decrease: false })
}

/// 138
#[must_use]
pub fn presence(status: PresenceStatus) -> Payload {
    Payload::SetPresenceRequest(SetPresenceRequest { status: status.into() })
}

/// 139
#[must_use]
pub fn typing() -> Payload {
    Payload::TypingRequest(TypingRequest {})
}

/// 140
#[must_use]
pub fn sync(since_revision: u64, limit: u32) -> Payload {
    Payload::SyncRequest(SyncRequest { since_revision, limit })
}

/// 145
#[must_use]
pub fn refresh(token: &str) -> Payload {
    Payload::RefreshTokenRequest(RefreshTokenRequest { token: token.into() })
}
