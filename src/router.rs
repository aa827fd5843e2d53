//! Which route answers a request, and what every answer carries.
//!
//! Paths are split before they are percent-decoded, so that an encoded slash is a part of its segment; an empty
//! segment, and so a trailing slash, makes another path.

use edgewise_core::problem::{Code, Problem};
use uuid::Uuid;
use worker::{Context, Env, console_error};

use crate::{
    border::Incoming,
    call::Call,
    config,
    cors::Cors,
    object::COST_HEADER,
    reply::Reply,
    routes::{
        audit, auth, bans, changes, channels, gossip, history, invites, last_read, members, messages,
        operations, presence, reactions, roles, socket, typing, users,
    },
};

const GET: &str = "GET";
const POST: &str = "POST";
const PUT: &str = "PUT";
const PATCH: &str = "PATCH";
const DELETE: &str = "DELETE";
const HEAD: &str = "HEAD";
const OPTIONS: &str = "OPTIONS";

/// Everything that is served: a path's methods, each with what answers it.
macro_rules! routes {
    ($($path:literal: $($method:ident $handler:path),+;)*) => {
        /// Lets the route of this path and method answer.
        async fn dispatch(path: &str, method: &str, call: &mut Call) -> Result<Reply, Problem> {
            $(if let Some(params) = Params::of($path, path) {
                call.params = params;
                return match method {
                    $($method => $handler(call).await,)+
                    OPTIONS => Ok(preflight(&[$($method),+])),
                    _ => Ok(not_allowed(&[$($method),+], &call.request_id)),
                };
            })*
            Err(Code::RouteNotFound.with("there is no such path"))
        }
    };
}

routes! {
    "/api/channels/{channel_id}/messages": GET history::get, POST messages::send;
    "/api/channels/{channel_id}/messages/{message_id}": GET messages::get, PUT messages::edit, DELETE messages::delete;
    "/api/channels/{channel_id}/changes": GET changes::get;

    "/api/channels/{channel_id}/messages/{message_id}/reactions": GET reactions::list, POST reactions::add;
    "/api/channels/{channel_id}/messages/{message_id}/reactions/{emoji}": GET reactions::users, DELETE reactions::remove;

    "/api/channels/{channel_id}/last-read": GET last_read::get, PUT last_read::put;

    "/api/channels": GET channels::list, POST channels::create;
    "/api/channels/{channel_id}": GET channels::get, PATCH channels::change, DELETE channels::delete;
    "/api/channels/{channel_id}/members": GET members::list;
    "/api/channels/{channel_id}/members/{user_id}": PUT members::add, DELETE members::remove;
    "/api/channels/{channel_id}/presence": GET presence::get;
    "/api/channels/{channel_id}/typing": POST typing::post;
    "/api/channels/{channel_id}/ws": GET socket::connect;

    "/api/roles": GET roles::list, POST roles::create;
    "/api/roles/{role_id}": PATCH roles::change, DELETE roles::delete;
    "/api/users/{user_id}/roles/{role_id}": PUT roles::give, DELETE roles::take;
    "/api/bans": GET bans::list;
    "/api/bans/{user_id}": PUT bans::ban, DELETE bans::unban;
    "/api/audit": GET audit::list;
    "/api/gossip": POST gossip::post;
    "/api/users/{user_id}": GET users::get, PATCH users::change;
    "/api/invites": GET invites::list, POST invites::create;
    "/api/invites/{code}": DELETE invites::delete;

    "/api/auth/challenge": POST auth::challenge;
    "/api/auth/register": POST auth::register;
    "/api/auth/verify": POST auth::verify;
    "/api/auth/refresh": POST auth::refresh;
    "/api/auth/logout": POST auth::logout;

    "/health": GET operations::health;
    "/api/info": GET operations::info;
}

/// The methods of a route as headers list them. Where GET is answered, so is HEAD.
fn listed(methods: &[&str]) -> String {
    let mut listed = methods.to_vec();
    if listed.contains(&GET) {
        listed.push(HEAD);
    }
    listed.push(OPTIONS);
    listed.join(", ")
}

fn not_allowed(methods: &[&str], request_id: &str) -> Reply {
    let allow = listed(methods);
    let problem = Code::MethodNotAllowed.with(format!("this path takes {allow}"));
    Reply::problem(&problem, request_id).with("allow", allow)
}

/// The answer to OPTIONS, which is what browsers ask before they let a page of another origin ask.
fn preflight(methods: &[&str]) -> Reply {
    let allow = listed(methods);
    Cors::preflight(Reply::empty(204).with("allow", allow.clone()), allow)
}

/// What a path names, still percent-encoded.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(&'static str, String)>);

impl Params {
    /// Matches a path with a route's.
    fn of(route: &'static str, path: &str) -> Option<Self> {
        let mut params = Vec::new();
        let mut segments = path.split('/');
        for expected in route.split('/') {
            let segment = segments.next()?;
            match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !segment.is_empty() => params.push((name, segment.to_owned())),
                None if expected == segment => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(Self(params))
    }

    /// What the path names here, decoded.
    ///
    /// # Errors
    /// 400 `ID_INVALID` where it does not decode into UTF-8.
    pub(crate) fn decoded(&self, name: &str) -> Result<String, Problem> {
        let (_, text) = self.0.iter().find(|(key, _)| *key == name).ok_or_else(Problem::internal)?;
        percent_decode(text)
            .ok_or_else(|| Code::IdInvalid.with(format!("{name} in the path does not decode")))
    }
}

/// Decodes `%XX`; everything else stands for itself, `+` too.
fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

/// A client's own name for a request: 1 to 64 visible ASCII characters. Else one of ours.
fn request_id(request: &Incoming) -> String {
    let own = request.header("x-request-id");
    own.filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or_else(|| Uuid::now_v7().to_string())
}

/// Answers a request, whatever it is.
pub(crate) async fn answer(
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> worker::Result<web_sys::Response> {
    let request = Incoming::new(request);
    let cors = Cors::of(&env, &request);
    let exposes_cost = config::exposes_cost(&env);
    let (method, path) = (request.method.clone(), request.path().to_owned());
    let request_id = request_id(&request);
    let mut call = Call::new(request, env, context, request_id);

    let asked = if method == HEAD { GET } else { method.as_str() };
    let reply = dispatch(&path, asked, &mut call).await.unwrap_or_else(|problem| {
        if problem.code == Code::Internal {
            console_error!("500 on {method}, request {}", call.request_id);
        }
        Reply::problem(&problem, &call.request_id)
    });

    let reply = call.told().into_iter().fold(reply, |reply, (name, value)| reply.with(name, value));
    let reply = if method == HEAD { reply.without_body() } else { reply };
    // A write's cost came with the object's answer.
    let cost = call.cost().filter(|_| exposes_cost);
    let reply = match cost {
        Some(cost) => reply.with(COST_HEADER, cost.to_string()),
        None => reply,
    };
    let reply = reply
        .with("x-request-id", call.request_id)
        // What one user reads is nobody else's, and a moment later no longer true.
        .with("cache-control", "no-store".into())
        .with("x-content-type-options", "nosniff".into());
    cors.apply(reply).into_response()
}
