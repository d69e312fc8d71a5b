//! Watching connections being made, on behalf of the request that needs one.
//!
//! reqwest has one connect limit for a whole client and does not tell whether a request went out on a pooled
//! connection. This layer around its connector does both per request: the connector runs inside the task of the
//! request, so a task-local leads from it back to the request. A connection that is being made when a pooled one
//! becomes free is finished in a task of its own; it finds no task-local and keeps the client's limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    static ATTEMPT: Arc<Attempt>;
}

/// One try to send a request.
pub(super) struct Attempt {
    limit: Duration,
    begun: Instant,
    connecting: AtomicBool,
    connected: OnceLock<Instant>,
}

impl Attempt {
    pub(super) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            begun: Instant::now(),
            connecting: AtomicBool::new(false),
            connected: OnceLock::new(),
        })
    }

    /// Runs `work` with this attempt in the connector's sight.
    pub(super) async fn watch<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        ATTEMPT.scope(Arc::clone(self), work).await
    }

    /// Whether a connection was made for this attempt; otherwise it used one of the pool.
    pub(super) fn is_fresh(&self) -> bool {
        self.connected.get().is_some()
    }

    /// When the request could be sent on a connection made for it: `now` while that is still being made, `None` when
    /// one of the pool is used. A pooled connection may have become free while another was being made, which nothing
    /// tells; so the making counts for no longer than its limit.
    pub(super) fn ready_since(&self, now: Instant) -> Option<Instant> {
        let made = self.connected.get().copied();
        let latest = self.begun.checked_add(self.limit).unwrap_or(now);
        made.or_else(|| {
            self.connecting
                .load(Ordering::Acquire)
                .then(|| now.min(latest))
        })
    }

    /// Whether the request went out so short a time ago that a connection which ends now had died before.
    pub(super) fn is_young(&self) -> bool {
        self.begun.elapsed() < YOUNG
    }
}

/// A server that had a request for longer than this before it closed the connection may have been at work on it.
const YOUNG: Duration = Duration::from_secs(1);

/// Marks a connection as being made, for as long as the connector works on it.
struct Making(Arc<Attempt>);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.connecting.store(false, Ordering::Release);
    }
}

/// The connect limit ran out.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {:?}", .0)]
pub(super) struct TooSlow(pub(super) Duration);

/// Wraps reqwest's connector; the limit is for connections that no request waits for.
#[derive(Clone)]
pub(super) struct Watch(pub(super) Duration);

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched {
            inner,
            limit: self.0,
        }
    }
}

#[derive(Clone)]
pub(super) struct Watched<S> {
    inner: S,
    limit: Duration,
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let attempt = ATTEMPT.try_with(Arc::clone).ok();
        let limit = attempt.as_ref().map_or(self.limit, |attempt| attempt.limit);
        if let Some(attempt) = &attempt {
            attempt.connecting.store(true, Ordering::Release);
        }
        let connecting = self.inner.call(target);
        let making = attempt.clone().map(Making);
        Box::pin(async move {
            let _making = making;
            let connection = match tokio::time::timeout(limit, connecting).await {
                Ok(result) => result?,
                Err(_) => return Err(TooSlow(limit).into()),
            };
            if let Some(attempt) = attempt {
                attempt.connected.get_or_init(Instant::now);
            }
            Ok(connection)
        })
    }
}
