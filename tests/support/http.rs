//! One HTTP request, and what is expected of its answer.

use edgewise_client::Client;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A request about to be sent.
#[derive(Debug)]
#[must_use = "sent by `send`"]
pub struct Call {
    what: String,
    request: reqwest::RequestBuilder,
    from_anywhere: bool,
}

impl Call {
    /// A request to a path of the server, with a token or without.
    pub(crate) fn new(client: &reqwest::Client, method: Method, url: &str, token: &str) -> Self {
        let what = format!("{method} {url}");
        let request = client.request(method, url);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        Self { what, request, from_anywhere: true }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// From a page of this origin, to a server that does not answer every one.
    pub fn from_origin(mut self, origin: &str) -> Self {
        self.from_anywhere = false;
        self.header("origin", origin)
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With a protobuf body.
    pub fn protobuf(self, body: &impl prost::Message) -> Self {
        self.body("application/x-protobuf", body.encode_to_vec())
    }

    /// With any body.
    pub fn body(mut self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.header(CONTENT_TYPE, content_type).body(body);
        self
    }

    /// Sends it. Of every answer is expected what the contract says of all: a request id, and CORS headers.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("the server answers")
    }

    /// Sends it to a server that may be gone.
    pub async fn try_send(self) -> reqwest::Result<Answer> {
        let what = self.what;
        let response = self.request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        let answer = Answer { what, status, headers, body };
        assert!(!answer.header("x-request-id").is_empty(), "no request id: {answer:?}");
        let origin = answer.header("access-control-allow-origin");
        assert!(origin == "*" || !self.from_anywhere, "no CORS: {answer:?}");
        Ok(answer)
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    what: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// Expects a status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}: {}", self.what, self.status, self.text());
        self
    }

    /// Expects a refusal, and that it is told as the contract says.
    pub fn refused(self, status: u16, code: &str) -> Value {
        let told = format!("{} answered {}: {}", self.what, self.status, self.text());
        assert_eq!(self.status, status, "expected {code}: {told}");
        let media = self.header("content-type");
        assert!(media.starts_with("application/problem+json"), "{media}: {told}");
        let problem: Value = self.json();
        assert_eq!(problem["code"], code, "{told}");
        assert_eq!(problem["status"], status, "{told}");
        let anchor = code.to_lowercase().replace('_', "-");
        assert_eq!(problem["type"], format!("/docs/errors#{anchor}"), "{told}");
        let title = problem["title"].as_str().unwrap_or_default();
        assert_eq!(title.to_lowercase().replace(' ', "-"), anchor, "{told}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{told}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{told}");
        assert_eq!(problem["retryable"], matches!(status, 429 | 503), "{told}");
        for leak in [".rs", "SQLITE", "SELECT", "panicked", "at worker"] {
            assert!(!self.text().contains(leak), "{leak}: {told}");
        }
        problem
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} answered {}: {error}", self.what, self.text()))
    }

    /// The body as protobuf.
    pub fn protobuf<T: prost::Message + Default>(&self) -> T {
        assert_eq!(
            self.header("content-type"),
            "application/x-protobuf",
            "{} answered {}",
            self.what,
            self.text()
        );
        T::decode(self.body.as_slice()).expect("the body is what was asked for")
    }

    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text, for people.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An HTTP client without a token, that never goes through a proxy.
pub(crate) fn client(url: &str) -> reqwest::Client {
    let client = Client::new(url, "").expect("the address is one");
    client.request(Method::GET, "/").build_split().0
}
