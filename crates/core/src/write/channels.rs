//! Channels, made and renamed.
//!
//! Whether the caller may is a condition of each statement, so that a role taken away stops the very next write; the
//! same facts, read in the same transaction, then say what was wrong.

use crate::{
    access::{Access, Caller, banned_sql, bits_sql},
    database::{Answers, Database, Statement},
    ids::{ChannelId, Timestamp},
    names::{ChannelName, Topic},
    permissions::Permissions,
    problem::{Code, Problem},
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
    "INSERT INTO users (id, display_name, created_at)
     SELECT ?1, coalesce(?4, (SELECT display_name FROM users WHERE id = ?1), ?1), ?3 WHERE ", manages!(), "
     ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name WHERE users.display_name <> excluded.display_name"
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
    caller: &Caller,
    channel: &NewChannel,
    now: Timestamp,
) -> Result<Channel, Problem> {
    let (user, id) = (caller.user_id.as_str(), channel.id.to_string());
    let asking = || vec![user.into(), caller.trusted.into(), now.into()];
    let mut provision = Statement::new(PROVISION, asking());
    provision.params.push(caller.display_name.clone().into());
    let mut create = Statement::new(CREATE, asking());
    create.params.extend([
        id.clone().into(),
        channel.name.as_str().into(),
        channel.topic.as_str().into(),
        channel.private.into(),
    ]);
    let enter = Statement::new(ENTER, vec![user.into(), id.into(), now.into()]);
    let statements =
        vec![Standing::statement(caller, now), provision, create, enter, one_statement(caller, channel.id)];
    let mut answers = Answers::of(database, statements).await?;
    if !Standing::granted(&mut answers)?.permissions.contains(Permissions::MANAGE_CHANNELS) {
        return Err(Code::Forbidden.with("you don't have the permission that this needs"));
    }
    // Those of the three that write.
    for _ in 0..3 {
        answers.next_rows()?;
    }
    answers.next_rows()?.first()?.ok_or_else(Problem::internal)
}

const CHANGE: &str = concat!(
    "UPDATE channels SET name = coalesce(?5, name), topic = coalesce(?6, topic)
     WHERE id = ?4 AND deleted_at IS NULL AND ",
    manages!(),
    "
       AND (private = 0 OR (",
    bits_sql!("?1", "?2"),
    ") & 16
            OR EXISTS (SELECT 1 FROM members m WHERE m.channel_id = ?4 AND m.user_id = ?1))"
);

/// Changes a channel's name, its topic, or both; what is None stays.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 403 `FORBIDDEN` without `MANAGE_CHANNELS`, 503 `STORAGE_UNAVAILABLE`.
pub async fn change(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    name: Option<&ChannelName>,
    topic: Option<&Topic>,
    now: Timestamp,
) -> Result<Channel, Problem> {
    let change = Statement::new(
        CHANGE,
        vec![
            caller.user_id.as_str().into(),
            caller.trusted.into(),
            now.into(),
            channel.to_string().into(),
            name.map(ChannelName::as_str).into(),
            topic.map(Topic::as_str).into(),
        ],
    );
    let statements = vec![Access::statement(channel, caller, now), change, one_statement(caller, channel)];
    let mut answers = Answers::of(database, statements).await?;
    Access::granted(&answers.next_rows()?)?.with(Permissions::MANAGE_CHANNELS)?;
    answers.next_rows()?;
    answers.next_rows()?.first()?.ok_or_else(Problem::internal)
}
