//! Connections that wait for another request, kept by client. They stay watched, so that a server which closes one is
//! noticed at once and the descriptor goes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::socket::{READABLE, Watched};
use crate::http::policy::POOL_IDLE;

/// The idle connections of one event loop.
#[derive(Default)]
pub(super) struct Pools(Mutex<HashMap<u64, Vec<Idle>>>);

struct Idle {
    connection: Watched,
    since: Instant,
}

impl Pools {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<Idle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of `client` that is open as far as can be seen: the one used last.
    pub(super) fn take(&self, client: u64) -> Option<Watched> {
        loop {
            let idle = self.lock().get_mut(&client)?.pop()?;
            if idle.since.elapsed() < POOL_IDLE && idle.connection.is_silent() {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps `connection` for `client`.
    pub(super) fn keep(&self, client: u64, connection: Watched) {
        self.keep_since(client, connection, Instant::now());
    }

    /// Keeps `connection`, which is idle since then, and drops those of the client that nobody has needed for long.
    pub(super) fn keep_since(&self, client: u64, connection: Watched, since: Instant) {
        connection.readiness.forget();
        // What came together with the end of the reply brings no event any more.
        if connection.readiness.has(READABLE) && !connection.is_silent() {
            return;
        }
        let mut pools = self.lock();
        let pool = pools.entry(client).or_default();
        let old = pool.partition_point(|idle| idle.since.elapsed() >= POOL_IDLE);
        let dropped: Vec<_> = pool.drain(..old).collect();
        pool.push(Idle { connection, since });
        drop(pools);
        drop(dropped);
    }

    /// Drops the connections on which something has come: their end, or what nobody asked for.
    pub(super) fn sweep(&self) {
        self.drop_where(|_, idle| idle.connection.readiness.has(READABLE));
    }

    /// Drops the connections of `client`.
    pub(super) fn forget(&self, client: u64) {
        self.drop_where(|owner, _| owner == client);
    }

    pub(super) fn clear(&self) {
        self.drop_where(|_, _| true);
    }

    fn drop_where(&self, gone: impl Fn(u64, &Idle) -> bool) {
        let mut dropped = Vec::new();
        self.lock().retain(|client, pool| {
            dropped.extend(pool.extract_if(.., |idle| gone(*client, idle)));
            !pool.is_empty()
        });
        drop(dropped);
    }
}

impl Watched {
    /// Whether nothing has come: neither an end nor bytes that belong to no request.
    fn is_silent(&self) -> bool {
        let known = self.readiness.state();
        let peeked = self.stream.peek(&mut [0]);
        let silent = matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        if silent {
            self.readiness.clear(known, READABLE);
        }
        silent
    }
}
