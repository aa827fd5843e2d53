//! Signatures of P-256 and RSA, checked by the platform itself.

use edgewise_core::token::keys::{CheckSignature, Material};
use worker::{
    console_error,
    js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array, global},
    wasm_bindgen::{JsCast as _, JsValue},
    wasm_bindgen_futures::JsFuture,
};

/// The platform's `crypto.subtle`.
pub(crate) struct WebCrypto;

impl CheckSignature for WebCrypto {
    async fn check(&self, key: &Material, signed: &[u8], signature: &[u8]) -> bool {
        verify(key, signed, signature).await.unwrap_or_else(|error| {
            // A point that is not on the curve, say: the issuer's key is none.
            console_error!("a key of an issuer cannot be used: {error:?}");
            false
        })
    }
}

async fn verify(key: &Material, signed: &[u8], signature: &[u8]) -> Result<bool, JsValue> {
    let (jwk, algorithm) = match key {
        Material::P256 { x, y } => (
            object(&[("kty", "EC"), ("crv", "P-256"), ("x", x), ("y", y)])?,
            object(&[("name", "ECDSA"), ("namedCurve", "P-256"), ("hash", "SHA-256")])?,
        ),
        Material::Rsa { n, e } => (
            object(&[("kty", "RSA"), ("n", n), ("e", e)])?,
            object(&[("name", "RSASSA-PKCS1-v1_5"), ("hash", "SHA-256")])?,
        ),
        Material::Ed25519(_) => return Ok(false),
    };
    let subtle = Reflect::get(&Reflect::get(&global(), &"crypto".into())?, &"subtle".into())?;
    let usages = Array::of1(&"verify".into());
    let import = ["jwk".into(), jwk.into(), algorithm.clone().into(), false.into(), usages.into()];
    let key = call(&subtle, "importKey", import).await?;
    let verify = [algorithm.into(), key, Uint8Array::from(signature).into(), Uint8Array::from(signed).into()];
    Ok(call(&subtle, "verify", verify).await?.is_truthy())
}

fn object(fields: &[(&str, &str)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &(*name).into(), &(*value).into())?;
    }
    Ok(object)
}

async fn call<const N: usize>(
    object: &JsValue,
    method: &str,
    arguments: [JsValue; N],
) -> Result<JsValue, JsValue> {
    let method: Function = Reflect::get(object, &method.into())?.dyn_into()?;
    let promise: Promise = method.apply(object, &arguments.into_iter().collect())?.dyn_into()?;
    JsFuture::from(promise).await
}
