//! One request on its way through a route: what it asks for, taken apart, and what it may use.

use std::cell::{OnceCell, RefCell};

use edgewise_core::{
    access::Caller,
    emoji::Emoji,
    ids::{ChannelId, EntryId, InvalidId, MessageId, RoleId, Timestamp, UserId},
    problem::{Code, Problem},
    write::decision,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use worker::{Context, Date, Env, console_error};

use crate::{
    auth,
    body::{self, Media},
    border::Incoming,
    d1::{Cost, D1},
    query::Query,
    reply,
    router::Params,
};

/// A request and what its route may use.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) env: Env,
    pub(crate) context: Context,
    pub(crate) now: Timestamp,
    pub(crate) request_id: String,
    pub(crate) query: Query,
    /// What the path names, once its route is known.
    pub(crate) params: Params,
    request: Incoming,
    told: RefCell<Vec<(&'static str, String)>>,
    database: OnceCell<D1>,
}

impl Call {
    pub(crate) fn new(request: Incoming, env: Env, context: Context, request_id: String) -> Self {
        Self {
            env,
            context,
            now: Date::now().as_millis(),
            request_id,
            query: Query::parse(request.query()),
            params: Params::default(),
            request,
            told: RefCell::default(),
            database: OnceCell::new(),
        }
    }

    /// A header's value. `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.request.header(name)
    }

    /// The token of the `Authorization` header.
    ///
    /// # Errors
    /// 401 `TOKEN_MISSING` without one.
    pub(crate) fn bearer(&self) -> Result<String, Problem> {
        auth::bearer(self.header("authorization").as_deref())
    }

    /// The host that was asked, with its port unless that is the scheme's own.
    pub(crate) fn host(&self) -> String {
        let of_url = || Some(self.request.authority().to_owned());
        self.header("host").or_else(of_url).unwrap_or_default().to_ascii_lowercase()
    }

    /// Has the answer carry this header, whatever the answer will be.
    pub(crate) fn tell(&self, name: &'static str, value: String) {
        self.told.borrow_mut().push((name, value));
    }

    /// What the answer is to carry.
    pub(crate) fn told(&self) -> Vec<(&'static str, String)> {
        self.told.take()
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401 `TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`; 503 `CONFIG_MISSING`.
    pub(crate) async fn caller(&self) -> Result<Caller, Problem> {
        auth::check_config(&self.env)?;
        auth::verify(&self.env, &self.bearer()?, self.now).await
    }

    /// Who asks, and whether they may bring what others signed.
    ///
    /// # Errors
    /// Those of [`Self::caller`].
    pub(crate) async fn courier(&self) -> Result<(Caller, bool), Problem> {
        auth::check_config(&self.env)?;
        auth::verify_courier(&self.env, &self.bearer()?, self.now).await
    }

    /// The channel that the path names.
    ///
    /// # Errors
    /// 400 `ID_INVALID`, as for all that a path names.
    pub(crate) fn channel(&self) -> Result<ChannelId, Problem> {
        self.param("channel_id", ChannelId::parse)
    }

    /// The message that the path names.
    pub(crate) fn message(&self) -> Result<MessageId, Problem> {
        self.param("message_id", MessageId::parse)
    }

    /// The user that the path names; `@me` is who asks.
    pub(crate) fn user(&self, caller: &Caller) -> Result<UserId, Problem> {
        self.param("user_id", |text| match text {
            "@me" => Ok(caller.user_id.clone()),
            text => UserId::parse(text),
        })
    }

    /// The role that the path names.
    pub(crate) fn role(&self) -> Result<RoleId, Problem> {
        self.param("role_id", RoleId::parse)
    }

    /// What somebody wants to be decided now, and put on record.
    pub(crate) fn request<'a>(&self, caller: &'a Caller) -> decision::Request<'a> {
        decision::Request { caller, now: self.now, entry: EntryId::new(Uuid::now_v7()) }
    }

    /// The emoji that the path names, as text.
    ///
    /// # Errors
    /// 400 `ID_INVALID` where it does not decode.
    pub(crate) fn emoji_text(&self) -> Result<String, Problem> {
        self.param("emoji", |text| Ok(text.to_owned()))
    }

    /// The emoji that the path names.
    ///
    /// # Errors
    /// 400 `ID_INVALID` where it does not decode, 422 `EMOJI_INVALID` where it is none.
    pub(crate) fn emoji(&self) -> Result<Emoji, Problem> {
        Emoji::parse(&self.emoji_text()?).map_err(|error| Code::EmojiInvalid.with(error.to_string()))
    }

    fn param<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, InvalidId>,
    ) -> Result<T, Problem> {
        let text = self.params.decoded(name)?;
        parse(&text).map_err(|error| Code::IdInvalid.with(error.to_string()))
    }

    /// The body, a JSON object.
    ///
    /// # Errors
    /// 415 `MEDIA_TYPE_UNSUPPORTED`, 413 `BODY_TOO_LARGE`, 400 `BODY_INVALID`.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        match self.body().await? {
            (Media::Json, body) => body::parse_json(&body),
            (Media::Protobuf, _) => Err(json_only()),
        }
    }

    /// The same where nothing in the body is needed: then none at all will do.
    ///
    /// # Errors
    /// Those of [`Self::json`].
    pub(crate) async fn json_if_any<T: DeserializeOwned + Default>(&mut self) -> Result<T, Problem> {
        match self.body().await? {
            (_, body) if body.is_empty() => Ok(T::default()),
            (Media::Json, body) => body::parse_json(&body),
            (Media::Protobuf, _) => Err(json_only()),
        }
    }

    /// The body as it is, and what it is written in.
    ///
    /// # Errors
    /// 415 `MEDIA_TYPE_UNSUPPORTED`, 413 `BODY_TOO_LARGE`.
    pub(crate) async fn body(&mut self) -> Result<(Media, Vec<u8>), Problem> {
        let media = Media::of(&self.header("content-type").unwrap_or_default())?;
        Ok((media, body::read(&self.request).await?))
    }

    /// What the client would rather have the answer in.
    pub(crate) fn accepts(&self) -> Media {
        reply::preferred(&self.header("accept").unwrap_or_default())
    }

    /// The database.
    ///
    /// # Errors
    /// 503 `CONFIG_MISSING` where the binding is not there.
    pub(crate) fn database(&self) -> Result<&D1, Problem> {
        if let Some(database) = self.database.get() {
            return Ok(database);
        }
        let database = D1::new(&self.env).map_err(|error| {
            console_error!("no database: {error}");
            Code::ConfigMissing.with("the server has no database bound as DB").retry_after(60_000)
        })?;
        Ok(self.database.get_or_init(|| database))
    }

    /// What the call has cost the database so far, where it asked it at all.
    pub(crate) fn cost(&self) -> Option<Cost> {
        self.database.get().map(D1::total_cost)
    }
}

fn json_only() -> Problem {
    Code::MediaTypeUnsupported.with("this route takes application/json")
}
