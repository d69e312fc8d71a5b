//! How long a client waits and how often it asks: the values of its policies, and nothing that carries them out.

use std::time::Duration;

use tokio::time::Instant;

/// How long an unused connection is kept. Ollama itself never closes one; whatever stands between may, and then the
/// request that meets the closed connection is sent once more on a new one.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(600);

/// Each wait is so many times as long as the one before.
const GROWTH: u32 = 4;

/// The longest wait of our own choice.
const LONGEST: Duration = Duration::from_secs(1);

/// The same for a transfer that goes on where it stopped: the first wait is so many times [`Retry::first`], each further one
/// so many times the one before, up to [`LONGEST_OF_TRANSFER`]. A server that is being restarted takes seconds, a network
/// longer.
const GROWTH_OF_TRANSFER: u32 = 5;
const LONGEST_OF_TRANSFER: Duration = Duration::from_secs(30);

/// As good as no limit, and within what the clock can express.
pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// `start + limit`; a limit beyond what the clock can express is a year.
pub(super) fn later(start: Instant, limit: Duration) -> Instant {
    start + limit.min(YEAR)
}

/// The four time limits. `Duration::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included. Nothing to wait for when a pooled one is used.
    pub connect: Duration,
    /// From the request until the first byte of the reply's body: queueing, loading the model, reading the prompt.
    pub first_token: Duration,
    /// Between two reads once the body has begun. The time in which the reader is not ready does not count. For both,
    /// only payload is a byte of the body, not what keeps a connection alive: blank lines, comments of an event stream.
    pub idle: Duration,
    /// The whole exchange; none by default, because a healthy stream may be long.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(600),
            idle: Duration::from_secs(120),
            total: None,
        }
    }
}

/// How often and for how long a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first one.
    pub count: u32,
    /// The first wait, give or take a quarter; the next ones grow fourfold, up to a second.
    pub first: Duration,
    /// No retry begins later than this after the request, what `Retry-After` asked for not counted.
    pub budget: Duration,
    /// The longest `Retry-After` that is obeyed. A server that asks for more gets no retry.
    pub retry_after: Duration,
}

impl Retry {
    /// One try only.
    pub const OFF: Self = Self {
        count: 0,
        first: Duration::ZERO,
        budget: Duration::ZERO,
        retry_after: Duration::ZERO,
    };

    /// How long to wait before retry number `taken` (from 0), `spent` after the request; `None`: give up. `roll` is
    /// from 0 to 1 and spreads the waits of many clients.
    pub(super) fn wait(
        &self,
        taken: u32,
        spent: Duration,
        asked: Option<f64>,
        roll: f64,
    ) -> Option<Duration> {
        if taken >= self.count {
            return None;
        }
        if let Some(asked) = asked {
            let wait = Duration::try_from_secs_f64(asked).ok()?;
            return (wait <= self.retry_after).then_some(wait.min(YEAR));
        }
        let first = self.first.min(YEAR);
        let wait = spread(first, GROWTH.saturating_pow(taken), LONGEST, roll);
        (spent.saturating_add(wait) <= self.budget).then_some(wait)
    }

    /// How long to wait before a transfer goes on for the time number `taken` (from 0) since it came further; `None`: give
    /// up. A transfer takes as long as it takes, so it has no budget.
    pub(super) fn transfer_wait(
        &self,
        taken: u32,
        asked: Option<f64>,
        roll: f64,
    ) -> Option<Duration> {
        if asked.is_some() {
            return self.wait(taken, Duration::ZERO, asked, roll);
        }
        let grown = GROWTH_OF_TRANSFER.saturating_pow(taken.saturating_add(1));
        let wait = spread(self.first.min(YEAR), grown, LONGEST_OF_TRANSFER, roll);
        (taken < self.count).then_some(wait)
    }
}

/// `first` times `factor`, at most `longest` (or `first`, where that is longer), give or take a quarter.
fn spread(first: Duration, factor: u32, longest: Duration, roll: f64) -> Duration {
    let grown = first.saturating_mul(factor);
    grown.min(longest.max(first)).mul_f64(0.75 + 0.5 * roll)
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            count: 2,
            first: Duration::from_millis(200),
            budget: Duration::from_secs(3),
            retry_after: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn milliseconds(wait: Option<Duration>) -> Option<u128> {
        wait.map(|wait| wait.as_millis())
    }

    #[test]
    fn waits_grow_are_spread_and_have_a_ceiling() {
        let policy = Retry {
            count: 5,
            budget: Duration::MAX,
            ..Retry::default()
        };
        let waits = |roll| {
            (0..6)
                .map(|taken| milliseconds(policy.wait(taken, Duration::ZERO, None, roll)))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            waits(0.5),
            [
                Some(200),
                Some(800),
                Some(1000),
                Some(1000),
                Some(1000),
                None
            ]
        );
        assert_eq!(
            waits(0.0),
            [Some(150), Some(600), Some(750), Some(750), Some(750), None]
        );
        assert_eq!(
            waits(1.0),
            [
                Some(250),
                Some(1000),
                Some(1250),
                Some(1250),
                Some(1250),
                None
            ]
        );
    }

    #[test]
    fn a_transfer_is_waited_for_longer() {
        let policy = Retry {
            count: 5,
            budget: Duration::ZERO,
            ..Retry::default()
        };
        let waits: Vec<_> = (0..6)
            .map(|taken| {
                policy
                    .transfer_wait(taken, None, 0.5)
                    .map(|wait| wait.as_secs())
            })
            .collect();
        assert_eq!(
            waits,
            [Some(1), Some(5), Some(25), Some(30), Some(30), None]
        );
        assert_eq!(
            milliseconds(policy.transfer_wait(0, Some(7.0), 0.5)),
            Some(7000)
        );
        assert_eq!(policy.transfer_wait(0, Some(10.5), 0.5), None);
        assert_eq!(Retry::OFF.transfer_wait(0, None, 0.5), None);
    }

    #[test]
    fn no_number_is_too_large() {
        let policy = Retry {
            count: u32::MAX,
            first: Duration::MAX,
            budget: Duration::MAX,
            retry_after: Duration::MAX,
        };
        for taken in [0, 1, u32::MAX - 1] {
            for roll in [0.0, 1.0] {
                let wait = policy.wait(taken, Duration::ZERO, None, roll).unwrap();
                assert!(wait >= YEAR / 2 && wait <= 2 * YEAR);
                assert_eq!(
                    policy.wait(taken, Duration::MAX, Some(1.8e19), roll),
                    Some(YEAR)
                );
                assert_eq!(policy.wait(taken, Duration::ZERO, Some(1e300), roll), None);
            }
        }
    }

    #[test]
    fn the_budget_ends_it() {
        let policy = Retry::default();
        let spent = |milliseconds| Duration::from_millis(milliseconds);
        assert_eq!(
            milliseconds(policy.wait(0, spent(2800), None, 0.5)),
            Some(200)
        );
        assert_eq!(policy.wait(0, spent(2801), None, 0.5), None);
        assert_eq!(policy.wait(2, spent(0), None, 0.5), None);
        assert_eq!(Retry::OFF.wait(0, spent(0), None, 0.5), None);
    }

    #[test]
    fn what_the_server_asks_for_is_obeyed_within_reason() {
        let policy = Retry::default();
        let late = Duration::from_secs(60);
        assert_eq!(
            milliseconds(policy.wait(0, late, Some(7.0), 0.9)),
            Some(7000)
        );
        assert_eq!(milliseconds(policy.wait(0, late, Some(0.0), 0.9)), Some(0));
        assert_eq!(policy.wait(0, late, Some(10.5), 0.9), None);
        assert_eq!(policy.wait(0, late, Some(f64::INFINITY), 0.9), None);
        assert_eq!(policy.wait(2, late, Some(1.0), 0.9), None);
    }
}
