//! What crosses between JavaScript and Rust for every request, in as few crossings as can be.
//!
//! Each crossing costs about a microsecond, and each object that is wrapped for Rust some more: a request taken apart
//! getter by getter, and an answer put together header by header, cost more than the commit in between. So a request's
//! head comes over as one string, and an answer leaves in one call. (`cargo xtask bench` shows the difference.)

use js_sys::futures::JsFuture;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Error, Result, WebSocket};

#[wasm_bindgen(module = "/src/border.js")]
extern "C" {
    fn head(request: &web_sys::Request, names: &str) -> String;

    #[wasm_bindgen(catch)]
    fn respond(
        status: u16,
        headers: &str,
        bytes: Option<&[u8]>,
        socket: Option<&web_sys::WebSocket>,
    ) -> std::result::Result<web_sys::Response, JsValue>;

    /// Something that one request waits for and another brings about.
    ///
    /// The runtime ends a request that waits for nothing of its own, so a signal carries a timer: it comes about by
    /// itself where nobody brings it about.
    #[derive(Debug)]
    pub(crate) type Signal;

    #[wasm_bindgen(constructor)]
    pub(crate) fn new(ms: u32) -> Signal;

    /// Brings it about.
    #[wasm_bindgen(method)]
    pub(crate) fn raise(this: &Signal);

    #[wasm_bindgen(method, getter)]
    fn raised(this: &Signal) -> Promise;
}

impl Signal {
    /// Until it has come about. To be called by the request that made it.
    pub(crate) async fn wait(&self) {
        // It is never rejected.
        let _ = JsFuture::from(self.raised()).await;
    }
}

/// The headers that come over with the head, since every request, or nearly, is asked for them.
const TAKEN: [&str; 7] = [
    "authorization",
    "content-type",
    "content-length",
    "accept",
    "x-request-id",
    "idempotency-key",
    "origin",
];

/// A request: its head in Rust, its body still in JavaScript.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// GET, POST …, as the client wrote it.
    pub(crate) method: String,
    /// The whole URL.
    pub(crate) url: String,
    taken: [Option<String>; TAKEN.len()],
    request: web_sys::Request,
}

impl Incoming {
    pub(crate) fn new(request: web_sys::Request) -> Self {
        let head = head(&request, &TAKEN.join("\n"));
        let mut lines = head.split('\n');
        let mut line = || lines.next().unwrap_or_default().to_owned();
        let (method, url) = (line(), line());
        let taken = TAKEN.map(|_| Some(line()).filter(|value| value != "\0"));
        Self { method, url, taken, request }
    }

    /// The host, with its port unless that is the scheme's own.
    pub(crate) fn authority(&self) -> &str {
        self.parts().0
    }

    /// The path, still percent-encoded.
    pub(crate) fn path(&self) -> &str {
        self.parts().1.split(['?', '#']).next().unwrap_or("/")
    }

    /// A URL as the runtime writes it has a host, and behind that a slash.
    fn parts(&self) -> (&str, &str) {
        let (_, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "/"))
    }

    /// What stands behind the `?`.
    pub(crate) fn query(&self) -> &str {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        query.split('#').next().unwrap_or_default()
    }

    /// A header's value. `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        match TAKEN.iter().position(|taken| *taken == name) {
            Some(place) => self.taken.get(place).cloned().flatten(),
            None => self.request.headers().get(name).ok().flatten(),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// It broke off.
    pub(crate) async fn bytes(&self) -> Result<Vec<u8>> {
        let buffer = JsFuture::from(self.request.array_buffer()?).await?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }

    /// The body as it comes. None where there is none.
    pub(crate) fn stream(&self) -> Option<worker::ByteStream> {
        worker::Request::from(self.request.clone().ok()?).stream().ok()
    }
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Outgoing<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) socket: Option<&'a WebSocket>,
}

impl Outgoing<'_> {
    /// Hands it to the runtime.
    ///
    /// # Errors
    /// A header's value that HTTP does not take.
    pub(crate) fn respond(self) -> Result<web_sys::Response> {
        let mut lines = String::with_capacity(512);
        for (name, value) in self.headers {
            // What could end a line can't be in a header: the runtime would refuse it, and so does this.
            if value.contains(['\n', '\r', '\0']) {
                return Err(Error::from("a header's value with a line break"));
            }
            for part in [name, "\n", value, "\n"] {
                lines.push_str(part);
            }
        }
        let socket = self.socket.map(AsRef::as_ref);
        respond(self.status, &lines, self.body, socket).map_err(Error::from)
    }
}
