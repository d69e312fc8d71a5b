//! One try to send a request: what is known of the connection that it needs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

/// A server that had a request for longer than this before it closed the connection may have been at work on it.
const STALE_WINDOW: Duration = Duration::from_secs(1);

/// One try to send a request.
pub(super) struct Attempt {
    limit: Duration,
    begun: Instant,
    connecting: AtomicBool,
    connected: OnceLock<Instant>,
    unresolved: OnceLock<UnresolvedName>,
}

/// A name of which no address is known.
#[derive(Clone, Debug)]
pub(super) struct UnresolvedName {
    pub(super) name: String,
    /// What the system says of it, without a full stop.
    pub(super) reason: String,
}

/// Marks a connection as being made, for as long as it lives.
pub(super) struct ConnectingGuard(Arc<Attempt>);

impl Drop for ConnectingGuard {
    fn drop(&mut self) {
        self.0.connecting.store(false, Ordering::Release);
    }
}

/// The connect limit ran out.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {:?}", .0)]
pub(super) struct ConnectTimeout(pub(super) Duration);

impl Attempt {
    /// Begins now; a connection may take `limit`.
    pub(super) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            begun: Instant::now(),
            connecting: AtomicBool::new(false),
            connected: OnceLock::new(),
            unresolved: OnceLock::new(),
        })
    }

    /// How long a connection may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// A connection is being made for this attempt, as long as the result lives.
    pub(super) fn connecting(self: &Arc<Self>) -> ConnectingGuard {
        self.connecting.store(true, Ordering::Release);
        ConnectingGuard(Arc::clone(self))
    }

    /// A connection was made for this attempt.
    pub(super) fn connected(&self) {
        self.connected.get_or_init(Instant::now);
    }

    /// Whether a connection was made for this attempt; otherwise it used one of the pool.
    pub(super) fn has_new_connection(&self) -> bool {
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

    /// The lookup of a name failed, which a connection for this attempt needs: the server's or the proxy's.
    pub(super) fn note_unresolved(&self, unresolved: UnresolvedName) {
        self.unresolved.get_or_init(|| unresolved);
    }

    /// The name that kept this attempt from having a connection.
    pub(super) fn unresolved(&self) -> Option<&UnresolvedName> {
        self.unresolved.get()
    }

    /// Whether the request went out so short a time ago that a connection which ends now had died before.
    pub(super) fn may_be_stale(&self) -> bool {
        self.begun.elapsed() < STALE_WINDOW
    }
}
