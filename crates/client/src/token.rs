//! The token a client speaks with, and where the next one comes from.

use std::{
    fmt,
    future::Future,
    sync::{Arc, PoisonError, RwLock},
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::Mutex;

use crate::Error;

/// An error of an application's own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where a new token comes from when the old one has expired.
///
/// Any async closure that gives a token is one:
///
/// ```
/// # use edgewise_client::{BoxError, Client};
/// # fn example() -> Result<(), edgewise_client::Error> {
/// let client = Client::new("https://chat.example.com", "the first token")?
///     .with_refresh(|| async { Ok::<_, BoxError>("the next token".to_owned()) });
/// # Ok(())
/// # }
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// A token that is good from now on.
    fn fresh(&self) -> BoxFuture<'_, Result<String, BoxError>>;
}

impl<F, Fut> TokenSource for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
{
    fn fresh(&self) -> BoxFuture<'_, Result<String, BoxError>> {
        self().boxed()
    }
}

/// The present token, shared by all clones of a client.
pub(crate) struct Tokens {
    current: RwLock<String>,
    source: Option<Arc<dyn TokenSource>>,
    /// Held while a new token is fetched, so that many expired requests fetch one.
    fetching: Mutex<()>,
}

impl Tokens {
    pub(crate) fn new(token: String, source: Option<Arc<dyn TokenSource>>) -> Self {
        Self { current: RwLock::new(token), source, fetching: Mutex::new(()) }
    }

    pub(crate) fn current(&self) -> String {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn can_refresh(&self) -> bool {
        self.source.is_some()
    }

    /// The token that takes the place of `expired`.
    pub(crate) async fn replace(&self, expired: &str) -> Result<String, Error> {
        let Some(source) = &self.source else {
            return Err(Error::Refresh("this client was given a token and no source of others".into()));
        };
        let _fetching = self.fetching.lock().await;
        let current = self.current();
        if current != expired {
            return Ok(current);
        }
        let fresh = source.fresh().await.map_err(Error::Refresh)?;
        self.current.write().unwrap_or_else(PoisonError::into_inner).clone_from(&fresh);
        Ok(fresh)
    }
}

/// A token is a secret: it is left out.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("can_refresh", &self.can_refresh()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn expired_together_fetch_once() {
        let fetched = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&fetched);
        let source = move || {
            let counter = Arc::clone(&counter);
            async move {
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                Ok::<_, BoxError>(format!("token {number}"))
            }
        };
        let tokens = Tokens::new("token 0".into(), Some(Arc::new(source)));
        let (a, b) = tokio::join!(tokens.replace("token 0"), tokens.replace("token 0"));
        assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("token 1", "token 1"));
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn without_a_source_there_is_no_other() {
        let tokens = Tokens::new("only".into(), None);
        assert!(matches!(tokens.replace("only").await, Err(Error::Refresh(_))));
    }
}
