//! When to try again: exponential pauses with jitter, within a bound.

use std::time::Duration;

use tokio::time::Instant;

/// How patiently a [`Client`](crate::Client) repeats what is safe to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// For how long a request is repeated, counted from its first try. Zero: never.
    pub patience: Duration,
    /// The first pause, before jitter.
    pub first: Duration,
    /// The longest pause, before jitter. A `Retry-After` of the server may be longer.
    pub longest: Duration,
}

impl Retry {
    /// Every refusal and every broken connection is the caller's to see.
    pub const NEVER: Self = Self { patience: Duration::ZERO, ..Self::PATIENT };

    /// What a client does unless told otherwise: 30 s of patience.
    pub const PATIENT: Self = Self {
        patience: Duration::from_secs(30),
        first: Duration::from_millis(100),
        longest: Duration::from_secs(5),
    };

    pub(crate) fn start(self) -> Attempts {
        Attempts { backoff: Backoff::new(self.first, self.longest), end: Instant::now() + self.patience }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::PATIENT
    }
}

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Attempts {
    backoff: Backoff,
    end: Instant,
}

impl Attempts {
    /// The pause before the next try, at least what the server asked for; `None` where patience has run out.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let pause = self.backoff.next(asked);
        (Instant::now() + pause <= self.end).then_some(pause)
    }
}

/// Pauses that double, each jittered, so that clients thrown out together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0 }
    }

    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    /// Between half of the pause and all of it; after `asked` where that is given.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let full = self.first.saturating_mul(2u32.saturating_pow(self.tries)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        asked.unwrap_or_default() + full.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for full in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next(None);
            assert!(pause >= Duration::from_millis(full / 2) && pause <= Duration::from_millis(full));
        }
        for _ in 0..100 {
            assert!(backoff.next(None) <= Duration::from_secs(1));
        }
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_millis(100));
    }

    #[test]
    fn the_servers_pause_is_kept_and_patience_ends() {
        let mut attempts = Retry { patience: Duration::from_secs(3), ..Retry::PATIENT }.start();
        let pause = attempts.next(Some(Duration::from_secs(2)));
        assert!(pause.is_some_and(|pause| pause >= Duration::from_secs(2)));
        assert_eq!(attempts.next(Some(Duration::from_secs(4))), None);
        assert_eq!(Retry::NEVER.start().next(None), None);
    }
}
