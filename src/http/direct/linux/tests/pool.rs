//! Idle connections: that none is given out which is over, and that those go.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::pool::Pool;
use super::super::reactor::Reactor;
use super::super::scheduled_io::READABLE;
use super::{PATIENCE, drive, is_readable_within, pair, sees_end, tcp};
use crate::http::policy::POOL_IDLE;

#[test]
fn an_idle_connection_that_the_server_closes_or_talks_on_is_dropped_by_the_next_iteration() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (closed, closed_peer) = pair(&handle);
    let (chatty, mut chatty_peer) = pair(&handle);
    let (silent, silent_peer) = pair(&handle);
    for connection in [closed, chatty, silent] {
        handle.put_idle(7, connection);
    }
    // That the sockets can be written to, which the first iteration learns, says nothing about their use.
    reactor.run_once(|| {});
    closed_peer.shutdown(Shutdown::Write).unwrap();
    chatty_peer
        .write_all(b"HTTP/1.1 408 Too Slow\r\n\r\n")
        .unwrap();
    drive(&reactor, || {
        [&closed_peer, &chatty_peer].iter().all(|peer| {
            peer.set_read_timeout(Some(Duration::from_millis(1)))
                .unwrap();
            sees_end(peer)
        })
    });
    let kept = handle.checkout(7).unwrap();
    assert_eq!(
        tcp(&kept).local_addr().unwrap(),
        silent_peer.peer_addr().unwrap()
    );
    assert!(handle.checkout(7).is_none());
}

#[test]
fn a_pool_gives_out_nothing_dead_even_before_an_iteration() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (closed, peer) = pair(&handle);
    let known = tcp(&closed).as_raw_fd();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(is_readable_within(known, PATIENCE));
    handle.put_idle(7, closed);
    assert!(handle.checkout(8).is_none());
    assert!(handle.checkout(7).is_none());
    assert!(sees_end(&peer));
}

#[test]
fn connections_that_nobody_has_needed_for_long_go_when_another_is_kept() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let Some(long_ago) = Instant::now().checked_sub(POOL_IDLE) else {
        // The machine was started a moment ago, and its clock knows no such time.
        return;
    };
    let (unused, unused_peer) = pair(&handle);
    let (used, used_peer) = pair(&handle);
    let pool = Pool::default();
    pool.put_idle_since(7, unused, long_ago);
    pool.put(7, used);
    assert!(sees_end(&unused_peer));
    let kept = pool.checkout(7).unwrap();
    assert_eq!(
        tcp(&kept).local_addr().unwrap(),
        used_peer.peer_addr().unwrap()
    );
}

#[test]
fn an_end_that_came_with_the_reply_is_seen_when_the_connection_is_kept() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (connection, peer) = pair(&handle);
    peer.shutdown(Shutdown::Write).unwrap();
    let scheduled = Arc::clone(&connection.scheduled);
    drive(&reactor, || scheduled.is(READABLE));
    handle.put_idle(7, connection);
    assert!(sees_end(&peer));
}
