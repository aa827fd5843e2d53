//! Other issuers' tokens: their configuration, and their keys, fetched and held in memory.
//!
//! What is held is a cache of this isolate's. Requests wait for each other's fetches by looking, not by awaiting: what
//! one request awaits in workerd is not another's to await.

use std::{
    cell::{OnceCell, RefCell},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use edgewise_core::{
    problem::Problem,
    token::{
        Identity, TokenError,
        held::{Held, Next, TIMEOUT_MS},
        issuers::{Issuer, Issuers, KeySource},
        keys::{Keys, MAX_KEYS_BYTES, Unverified},
    },
};
use futures_util::{
    StreamExt as _,
    future::{Either, select},
};
use worker::{
    AbortController, Date, Delay, Env, Fetch, Request, RequestInit, RequestRedirect, console_error,
};

use crate::{config, webcrypto::WebCrypto};

/// How long a request waits for another's fetch before it looks again, in milliseconds.
const TICK_MS: u64 = 20;

/// The issuers of a configuration, with the keys that each is known to have.
pub(crate) struct Configured {
    issuers: Issuers,
    held: Vec<RefCell<Held>>,
}

thread_local! {
    /// Those of this isolate's configuration, or what is wrong with it.
    static CONFIGURED: OnceCell<Result<Rc<Configured>, Problem>> = const { OnceCell::new() };
}

/// The issuers that are configured.
///
/// # Errors
/// 503 `CONFIG_MISSING` where `JWT_ISSUERS` makes no sense.
pub(crate) fn configured(env: &Env) -> Result<Rc<Configured>, Problem> {
    let make = || {
        let issuers =
            config::jwt_issuers(env).map_or_else(|| Ok(Issuers::default()), |text| Issuers::parse(&text));
        let issuers = issuers
            .map_err(|error| config::missing(format!("the server's JWT_ISSUERS makes no sense: {error}")))?;
        let held = (0..issuers.len()).map(|_| RefCell::default()).collect();
        Ok(Rc::new(Configured { issuers, held }))
    };
    CONFIGURED.with(|configured| configured.get_or_init(make).clone())
}

impl Configured {
    /// Who a token names, where it says that it is of one of these issuers; None where it does not.
    ///
    /// # Errors
    /// 503 `CONFIG_MISSING` where the issuer's keys are not to be had.
    pub(crate) async fn identify(
        &self,
        token: &str,
    ) -> Result<Option<Result<Identity, TokenError>>, Problem> {
        if self.issuers.is_empty() {
            return Ok(None);
        }
        let Some(token) = Unverified::parse(token) else { return Ok(None) };
        let Some((place, issuer)) = self.issuers.of(&token) else { return Ok(None) };
        let key = match (issuer.keys(), self.held.get(place)) {
            (KeySource::Inline(keys), _) => keys.find(&token).cloned(),
            (KeySource::Url(url), Some(held)) => {
                let keys = fetched(issuer, url, held, &token).await?;
                keys.and_then(|keys| keys.find(&token).cloned())
            }
            (KeySource::Url(_), None) => None,
        };
        Ok(Some(match key {
            Some(key) => issuer.verify(&token, &key, &WebCrypto, Date::now().as_millis()).await,
            None => Err(TokenError::Invalid),
        }))
    }
}

/// The keys of an issuer among which a token's is; None where it has no such key.
async fn fetched(
    issuer: &Issuer,
    url: &str,
    held: &RefCell<Held>,
    token: &Unverified<'_>,
) -> Result<Option<Rc<Keys>>, Problem> {
    loop {
        let next = held.borrow_mut().next(token, Date::now().as_millis());
        match next {
            Next::Use(keys) => return Ok(Some(keys)),
            Next::Unknown => return Ok(None),
            Next::Wait => Delay::from(Duration::from_millis(TICK_MS)).await,
            Next::Fetch => {
                let keys = fetch(url).await.inspect_err(|error| {
                    console_error!("the keys of {} cannot be fetched: {error}", issuer.name());
                });
                held.borrow_mut().answered(keys.ok(), Date::now().as_millis());
            }
            Next::Unavailable => {
                return Err(config::missing("the keys of the token's issuer cannot be fetched"));
            }
        }
    }
}

/// Fetches a set of keys, within a time and a size.
async fn fetch(url: &str) -> Result<Keys, String> {
    let abort = AbortController::default();
    let signal = abort.signal();
    let answer = async {
        let mut init = RequestInit::new();
        // A redirection would lead to where the configuration does not say.
        init.with_redirect(RequestRedirect::Manual);
        let request = Request::new_with_init(url, &init)?;
        let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
        let status = response.status_code();
        if status != 200 {
            return Ok(Err(format!("status {status}")));
        }
        let (mut stream, mut body) = (response.stream()?, Vec::new());
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk?);
            if body.len() > MAX_KEYS_BYTES {
                return Ok(Err(format!("more than {MAX_KEYS_BYTES} bytes")));
            }
        }
        Ok(Keys::parse(&body).map_err(|error| error.to_string()))
    };
    let timeout = Delay::from(Duration::from_millis(TIMEOUT_MS));
    match select(pin!(answer), pin!(timeout)).await {
        Either::Left((answer, _)) => answer.unwrap_or_else(|error: worker::Error| Err(error.to_string())),
        Either::Right(_) => {
            abort.abort();
            Err("no answer in time".into())
        }
    }
}
