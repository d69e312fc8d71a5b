//! The time limits of one exchange, kept by a single timer that is moved lazily: a read costs no timer operation.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Attempt;
use super::lane::{Lane, Timer};
use super::policy::{Timeouts, later};
use crate::error::{Error, Phase};

/// Keeps the limits for the first token, for idle times and for the total time of one exchange. The connect limit belongs to
/// the lanes, which alone see connections.
pub(super) struct ExchangeClock {
    limits: Timeouts,
    /// When the total limit runs out.
    total: Option<Instant>,
    /// When the phase began, or the last read with payload ended.
    since: Instant,
    /// Whether no payload has arrived yet.
    awaits_first: bool,
    /// Whether a file is being sent: then the idle limit counts, from one piece of it to the next.
    uploading: bool,
    timer: Timer,
}

impl ExchangeClock {
    /// Starts now, waiting for the first byte. The total limit counts from `asked`, when the first try was made.
    pub(super) fn start(lane: &Lane, limits: Timeouts, asked: Instant) -> Self {
        let now = Instant::now();
        let mut clock = Self {
            limits,
            total: limits.total.and_then(|limit| asked.checked_add(limit)),
            since: now,
            awaits_first: true,
            uploading: false,
            timer: lane.timer(now),
        };
        clock.arm();
        clock
    }

    /// The body has begun, or goes on: from now on (and from now on again) the idle limit counts.
    pub(super) fn payload_arrived(&mut self) {
        self.awaits_first = false;
        self.since = Instant::now();
    }

    /// So much of the time was the reader's, and counts for no limit but the total one.
    pub(super) fn discount(&mut self, time: Duration) {
        self.since = later(self.since, time);
    }

    /// Runs `work` until it is done or a limit runs out. While `attempt` is making its connection, the connect limit
    /// counts instead of the first token's.
    pub(super) async fn run<T>(
        &mut self,
        work: impl Future<Output = T>,
        attempt: Option<&Attempt>,
    ) -> Result<T, Error> {
        tokio::pin!(work);
        self.uploading = attempt.is_some_and(Attempt::is_uploading);
        self.arm();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = &mut self.timer => {
                    let now = Instant::now();
                    if let Some(sent) = attempt.and_then(|attempt| attempt.ready_since(now)) {
                        self.since = sent;
                    }
                    self.uploading = attempt.is_some_and(Attempt::is_uploading);
                    if let Some(error) = self.expired(now) {
                        return Err(error);
                    }
                    let at = self.deadline();
                    self.timer.reset(at);
                }
            }
        }
    }

    /// Moves the timer only when it would fire too late; one that fires early is moved on then.
    fn arm(&mut self) {
        let at = self.deadline();
        if at < self.timer.deadline() || self.timer.deadline() <= Instant::now() {
            self.timer.reset(at);
        }
    }

    /// The limit that counts now besides the total one.
    fn phase(&self) -> (Duration, Phase) {
        if self.awaits_first && !self.uploading {
            (self.limits.first_token, Phase::FirstToken)
        } else {
            (self.limits.idle, Phase::Idle)
        }
    }

    /// When the next limit runs out.
    fn deadline(&self) -> Instant {
        let phase = later(self.since, self.phase().0);
        self.total.map_or(phase, |total| total.min(phase))
    }

    /// The error of a limit that has run out by `now`.
    fn expired(&self, now: Instant) -> Option<Error> {
        if let (Some(at), Some(limit)) = (self.total, self.limits.total)
            && now >= at
        {
            return Some(Error::timeout(Phase::Total, limit, "the whole reply"));
        }
        let (limit, phase) = self.phase();
        let what = match (self.uploading, self.awaits_first) {
            (true, _) => "the server taking more of the file",
            (false, true) => "the first token",
            (false, false) => "more of the reply",
        };
        (now >= later(self.since, limit)).then(|| Error::timeout(phase, limit, what))
    }
}
