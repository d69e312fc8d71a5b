//! Connections that wait for another request, as in hyper's pool. They stay watched, so that one which the server
//! closes is noticed at once and its descriptor goes.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::time::Instant;

use super::poll_evented::PollEvented;
use super::scheduled_io::READABLE;
use crate::http::policy::POOL_IDLE;
use crate::sync::lock;

/// The idle connections of one event loop, by the number of the client that has opened them.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<u64, Vec<IdleConnection>>>);

struct IdleConnection {
    connection: PollEvented,
    idle_at: Instant,
}

impl Pool {
    /// Takes out the connection of `client` that was used last, if one is open as far as can be seen.
    pub(super) fn checkout(&self, client: u64) -> Option<PollEvented> {
        loop {
            let idle = lock(&self.0).get_mut(&client)?.pop()?;
            if idle.idle_at.elapsed() < POOL_IDLE && is_silent(&idle.connection) {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps `connection` for the next request of `client`.
    pub(super) fn put(&self, client: u64, connection: PollEvented) {
        self.put_idle_since(client, connection, Instant::now());
    }

    /// Keeps `connection`, which has been idle since `idle_at`, and drops those of the client that have been idle for
    /// too long.
    pub(super) fn put_idle_since(&self, client: u64, connection: PollEvented, idle_at: Instant) {
        connection.scheduled.clear_waker();
        // What came together with the end of the response brings no further event.
        if connection.scheduled.is(READABLE) && !is_silent(&connection) {
            return;
        }
        let mut clients = lock(&self.0);
        let pool = clients.entry(client).or_default();
        let expired = pool.partition_point(|idle| idle.idle_at.elapsed() >= POOL_IDLE);
        let dropped: Vec<_> = pool.drain(..expired).collect();
        pool.push(IdleConnection {
            connection,
            idle_at,
        });
        drop(clients);
        drop(dropped);
    }

    /// Closes the connections on which something has come: their end, or bytes that answer no request.
    pub(super) fn close_readable(&self) {
        self.close_where(|_, idle| idle.connection.scheduled.is(READABLE));
    }

    /// Closes the connections of `client`.
    pub(super) fn close_client(&self, client: u64) {
        self.close_where(|owner, _| owner == client);
    }

    pub(super) fn close_all(&self) {
        self.close_where(|_, _| true);
    }

    fn close_where(&self, is_over: impl Fn(u64, &IdleConnection) -> bool) {
        let mut dropped = Vec::new();
        lock(&self.0).retain(|client, pool| {
            dropped.extend(pool.extract_if(.., |idle| is_over(*client, idle)));
            !pool.is_empty()
        });
        drop(dropped);
    }
}

/// Whether nothing has come: neither an end nor bytes that answer no request.
fn is_silent(connection: &PollEvented) -> bool {
    let seen = connection.scheduled.readiness();
    let silent = connection.stream.is_silent();
    if silent {
        connection.scheduled.clear_readiness(seen, READABLE);
    }
    silent
}
