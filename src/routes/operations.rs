//! `/health` and `/api/info`: how the server is, and what it is. Public.

use edgewise_core::{
    content::Content,
    database::{Database as _, DatabaseError, Statement},
    emoji::Emoji,
    engine::Limited,
    envelope,
    ids::Nonce,
    mentions::Mentions,
    names::{ChannelName, DisplayName, Topic},
    problem::{Code, Problem},
    read,
};
use serde::Serialize;
use worker::Date;

use crate::{auth, body, call::Call, config, reply::Reply};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// **200** `{status, version, storage_ms}` where everything is there that requests need; else 503, with what is not.
pub(crate) async fn health(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Health {
        status: &'static str,
        version: &'static str,
        storage_ms: u64,
    }
    auth::check_config(&call.env)?;
    config::network(&call.env)?;
    config::registration(&call.env)?;
    config::check_rates(&call.env)?;
    let database = call.database()?;
    // A row of a table of ours: a database without the migrations is none.
    let question =
        Statement::new("SELECT json(count(*)) AS json FROM roles WHERE id = 'everyone'", Vec::new());
    let started = Date::now().as_millis();
    database.batch(vec![question]).await.map_err(|error| {
        let unavailable = Code::StorageUnavailable.with(match error {
            DatabaseError::Unavailable(_) => "the database is not answering",
            _ => "the database is not ready: are its migrations applied?",
        });
        unavailable.retry_after(5_000)
    })?;
    // The clock moves on with I/O.
    let storage_ms = Date::now().as_millis().saturating_sub(started);
    Ok(Reply::json(200, &Health { status: "ok", version: VERSION, storage_ms }))
}

/// What is refused beyond, each limit named with its unit.
#[derive(Serialize)]
struct Limits {
    content_characters: usize,
    emoji_bytes: usize,
    distinct_emoji: u32,
    mentioned_users: usize,
    mentioned_roles: usize,
    nonce_characters: usize,
    envelope_bytes: usize,
    history_page: u64,
    changes_page: u64,
    body_bytes: usize,
    frame_bytes: usize,
    channel_name_characters: usize,
    topic_characters: usize,
    display_name_characters: usize,
}

const LIMITS: Limits = Limits {
    content_characters: Content::MAX_LENGTH,
    emoji_bytes: Emoji::MAX_BYTES,
    distinct_emoji: 20,
    mentioned_users: Mentions::MAX_USERS,
    mentioned_roles: Mentions::MAX_ROLES,
    nonce_characters: Nonce::MAX_LENGTH,
    envelope_bytes: envelope::MAX_BYTES,
    history_page: read::history::MAX,
    changes_page: read::changes::MAX,
    body_bytes: body::MAX_BYTES,
    frame_bytes: 64 << 10,
    channel_name_characters: ChannelName::MAX_LENGTH,
    topic_characters: Topic::MAX_LENGTH,
    display_name_characters: DisplayName::MAX_LENGTH,
};

/// **200** `{name, version, registration, require_signatures, limits}`.
pub(crate) async fn info(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Info {
        name: &'static str,
        version: &'static str,
        registration: &'static str,
        require_signatures: bool,
        limits: AllLimits,
    }
    #[derive(Serialize)]
    struct AllLimits {
        #[serde(flatten)]
        fixed: Limits,
        /// How many of these one user may in one channel, as `COUNT/SECONDS`.
        send: Option<String>,
        react: Option<String>,
    }
    let rate = |limited| config::rates(&call.env).of(limited).map(|rate| rate.to_string());
    let info = Info {
        name: env!("CARGO_PKG_NAME"),
        version: VERSION,
        registration: config::registration(&call.env)?.as_str(),
        require_signatures: config::requires_signatures(&call.env),
        limits: AllLimits { fixed: LIMITS, send: rate(Limited::Send), react: rate(Limited::React) },
    };
    Ok(Reply::json(200, &info))
}
