//! `/api/users/{user_id}`: who a user is. `@me` is who asks.

use edgewise_core::{
    names::DisplayName,
    problem::{Code, Problem},
    read,
    write::users::rename,
};
use serde::Deserialize;

use crate::{call::Call, reply::Reply};

/// **200** the user.
pub(crate) async fn get(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let user = call.user(&caller)?;
    Ok(Reply::json(200, &read::users::one(call.database()?, &caller, &user, call.now).await?))
}

/// **200** the user. Nobody changes another.
pub(crate) async fn change(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Deserialize)]
    struct Body {
        display_name: String,
    }
    let caller = call.caller().await?;
    let user = call.user(&caller)?;
    let body: Body = call.json().await?;
    let name = DisplayName::parse(&body.display_name)
        .map_err(|error| Code::NameInvalid.with(format!("display_name {error}")))?;
    if user != caller.user_id {
        // Whether who asks is banned comes first.
        read::users::one(call.database()?, &caller, &caller.user_id, call.now).await?;
        return Err(Code::Forbidden.with("only the user may change that"));
    }
    Ok(Reply::json(200, &rename(call.database()?, &caller, &name, call.now).await?))
}
