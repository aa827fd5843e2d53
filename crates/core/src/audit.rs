//! The audit log: who did what to whom, written by the very transactions that do it.

/// What was done. Each has one name, which clients see and which never changes.
///
/// | action | target | details |
/// | --- | --- | --- |
/// | `role_created`, `role_changed` | the role | what was given for it |
/// | `role_deleted` | the role | its name |
/// | `role_given`, `role_taken` | the user | the role |
/// | `user_banned` | the user | `reason`, `expires_at`, `delete_messages_since` |
/// | `user_unbanned` | the user | |
/// | `member_added`, `member_removed` | the user, by another | the channel |
/// | `channel_created`, `channel_changed` | the channel | what was given for it |
/// | `channel_deleted` | the channel | its name |
/// | `invite_created`, `invite_deleted` | the beginning of its code | what was given for it |
/// | `message_deleted` | the message, by another than its sender | its channel and sender |
///
/// A macro and not an enum, so that each is a part of the statement that does it.
macro_rules! recorded {
    // As the first statement of a change: the entry is written by the conditions of the change, which itself happens
    // where the entry is.
    (
        id: $id:literal, actor: $actor:literal, at: $at:literal,
        action: $action:literal, target: $target:literal, details: $details:literal, if: $($condition:expr),+
    ) => {
        concat!(
            "INSERT INTO audit (id, actor_id, action, target, details, timestamp) SELECT ", $id, ", ", $actor, ", '", $action,
            "', ", $target, ", ", $details, ", ", $at, " WHERE ", $($condition,)+ " ON CONFLICT (id) DO NOTHING"
        )
    };
}
pub(crate) use recorded;
