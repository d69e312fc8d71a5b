//! Sending a request once more when that may help: the server is being restarted, or is too busy at the moment.
//!
//! Only before the first byte of an answer, only for failures that pass ([`Repeat`]), and briefly: `MetaGPT` tries
//! three times itself, and a server that is down should cost it seconds only. A time limit that ran out is never tried
//! again: a client that leaves ends the loading of its model, and would start it anew with every try. Transfers are more
//! patient ([`super::resumption`]).

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::lane::Lane;
use super::policy::{Retry, later};
use super::request::Request;
use crate::error::{Error, Repeat};
use crate::stats::Trace;

/// Says when one request is sent again.
pub(super) struct RetryPlan {
    policy: Retry,
    /// When the request was made.
    since: Instant,
    /// When the total limit runs out.
    end: Option<Instant>,
    /// How much time was spent on waits that the server asked for.
    obeyed: Duration,
    /// How many retries there were.
    taken: u32,
    /// Whether the request may change something.
    changing: bool,
}

impl RetryPlan {
    /// Begins with `request`, now. `total` is its total limit.
    pub(super) fn new(policy: Retry, request: &Request, total: Option<Duration>) -> Self {
        let since = Instant::now();
        Self {
            policy,
            since,
            end: total.and_then(|total| since.checked_add(total)),
            obeyed: Duration::ZERO,
            taken: 0,
            changing: request.endpoint.changes,
        }
    }

    /// When the request was made.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Waits until it is time for another try, or gives `error` back because there is none.
    pub(super) async fn wait_for_next(
        &mut self,
        error: Error,
        lane: &Lane,
        trace: Option<&Trace>,
    ) -> Result<(), Error> {
        let Some(wait) = self.next_wait(&error, random_fraction()) else {
            return Err(last_of(error, self.taken));
        };
        self.taken += 1;
        if error.retry_after.is_some() {
            self.obeyed = self.obeyed.saturating_add(wait);
        }
        if let Some(trace) = trace {
            note_retry(trace, self.taken, self.policy, wait, "", &error);
        }
        lane.sleep(wait).await;
        Ok(())
    }

    /// How long to wait until the next try; `None` if there is none.
    fn next_wait(&self, error: &Error, roll: f64) -> Option<Duration> {
        match error.repeat {
            Repeat::Never => return None,
            Repeat::Unsure if self.changing => return None,
            Repeat::Unsure | Repeat::Safe => {}
        }
        let now = Instant::now();
        let spent = now.duration_since(self.since).saturating_sub(self.obeyed);
        let wait = self
            .policy
            .wait(self.taken, spent, error.retry_after, roll)?;
        let in_time = self.end.is_none_or(|end| later(now, wait) < end);
        in_time.then_some(wait)
    }
}

/// `error`, which ends a request that was sent again `retries` times.
pub(super) fn last_of(error: Error, retries: u32) -> Error {
    match retries {
        0 => error,
        retries => error.with_sentence(&format!("Tried {} times.", retries + 1)),
    }
}

/// Notes for the log that the call of `trace` is sent again after `wait`, because of `error`. `number` counts the retries,
/// of which `policy` allows so many; `how` may add to what is said of them.
pub(super) fn note_retry(
    trace: &Trace,
    number: u32,
    policy: Retry,
    wait: Duration,
    how: &str,
    error: &Error,
) {
    let call = trace.call();
    trace.note_retry(format!(
        "retry {number} of {} of {}{} after {:.1} s{how}: {}",
        policy.count,
        call.host,
        call.endpoint,
        wait.as_secs_f64(),
        error.message
    ));
}

/// A number from 0 to 1 that differs from client to client: the hasher's keys are random.
pub(super) fn random_fraction() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    u32::try_from(bits).map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::error::Kind;
    use crate::http::endpoint::{Endpoint, Method};

    /// A request to an endpoint that no table knows.
    fn request(method: Method, path: &str) -> Request {
        Request::to(Endpoint::unknown(method, path))
    }

    #[tokio::test]
    async fn the_longest_wait_is_waited() {
        let policy = Retry {
            count: 1,
            first: Duration::MAX,
            budget: Duration::MAX,
            retry_after: Duration::MAX,
        };
        for asked in [None, Some(1.8e19)] {
            let error = Error::new(Kind::Connect, "no.").with_repeat(Repeat::Safe, asked);
            let mut tries = RetryPlan::new(policy, &request(Method::Get, "/"), Some(Duration::MAX));
            let waiting = tries.wait_for_next(error, &Lane::General, None);
            let moment = Duration::from_millis(5);
            assert!(tokio::time::timeout(moment, waiting).await.is_err());
        }
    }

    #[test]
    fn rolls_lie_between_zero_and_one() {
        assert!(
            (0..1000)
                .map(|_| random_fraction())
                .all(|roll| (0.0..=1.0).contains(&roll))
        );
    }

    #[tokio::test]
    async fn only_failures_that_pass_are_repeated() {
        let policy = Retry {
            first: Duration::from_nanos(1),
            ..Retry::default()
        };
        let failure = |repeat| Error::new(Kind::Connect, "no.").with_repeat(repeat, None);
        let chat = Request::to(Endpoint {
            changes: false,
            ..Endpoint::unknown(Method::Post, "/api/chat")
        });
        let tags = || request(Method::Get, "/api/tags");
        let delete = || request(Method::Delete, "/api/delete");
        for (request, repeat, tries) in [
            (tags(), Repeat::Never, 1),
            (tags(), Repeat::Safe, 3),
            (tags(), Repeat::Unsure, 3),
            (chat, Repeat::Unsure, 3),
            (request(Method::Post, "/api/pull"), Repeat::Unsure, 1),
            (request(Method::Post, "/api/copy"), Repeat::Safe, 3),
            (request(Method::Post, "/api/copy"), Repeat::Unsure, 1),
            (delete(), Repeat::Unsure, 1),
            (delete(), Repeat::Safe, 3),
        ] {
            let mut policy = RetryPlan::new(policy, &request, None);
            let mut count = 1;
            while policy
                .wait_for_next(failure(repeat), &Lane::General, None)
                .await
                .is_ok()
            {
                count += 1;
            }
            assert_eq!(count, tries, "{request:?} {repeat:?}");
        }
    }

    #[tokio::test]
    async fn the_total_limit_ends_it() {
        let policy = Retry {
            first: Duration::from_secs(1),
            ..Retry::default()
        };
        let error = Error::new(Kind::Connect, "no.").with_repeat(Repeat::Safe, None);
        let total = Some(Duration::from_millis(10));
        let mut tries = RetryPlan::new(policy, &request(Method::Get, "/"), total);
        assert_eq!(
            tries
                .wait_for_next(error, &Lane::General, None)
                .await
                .unwrap_err()
                .message,
            "no."
        );
    }
}
