//! One try to send a request: what is known of the connection that it needs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::upload::UploadFile;

/// A server that had a request for longer than this before it closed the connection may have been at work on it.
const STALE_WINDOW: Duration = Duration::from_secs(1);

/// One try to send a request, and the connection that it needs.
pub(super) struct Attempt {
    /// How long a connection may take.
    limit: Duration,
    begun: Instant,
    /// Whether a connection is being made for this attempt.
    connecting: AtomicBool,
    /// The connection that was made for this attempt.
    connected: OnceLock<NewConnection>,
    /// The name that kept this attempt from having a connection.
    unresolved: OnceLock<UnresolvedName>,
    /// The file that is sent.
    upload: Option<UploadFile>,
}

/// A name of which no address is known.
#[derive(Clone, Debug)]
pub(super) struct UnresolvedName {
    pub(super) name: String,
    /// What the system says of it, without a full stop.
    pub(super) reason: String,
}

/// A connection that was made for an attempt.
struct NewConnection {
    since: Instant,
    /// Its address on this side, if that is known: no other connection to the server has the same.
    local_address: Option<SocketAddr>,
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
    /// An attempt that begins now; a connection may take `limit`. `upload` is the file that is sent, if there is one.
    pub(super) fn new(limit: Duration, upload: Option<UploadFile>) -> Arc<Self> {
        Arc::new(Self {
            upload,
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

    /// Notes that a connection was made for this attempt.
    pub(super) fn connected(&self, local_address: Option<SocketAddr>) {
        self.connected.get_or_init(|| NewConnection {
            since: Instant::now(),
            local_address,
        });
    }

    /// Whether the request went out on a connection that was made for it. The other way is one of the pool, also when that
    /// became free while another was being made; `used` is the address of the connection that was used, if it is known.
    pub(super) fn used_new_connection(&self, used: Option<SocketAddr>) -> bool {
        self.connected.get().is_some_and(|new| {
            let (Some(new), Some(used)) = (new.local_address, used) else {
                return true;
            };
            new == used
        })
    }

    /// Since when the server could have replied: since the connection was made for the request, or since the last piece of
    /// its file was sent. `now` while the connection is being made; `None` when one of the pool is used for a request
    /// without a file. A pooled connection may have become free while another was being made, which nothing tells; so the
    /// making counts for no longer than its limit.
    pub(super) fn ready_since(&self, now: Instant) -> Option<Instant> {
        let made = self.connected.get().map(|new| new.since);
        let moved = self.upload.as_ref().map(UploadFile::last_moved);
        let made = made.max(moved.filter(|_| !self.is_connecting()));
        let latest = self.begun.checked_add(self.limit).unwrap_or(now);
        made.or_else(|| self.is_connecting().then(|| now.min(latest)))
    }

    fn is_connecting(&self) -> bool {
        self.connecting.load(Ordering::Acquire)
    }

    /// Whether a file is being sent, and its end has not been reached.
    pub(super) fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(|file| !file.is_sent()) && !self.is_connecting()
    }

    /// Notes that the lookup of a name failed, which a connection for this attempt needs: the server's or the proxy's.
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
