//! `/api/audit`: who did what.

use edgewise_core::{problem::Problem, read};

use crate::{call::Call, reply::Reply};

/// **200** `{entries, has_more}`.
pub(crate) async fn list(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let before = call.query.entry("before")?;
    let limit = read::list_limit(call.query.number("limit")?)?;
    Ok(Reply::json(200, &read::audit::list(call.database()?, &caller, before, limit, call.now).await?))
}
