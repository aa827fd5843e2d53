//! The client: where the server is, who speaks, and how one request is made and repeated.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderMap},
};
use serde::de::DeserializeOwned;

use crate::{
    Error, Network, Problem, Retry, Signer, Witness, tls,
    token::{TokenSource, Tokens},
};

/// A server, and the token to speak to it with. Cheap to clone; clones share connections and token.
#[derive(Clone)]
pub struct Client {
    pub(crate) url: Url,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) retry: Retry,
    pub(crate) witness: Witness,
    pub(crate) signer: Option<Arc<Signer>>,
    http: reqwest::Client,
}

impl Client {
    /// A client of the server at `url` (`https://chat.example.com`), speaking with `token`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Address`] where `url` is none, [`Error::Tls`] where the platform's certificates cannot be read.
    pub fn new(url: &str, token: impl Into<String>) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|_| Error::Address(url.to_owned()))?;
        let local = match (url.scheme(), url.host()) {
            ("http" | "https", Some(host)) => is_local(&host.to_string()),
            _ => return Err(Error::Address(url.to_string())),
        };
        let tls = tls::config(&url)?;
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .user_agent(concat!("edgewise-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30));
        if local {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Error::Tls(error.to_string()))?;
        let tokens = Arc::new(Tokens::new(token.into(), None));
        Ok(Self {
            url,
            tokens,
            tls: Arc::new(tls),
            http,
            retry: Retry::default(),
            witness: Witness::default(),
            signer: None,
        })
    }

    /// Where a new token comes from when this one has expired.
    #[must_use]
    pub fn with_refresh(mut self, source: impl TokenSource) -> Self {
        self.tokens = Arc::new(Tokens::new(self.tokens.current(), Some(Arc::new(source))));
        self
    }

    /// The same server and connections for another speaker.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.tokens = Arc::new(Tokens::new(token.into(), None));
        self
    }

    /// Signs every message and edit from here on.
    #[must_use]
    pub fn with_signer(mut self, signer: Signer) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    /// Belongs to another network than `edgewise`: the server's `GOSSIP_NETWORK`. Messages signed for another one are
    /// forged here.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.witness = Witness::new(network);
        self
    }

    /// Who looks at the messages that this client and its clones receive.
    #[must_use]
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// How patiently requests are repeated.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The token in use.
    #[must_use]
    pub fn token(&self) -> String {
        self.tokens.current()
    }

    /// A bare request to a path of the server (`/api/channels`), with the token: for what has no method here.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(query);
        self.http.request(method, url).bearer_auth(self.token())
    }

    /// Makes one request, and makes it again while that is safe, useful and within patience.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let mut attempts = self.retry.start();
        let (mut uncertain, mut refreshed) = (false, false);
        loop {
            let token = self.token();
            let error = match self.once(call, &token).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if uncertain && error.code().is_some() && error.code() == call.repeat.done_code() {
                return Ok(Answer::default());
            }
            if error.code() == Some("TOKEN_EXPIRED") && self.tokens.can_refresh() && !refreshed {
                self.tokens.replace(&token).await?;
                refreshed = true;
                continue;
            }
            if !error.is_retryable() || (call.repeat == Repeat::Never && error.is_uncertain()) {
                return Err(error);
            }
            uncertain |= error.is_uncertain();
            match attempts.next(error.retry_after()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn once(&self, call: &Call<'_>, token: &str) -> Result<Answer, Error> {
        let url = self.address(&call.path)?;
        let mut request = self.http.request(call.method.clone(), url).query(&call.query);
        if !call.public {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.network(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| self.network(error))?;
        if status.is_success() {
            return Ok(Answer { status, headers, body });
        }
        let pause = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Err(Problem::from_http(status.as_u16(), pause, &body).into())
    }

    /// The address of a path given by its parts, each percent-encoded.
    pub(crate) fn address(&self, path: &[&str]) -> Result<Url, Error> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Address(self.url.to_string()))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    fn network(&self, error: reqwest::Error) -> Error {
        Error::network(&self.url, innermost(&error.without_url()))
    }
}

/// The token is left out.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// One request, as often as it may be made.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<serde_json::Value>,
    repeat: Repeat<'a>,
    public: bool,
}

/// What it means to make the same request again when the fate of the first is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat<'a> {
    /// Nothing happens twice.
    Safe,
    /// Nothing happens twice, and this code then tells that the first had taken effect.
    DoneAt(&'a str),
    /// It could happen twice.
    Never,
}

impl<'a> Repeat<'a> {
    fn done_code(self) -> Option<&'a str> {
        match self {
            Self::DoneAt(code) => Some(code),
            Self::Safe | Self::Never => None,
        }
    }
}

impl<'a> Call<'a> {
    /// A request to `/api/…`; safe to repeat unless told otherwise.
    pub(crate) fn api(method: Method, path: &[&'a str]) -> Self {
        let path = std::iter::once("api").chain(path.iter().copied()).collect();
        Self { method, path, query: Vec::new(), body: None, repeat: Repeat::Safe, public: false }
    }

    pub(crate) fn public(path: &[&'a str]) -> Self {
        Self { path: path.to_vec(), public: true, ..Self::api(Method::GET, &[]) }
    }

    /// A request that takes no token.
    pub(crate) fn without_token(mut self) -> Self {
        self.public = true;
        self
    }

    pub(crate) fn query(mut self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn body(mut self, body: serde_json::Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn repeat(mut self, repeat: Repeat<'a>) -> Self {
        self.repeat = repeat;
        self
    }
}

/// A successful answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Answer(error.to_string()))
    }
}

/// The cause that says what happened, below the layers that say that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
