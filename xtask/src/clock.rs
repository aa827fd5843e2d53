//! The time. The Worker has to get it elsewhere, so the lints forbid it everywhere but here.
#![expect(clippy::disallowed_methods, reason = "this program runs natively")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A stopwatch, started by making one.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn seconds(self) -> String {
        human(self.elapsed())
    }
}

/// `4.2 s`, `35 s`, `2 min 05 s`: as exact as someone who waited wants it.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f32()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_speech() {
        assert_eq!(human(Duration::from_millis(4_230)), "4.2 s");
        assert_eq!(human(Duration::from_secs(35)), "35 s");
        assert_eq!(human(Duration::from_secs(125)), "2 min 05 s");
    }
}
