//! How long a client waits and how often it asks: the values of its policies, and nothing that carries them out.

use std::time::Duration;

use tokio::time::Instant;

/// How long an unused connection is kept. Ollama itself never closes one; whatever stands between may, and then the
/// request that meets the closed connection is sent once more on a new one.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(600);

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
