//! How often one address may ask the public identity routes: the platform's rate-limit binding decides.
//!
//! Its limit stands in wrangler.toml, and it answers only yes or no; so answers tell the policy, and how much is left
//! only where that is nothing.

use std::net::{IpAddr, Ipv6Addr};

use edgewise_core::problem::{Code, Problem};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{
    console_error,
    js_sys::{Function, Object, Promise, Reflect},
    wasm_bindgen_futures::JsFuture,
};

use crate::{call::Call, config};

/// The limit of `AUTH_LIMIT` in wrangler.toml, in requests and seconds.
const QUOTA: u32 = 10;
const WINDOW_S: u32 = 60;

/// Lets a request pass, or not.
///
/// # Errors
/// 429 `RATE_LIMITED`; 503 `CONFIG_MISSING` where there is neither the binding nor the word that none is wanted.
pub(crate) async fn admit(call: &mut Call) -> Result<(), Problem> {
    if !config::limits_auth(&call.env) {
        return Ok(());
    }
    let binding = Reflect::get(call.env.as_ref(), &config::AUTH_LIMIT.into()).unwrap_or(JsValue::UNDEFINED);
    if !binding.is_object() {
        let what = "the server has no rate limit bound as AUTH_LIMIT, and RATE_LIMIT_AUTH is not off";
        return Err(config::missing(what));
    }
    call.tell("ratelimit-policy", format!(r#""auth";q={QUOTA};w={WINDOW_S}"#));
    let address = call.header("cf-connecting-ip").unwrap_or_default();
    match ask(&binding, &key(&address)).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            call.tell("ratelimit", format!(r#""auth";r=0;t={WINDOW_S}"#));
            let detail = format!("this address may ask {QUOTA} times in {WINDOW_S} seconds");
            Err(Code::RateLimited.with(detail).retry_after(WINDOW_S * 1_000))
        }
        // A limiter that is down is no reason to keep everyone out.
        Err(error) => {
            console_error!("the rate limit of the identity routes does not answer: {error:?}");
            Ok(())
        }
    }
}

/// Who counts as one: an IPv4 address, or a network of IPv6, any number of whose addresses one client has.
fn key(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
        _ => address.to_owned(),
    }
}

/// `binding.limit({key})`, and its `success`.
async fn ask(binding: &JsValue, key: &str) -> Result<bool, JsValue> {
    let question = Object::new();
    Reflect::set(&question, &"key".into(), &key.into())?;
    let limit: Function = Reflect::get(binding, &"limit".into())?.dyn_into()?;
    let answer: Promise = limit.call1(binding, &question)?.dyn_into()?;
    let outcome = JsFuture::from(answer).await?;
    Reflect::get(&outcome, &"success".into())?.as_bool().ok_or(outcome)
}
