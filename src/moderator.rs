//! The Durable Object that sees a ban through in every channel: a thin shell around [`core::moderator`].
//!
//! One for each user, named by the user's id. Its alarm is all that it is for: whoever is killed, and whenever, the
//! alarm comes back to what the outbox still promises.
//!
//! [`core::moderator`]: edgewise_core::moderator

use std::cell::RefCell;

use edgewise_core::{
    ids::{ChannelId, Timestamp, UserId},
    moderator::{LOOK, Reach, Round, Tour},
    problem::{Code, Problem},
};
use worker::{
    Date, DurableObject, Env, Error, Method, Request, RequestInit, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, console_error, durable_object,
};

use crate::{config, d1::D1, object};

/// Under which the object remembers whose moderator it is, for alarms, which come without its name.
const USER_KEY: &str = "user";
/// When it was last told that there may be something to do.
const TOLD_KEY: &str = "told";
/// How long a ban's answer waits at most for the sockets in all channels, in milliseconds. What is not done then is
/// done by the alarm.
const PATIENCE: Timestamp = 5_000;

/// Has a user's moderator look after them from now on. To be asked before the transaction that makes promises.
///
/// # Errors
/// 503 `STORAGE_UNAVAILABLE`.
pub(crate) async fn watch(env: &Env, user: &UserId) -> std::result::Result<(), Problem> {
    ask(env, user, "http://moderator/watch").await.map_err(|error| {
        console_error!("a moderator did not answer: {error}");
        Code::StorageUnavailable.with("the moderator is not answering").retry_after(1_000)
    })
}

/// Has every channel be asked once, as far as that takes no longer than a request may. Where it fails, the alarm does
/// the same a moment later.
pub(crate) async fn tour(env: &Env, user: &UserId) {
    if let Err(error) = ask(env, user, "http://moderator/tour").await {
        console_error!("a moderator did not answer, its alarm will: {error}");
    }
}

async fn ask(env: &Env, user: &UserId, url: &str) -> Result<()> {
    let stub = env.durable_object(config::MODERATORS)?.id_from_name(user.as_str())?.get_stub()?;
    let request = Request::new_with_init(url, RequestInit::new().with_method(Method::Post))?;
    let status = stub.fetch_with_request(request).await?.status_code();
    if status == 204 { Ok(()) } else { Err(Error::from(format!("status {status}"))) }
}

#[durable_object]
pub struct Moderator {
    state: State,
    env: Env,
    tour: RefCell<Tour>,
}

impl DurableObject for Moderator {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, tour: RefCell::default() }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        match request.path().as_str() {
            "/watch" => {
                let name = self.state.id().name().ok_or_else(|| Error::from("a moderator without a name"))?;
                self.state.storage().put(USER_KEY, name).await?;
                self.state.storage().put(TOLD_KEY, Date::now().as_millis()).await?;
                self.wake_in(LOOK).await?;
            }
            "/tour" => self.tour().await?,
            _ => return Response::error("no such request", 404),
        }
        Ok(Response::empty()?.with_status(204))
    }

    async fn alarm(&self) -> Result<Response> {
        self.round().await?;
        Response::empty()
    }

    // It has no sockets; the trait's own methods would panic.
    async fn websocket_message(&self, _: WebSocket, _: WebSocketIncomingMessage) -> Result<()> {
        Ok(())
    }

    async fn websocket_close(&self, _: WebSocket, _: usize, _: String, _: bool) -> Result<()> {
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: Error) -> Result<()> {
        Ok(())
    }
}

impl Moderator {
    /// Rounds until every channel was asked once.
    async fn tour(&self) -> Result<()> {
        let begun = Date::now().as_millis();
        while self.round().await? == Round::More
            && !self.tour.borrow().is_at_its_beginning()
            && Date::now().as_millis() < begun + PATIENCE
        {}
        Ok(())
    }

    /// One round, with the alarm set before it, in case it ends here, and after it for what is left.
    async fn round(&self) -> Result<Round> {
        let storage = self.state.storage();
        let user: Option<String> = storage.get(USER_KEY).await?;
        let told: Timestamp = storage.get(TOLD_KEY).await?.unwrap_or_default();
        let user = user.and_then(|user| UserId::parse(&user).ok());
        let user = user.ok_or_else(|| Error::from("a moderator of nobody"))?;
        self.wake_in(LOOK).await?;
        let mut tour = self.tour.take();
        let round = tour.round(&D1::new(&self.env)?, &Channels(&self.env), &user).await;
        self.tour.replace(tour);
        let round = round.unwrap_or_else(|error| {
            console_error!("what is promised of a user could not be read: {error}");
            Round::Failed
        });
        let now = Date::now().as_millis();
        match round.next(now, told) {
            Some(time) => self.wake_in(time.saturating_sub(now)).await?,
            None => self.state.storage().delete_alarm().await?,
        }
        Ok(round)
    }

    async fn wake_in(&self, ms: Timestamp) -> Result<()> {
        self.state.storage().set_alarm(i64::try_from(ms).unwrap_or(i64::MAX)).await
    }
}

/// The channels' objects.
struct Channels<'a>(&'a Env);

impl Reach for Channels<'_> {
    async fn expel(&self, channel: ChannelId, user: &UserId) -> std::result::Result<(), Problem> {
        object::expel(self.0, channel, user).await.inspect_err(|problem| {
            console_error!("channel {channel} is asked again later: {problem}");
        })
    }
}
