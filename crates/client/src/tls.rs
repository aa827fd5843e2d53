//! One TLS setup for HTTP and WebSocket: rustls with ring, certificates checked as the platform does.

use std::sync::Arc;

use reqwest::Url;
use rustls::{ClientConfig, RootCertStore, crypto::ring, version};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::Error;

/// What a server at this address is spoken to with.
///
/// A server without TLS gets a setup that trusts nobody: it is never used, and a machine without certificates
/// can still talk to itself.
pub(crate) fn config(url: &Url) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| Error::Tls(error.to_string()))?;
    let builder = if url.scheme() == "https" {
        builder.with_platform_verifier().map_err(|error| Error::Tls(error.to_string()))?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
