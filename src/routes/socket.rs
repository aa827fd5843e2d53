//! `GET /api/channels/{channel_id}/ws`: a WebSocket, handed to the channel's object once its token has verified.
//!
//! A browser cannot read the status of a handshake that failed. So whatever is wrong with a socket's request but its
//! not being one, the socket is accepted and closed at once, with the code that says why; and as the object has no
//! part in that, nobody without a token wakes it.

use edgewise_core::{
    access::Caller,
    engine::CloseCode,
    ids::ChannelId,
    problem::{Code, Problem},
};
use worker::{WebSocketPair, console_error};

use crate::{
    auth,
    call::Call,
    object::{self, PROTOCOL},
    reply::Reply,
};

/// Above every revision, and exact as a JavaScript number: what greater numbers stand for.
const MAX_REVISION: u64 = (1 << 53) - 1;

/// **101**; 426 `UPGRADE_REQUIRED` for what is no socket.
pub(crate) async fn connect(call: &mut Call) -> Result<Reply, Problem> {
    let upgrade = call.header("upgrade").unwrap_or_default();
    if !upgrade.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket")) {
        return Err(Code::UpgradeRequired.with("this is a WebSocket: connect with Upgrade: websocket"));
    }
    let offered = call.header("sec-websocket-protocol").unwrap_or_default();
    let offered: Vec<&str> = offered.split(',').map(str::trim).collect();
    let protocol = offered.contains(&PROTOCOL).then_some(PROTOCOL);
    let reply = match admit(call, &offered).await? {
        Ok((caller, channel, since)) => {
            let response = object::connect(&call.env, channel, &caller, since, protocol).await?;
            let status = response.status_code();
            let Some(socket) = response.websocket() else {
                console_error!("a channel's object answered a socket with {status}");
                return Err(Problem::internal());
            };
            Reply::socket(socket)
        }
        Err((code, reason)) => refusal(code, reason)?,
    };
    Ok(match protocol {
        Some(protocol) => reply.with("sec-websocket-protocol", protocol.into()),
        None => reply,
    })
}

/// Who connects, where, and from which revision on; or with which code the socket closes, and why.
type Admission = Result<(Caller, ChannelId, Option<u64>), (CloseCode, &'static str)>;

async fn admit(call: &Call, offered: &[&str]) -> Result<Admission, Problem> {
    auth::check_config(&call.env)?;
    let Some(token) = token(call, offered) else {
        return Ok(Err((CloseCode::TokenInvalid, "no token")));
    };
    let caller = match auth::verify(&call.env, &token, call.now).await {
        Ok(caller) => caller,
        Err(problem) => {
            return match problem.code {
                Code::TokenExpired => Ok(Err((CloseCode::TokenExpired, "the token has expired"))),
                Code::TokenInvalid => Ok(Err((CloseCode::TokenInvalid, "the token does not verify"))),
                _ => Err(problem),
            };
        }
    };
    let Ok(channel) = call.channel() else {
        return Ok(Err((CloseCode::NoChannel, "there is no such channel")));
    };
    let Ok(since) = call.query.number("since") else {
        return Ok(Err((CloseCode::ProtocolError, "since is not a number")));
    };
    Ok(Ok((caller, channel, since.map(|since| since.min(MAX_REVISION)))))
}

/// The token: a subprotocol `bearer.<JWT>`, which is where browsers can put one; a header; or the query.
fn token(call: &Call, offered: &[&str]) -> Option<String> {
    let in_query = || call.query.text("token").ok().flatten().map(str::to_owned);
    offered
        .iter()
        .find_map(|protocol| protocol.strip_prefix("bearer."))
        .map(str::to_owned)
        .or_else(|| call.bearer().ok())
        .or_else(in_query)
        .filter(|token| !token.is_empty())
}

/// A socket that is closed as soon as it is open. It was never hibernatable, so that the Close frame and the end of
/// the connection go out at once.
fn refusal(code: CloseCode, reason: &str) -> Result<Reply, Problem> {
    let refused = || {
        let pair = WebSocketPair::new()?;
        pair.server.accept()?;
        pair.server.close(Some(code.code()), Some(reason))?;
        Ok(Reply::socket(pair.client))
    };
    refused().map_err(|error: worker::Error| {
        console_error!("a socket could not be refused: {error}");
        Problem::internal()
    })
}
