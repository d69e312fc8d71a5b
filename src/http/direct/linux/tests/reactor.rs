//! What is left when a reactor goes: nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::reactor::Reactor;
use super::{Count, PATIENCE, counted, pair, sees_end};

#[test]
fn dropping_the_last_reactor_ends_everything() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (busy, busy_peer) = pair(&handle);
    let (idle, idle_peer) = pair(&handle);
    handle.put_idle(7, idle);
    let drops = Count::default();
    let guard = drops.guard();
    let timers = handle.clone();
    let (polls, waker) = (Count::default(), Arc::default());
    reactor.spawn(counted(&polls, &waker));
    reactor.spawn(async move {
        let _held = (guard, busy);
        timers.timer(Instant::now() + PATIENCE).await;
    });
    let other = reactor.clone();
    drop(reactor);
    assert_eq!(drops.get(), 0);
    assert!(handle.is_alive());
    drop(other);
    assert_eq!(drops.get(), 1);
    assert!(!handle.is_alive());
    assert!(sees_end(&busy_peer));
    assert!(sees_end(&idle_peer));
    // What is left outside is of no use, and does no harm.
    waker.lock().unwrap().take().unwrap().wake();
    assert_eq!(polls.get(), 1);
    assert!(handle.io().with_read_buffer(|_| ()).is_err());
}
