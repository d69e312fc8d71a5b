//! A transfer that broke off goes on: the request is sent again, and the server takes up what it has of the model.
//!
//! Ollama keeps the part of a blob that it has, so a pull that is asked for again goes on where it stopped, and a push sends
//! what the registry does not have yet. What is waited for is a server that comes back, or a network; that takes longer
//! than the retry of a call may ([`super::retry_plan`]), and a transfer may break off more than once. So the retries of
//! the policy count anew whenever the transfer has come further than ever before:
//!
//! ```text
//! {"status":"pulling a1","digest":"sha256:a1","total":9,"completed":4}   connection reset    -> retry 1 of 2
//! {"status":"pulling a1","digest":"sha256:a1","total":9,"completed":7}   connection reset    -> retry 1 of 2
//! {"status":"pulling a1","digest":"sha256:a1","total":9,"completed":7}   connection refused  -> retry 2 of 2
//! ```
//!
//! What the server itself reports (a model that does not exist, a full disk) is no break, unless it reports one between
//! itself and the registry.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::lane::Lane;
use super::policy::{Retry, Timeouts, later};
use super::request::Request;
use super::retry_plan::{last_of, note_retry, random_fraction};
use crate::error::{Cause, Error, Kind, Phase, Repeat};

/// How many bytes of each blob have been transferred, by the blob's digest.
pub(super) type Completed = HashMap<String, u64>;

/// The words with which Ollama reports that it has lost the registry. It has tried again itself by then, for seconds to
/// minutes, and says so ("max retries exceeded: EOF").
const LOST_REGISTRY: [&str; 11] = [
    "max retries exceeded",
    "EOF",
    "connection reset",
    "connection refused",
    "broken pipe",
    "i/o timeout",
    "handshake timeout",
    "deadline exceeded",
    "network is unreachable",
    "temporary failure in name resolution",
    "server misbehaving",
];

/// What does not get better by another try, although it may stand beside words of [`LOST_REGISTRY`].
const FULL_DISK: &str = "no space left";

/// Says when the request of one transfer is sent again.
pub(super) struct Resumption {
    request: Request,
    policy: Retry,
    limits: Timeouts,
    /// When the total limit runs out.
    end: Option<Instant>,
    completed: Completed,
    /// How often the request was sent again since the transfer came further.
    taken: u32,
    /// How often it was sent again at all.
    resent: u32,
}

impl Resumption {
    /// For a transfer that `request` begins now; `None` where its endpoint has no transfers, or nothing is sent again.
    /// `policy` and `limits` are those of the client.
    pub(super) fn of(request: &Request, policy: Retry, limits: Timeouts) -> Option<Box<Self>> {
        let policy = request.retry.unwrap_or(policy);
        let limits = request.timeouts.unwrap_or(limits);
        (request.endpoint.resumes && policy.count > 0).then(|| {
            Box::new(Self {
                request: request.clone(),
                policy,
                limits,
                end: limits
                    .total
                    .and_then(|total| Instant::now().checked_add(total)),
                completed: Completed::new(),
                taken: 0,
                resent: 0,
            })
        })
    }

    /// Notes how far an attempt has come.
    pub(super) fn note_completed(&mut self, completed: Completed) {
        for (digest, bytes) in completed {
            let known = self.completed.entry(digest).or_default();
            if bytes > *known {
                *known = bytes;
                self.taken = 0;
            }
        }
    }

    /// Waits until it is time to go on, and gives the request to send then; or gives `error` back because the transfer
    /// has ended with it. The message of `error` is noted for the log, and `noted` called then.
    pub(super) async fn wait_for_next(
        &mut self,
        error: Error,
        lane: &Lane,
        noted: impl FnOnce(),
    ) -> Result<Request, Error> {
        let Some(wait) = self.next_wait(&error, random_fraction()) else {
            return Err(last_of(error, self.resent));
        };
        self.taken += 1;
        self.resent = self.resent.saturating_add(1);
        if let Some(trace) = &self.request.trace {
            let how = ", which goes on where it stopped";
            note_retry(trace, self.taken, self.policy, wait, how, &error);
        }
        noted();
        lane.sleep(wait).await;
        let left = |end: Instant| end.duration_since(Instant::now());
        Ok(Request {
            timeouts: Some(Timeouts {
                total: self.end.map(left),
                ..self.limits
            }),
            // Whoever goes on waits here.
            retry: Some(Retry::OFF),
            ..self.request.clone()
        })
    }

    /// How long to wait until the request is sent again; `None` if it is not.
    fn next_wait(&self, error: &Error, roll: f64) -> Option<Duration> {
        if !self.is_break(error) {
            return None;
        }
        let wait = self
            .policy
            .transfer_wait(self.taken, error.retry_after, roll)?;
        let now = Instant::now();
        let in_time = self.end.is_none_or(|end| later(now, wait) < end);
        in_time.then_some(wait)
    }

    /// Whether `error` says that a transfer that was under way has broken off.
    fn is_break(&self, error: &Error) -> bool {
        let under_way = self.resent > 0 || error.began || error.repeat == Repeat::Unsure;
        let text = error.server_text.as_deref().unwrap_or_default();
        under_way
            && match error.kind {
                // A line that ends with the connection is no JSON.
                Kind::Interrupted | Kind::Incomplete | Kind::Decode => true,
                Kind::Connect => {
                    matches!(
                        error.cause,
                        None | Some(Cause::Closed | Cause::UnknownName | Cause::Handshake)
                    )
                }
                Kind::Timeout => error.phase != Some(Phase::Total),
                // A server that was too busy to begin has said so.
                Kind::Status if error.repeat == Repeat::Safe => self.resent > 0,
                Kind::Status => error.repeat == Repeat::Unsure || is_lost_registry(text),
                Kind::MidStream => is_lost_registry(text),
                _ => false,
            }
    }
}

/// Whether the server says in `text` that it has lost the registry.
fn is_lost_registry(text: &str) -> bool {
    !text.contains(FULL_DISK) && LOST_REGISTRY.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::http::endpoint::{Endpoint, Method};

    const POLICY: Retry = Retry {
        count: 2,
        first: Duration::from_nanos(1),
        budget: Duration::ZERO,
        retry_after: Duration::from_secs(1),
    };

    fn transfer(policy: Retry, limits: Timeouts) -> Option<Box<Resumption>> {
        let request = Request::to(Endpoint {
            resumes: true,
            ..Endpoint::unknown(Method::Post, "/api/pull")
        });
        Resumption::of(&request, policy, limits)
    }

    fn cut() -> Error {
        Error::new(Kind::Interrupted, "cut.").after(200)
    }

    fn completed(digest: &str, bytes: u64) -> Completed {
        Completed::from([(digest.to_owned(), bytes)])
    }

    #[tokio::test]
    async fn retries_count_anew_when_the_transfer_has_come_further() {
        let mut transfer = transfer(POLICY, Timeouts::default()).unwrap();
        let lane = Lane::General;
        for bytes in [4, 7, 8] {
            transfer.note_completed(completed("a", bytes));
            for _ in 0..2 {
                let again = transfer.wait_for_next(cut(), &lane, || {}).await.unwrap();
                assert_eq!(again.retry, Some(Retry::OFF));
                // It is there already, or was once.
                transfer.note_completed(completed("a", 4));
            }
        }
        transfer.note_completed(completed("b", 0));
        let error = transfer
            .wait_for_next(cut(), &lane, || {})
            .await
            .unwrap_err();
        assert_eq!(error.message, "cut. Tried 7 times.");
    }

    #[test]
    fn only_transfers_go_on_and_only_with_retries() {
        let chat = Request::to(Endpoint::unknown(Method::Post, "/api/chat"));
        assert!(Resumption::of(&chat, POLICY, Timeouts::default()).is_none());
        assert!(transfer(Retry::OFF, Timeouts::default()).is_none());
    }

    #[tokio::test]
    async fn the_total_limit_ends_it() {
        let limits = Timeouts {
            total: Some(Duration::from_secs(1)),
            ..Timeouts::default()
        };
        let mut quick = transfer(POLICY, limits).unwrap();
        let again = quick
            .wait_for_next(cut(), &Lane::General, || {})
            .await
            .unwrap();
        assert!(again.timeouts.unwrap().total.unwrap() <= Duration::from_secs(1));
        let slow = Retry {
            first: Duration::from_secs(9),
            ..POLICY
        };
        let mut slow = transfer(slow, limits).unwrap();
        let error = slow
            .wait_for_next(cut(), &Lane::General, || {})
            .await
            .unwrap_err();
        assert_eq!(error.message, "cut.");
    }

    #[test]
    fn what_is_a_break_depends_on_the_kind_and_on_what_the_server_says() {
        let said = |kind, text: &str| {
            let error = Error::new(kind, "").with_server_text(Some(text.to_owned()), Vec::new());
            error.with_reply_begun()
        };
        let timeout = |phase| Error::timeout(phase, Duration::from_secs(1), "").after(200);
        let refused = || Error::new(Kind::Connect, "").with_repeat(Repeat::Safe, None);
        let busy = || Error::new(Kind::Status, "").with_repeat(Repeat::Safe, None);
        let gateway = || Error::new(Kind::Status, "").with_repeat(Repeat::Unsure, None);
        let mid = Kind::MidStream;
        // The error, and whether it is a break of the first attempt, and of one that goes on.
        for (error, first, later) in [
            (cut(), true, true),
            (Error::new(Kind::Interrupted, ""), false, true),
            (refused(), false, true),
            (refused().with_cause(Cause::Untrusted), false, false),
            (
                Error::new(Kind::Connect, "").with_repeat(Repeat::Unsure, None),
                true,
                true,
            ),
            (busy(), false, true),
            (busy().after(503), false, true),
            (gateway().after(504), true, true),
            (timeout(Phase::Idle), true, true),
            (timeout(Phase::Total), false, false),
            (said(mid, "max retries exceeded: EOF"), true, true),
            (
                said(
                    mid,
                    "pull model manifest: Get \"https://x/v2/\": dial tcp: i/o timeout",
                ),
                true,
                true,
            ),
            (
                said(Kind::Status, "max retries exceeded: unexpected EOF"),
                true,
                true,
            ),
            (
                said(mid, "pull model manifest: file does not exist"),
                false,
                false,
            ),
            (
                said(
                    mid,
                    "max retries exceeded: write /b: no space left on device",
                ),
                false,
                false,
            ),
            (
                said(mid, "digest mismatch, file must be downloaded again"),
                false,
                false,
            ),
            (
                Error::new(Kind::Closed, "").with_reply_begun(),
                false,
                false,
            ),
            (Error::new(Kind::Protocol, "").after(200), false, false),
        ] {
            let mut transfer = transfer(POLICY, Timeouts::default()).unwrap();
            assert_eq!(transfer.is_break(&error), first, "{error:?}");
            transfer.resent = 1;
            assert_eq!(transfer.is_break(&error), later, "{error:?}");
        }
    }
}
