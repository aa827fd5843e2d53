//! Channels, made and renamed.
//!
//! Whether the caller may is a condition of each statement, so that a role taken away stops the very next write; the
//! same facts, read in the same transaction, then say what was wrong.

use serde_json::json;

use super::decision::Request;
use crate::{
    access::{Access, banned_sql, bits_sql},
    audit::recorded,
    database::{Answers, Database, Statement, Value},
    ids::ChannelId,
    names::{ChannelName, Topic},
    permissions::Permissions,
    problem::Problem,
    read::channels::{Channel, Standing, one_statement},
};

/// That user `?1`, with token `?2`, may manage channels at `?3`.
macro_rules! manages {
    () => {
        concat!("(", bits_sql!("?1", "?2"), ") & 18 AND NOT ", banned_sql!("?1", "?3"))
    };
}

/// Who makes a channel is a known user from then on; a name is written only where it changed.
const PROVISION: &str = concat!(
    "INSERT INTO users (id, display_name, created_at, token_rank)
     SELECT ?1, coalesce(?4, (SELECT display_name FROM users WHERE id = ?1), ?1), ?3, ?2 WHERE ",
    manages!(),
    "
     ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, token_rank = excluded.token_rank
     WHERE users.display_name <> excluded.display_name OR users.token_rank <> excluded.token_rank"
);

const RECORD_CREATION: &str = recorded!(
    id: "?8", actor: "?1", at: "?3", action: "channel_created", target: "?4", details: "?9", if: manages!()
);

const CREATE: &str = concat!(
    "INSERT INTO channels (id, name, topic, private, created_at) SELECT ?4, ?5, ?6, ?7, ?3 WHERE ",
    manages!()
);

/// Who makes a private channel is its first member.
const ENTER: &str = "
    INSERT INTO members (channel_id, user_id, joined_at)
    SELECT id, ?1, ?3 FROM channels WHERE id = ?2 AND private = 1";

/// A channel to be made.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// Its id, which no other has.
    pub id: ChannelId,
    /// Its name. Several channels may have the same.
    pub name: ChannelName,
    /// Its topic.
    pub topic: Topic,
    /// Whether only its members see it.
    pub private: bool,
}

/// Makes a channel.
///
/// # Errors
/// 403 `FORBIDDEN` without `MANAGE_CHANNELS`, 403 `BANNED`, 503 `STORAGE_UNAVAILABLE`.
pub async fn create(
    database: &impl Database,
    Request { caller, now, entry }: Request<'_>,
    channel: &NewChannel,
) -> Result<Channel, Problem> {
    let (user, id) = (caller.user_id.as_str(), channel.id.to_string());
    let given = json!({"name": channel.name, "topic": channel.topic, "private": channel.private});
    let asking: [Value; 3] = [user.into(), caller.token_rank().into(), now.into()];
    let mut provision = Statement::new(PROVISION, asking.to_vec());
    provision.params.push(caller.display_name.clone().into());
    let mut params = asking.to_vec();
    params.extend([
        id.clone().into(),
        channel.name.as_str().into(),
        channel.topic.as_str().into(),
        channel.private.into(),
        entry.to_string().into(),
        given.to_string().into(),
    ]);
    let enter = Statement::new(ENTER, vec![user.into(), id.into(), now.into()]);
    let statements = vec![
        Standing::statement(caller, now),
        Statement::sharing(RECORD_CREATION, &params),
        provision,
        Statement::sharing(CREATE, &params),
        enter,
        one_statement(caller, channel.id),
    ];
    let mut answers = Answers::of(database, statements).await?;
    Standing::granted(&mut answers)?.with(Permissions::MANAGE_CHANNELS)?;
    // Those of the four that write.
    for _ in 0..4 {
        answers.next_rows()?;
    }
    answers.next_rows()?.first()?.ok_or_else(Problem::internal)
}

/// That the caller may change channel `?4`.
macro_rules! changes {
    () => {
        concat!(
            manages!(),
            " AND EXISTS (SELECT 1 FROM channels c WHERE c.id = ?4 AND c.deleted_at IS NULL
                AND (c.private = 0 OR (",
            bits_sql!("?1", "?2"),
            ") & 16
                     OR EXISTS (SELECT 1 FROM members m WHERE m.channel_id = c.id AND m.user_id = ?1)))"
        )
    };
}

const RECORD_CHANGE: &str = recorded!(
    id: "?7", actor: "?1", at: "?3", action: "channel_changed", target: "?4", details: "?8",
    if: changes!(), " AND EXISTS (SELECT 1 FROM channels WHERE id = ?4 AND (name, topic) <> (coalesce(?5, name), coalesce(?6, topic)))"
);

const CHANGE: &str = concat!(
    "UPDATE channels SET name = coalesce(?5, name), topic = coalesce(?6, topic) WHERE id = ?4 AND ",
    changes!()
);

/// Changes a channel's name, its topic, or both; what is None stays.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 403 `FORBIDDEN` without `MANAGE_CHANNELS`, 503 `STORAGE_UNAVAILABLE`.
pub async fn change(
    database: &impl Database,
    Request { caller, now, entry }: Request<'_>,
    channel: ChannelId,
    name: Option<&ChannelName>,
    topic: Option<&Topic>,
) -> Result<Channel, Problem> {
    let mut given = serde_json::Map::new();
    given.extend(name.map(|name| ("name".to_owned(), json!(name))));
    given.extend(topic.map(|topic| ("topic".to_owned(), json!(topic))));
    let params: [Value; 8] = [
        caller.user_id.as_str().into(),
        caller.trusted.into(),
        now.into(),
        channel.to_string().into(),
        name.map(ChannelName::as_str).into(),
        topic.map(Topic::as_str).into(),
        entry.to_string().into(),
        serde_json::Value::from(given).to_string().into(),
    ];
    let statements = vec![
        Access::statement(channel, caller, now),
        Statement::sharing(RECORD_CHANGE, &params),
        Statement::sharing(CHANGE, &params),
        one_statement(caller, channel),
    ];
    let mut answers = Answers::of(database, statements).await?;
    Access::granted(&answers.next_rows()?)?.with(Permissions::MANAGE_CHANNELS)?;
    for _ in 0..2 {
        answers.next_rows()?;
    }
    answers.next_rows()?.first()?.ok_or_else(Problem::internal)
}
