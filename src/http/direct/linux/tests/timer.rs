//! Timers: in order, never early, and movable.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::super::reactor::Reactor;
use super::super::scheduler::TaskHandle;
use super::{PATIENCE, block_on, drive};

#[test]
fn thousands_of_timers_fire_in_order_and_never_early() {
    let reactor = Reactor::new().unwrap();
    let mut lead = Duration::from_millis(100);
    loop {
        let fired: Arc<Mutex<Vec<u64>>> = Arc::default();
        let start = Instant::now() + lead;
        let handles: Vec<_> = (0..4000_u64)
            .map(|number| {
                // In no order: 1777 and 4000 have no common factor.
                let number = number * 1777 % 4000;
                let (fired, handle) = (Arc::clone(&fired), reactor.handle());
                reactor.spawn(async move {
                    let at = start + Duration::from_micros(number * 10);
                    handle.timer(at).await;
                    assert!(Instant::now() >= at);
                    fired.lock().unwrap().push(number);
                })
            })
            .collect();
        if Instant::now() < start {
            drive(&reactor, || fired.lock().unwrap().len() == 4000);
            assert!(fired.lock().unwrap().is_sorted());
            return;
        }
        // The machine was too slow to set them all before the first was due.
        handles.iter().for_each(TaskHandle::abort);
        lead *= 2;
    }
}

#[test]
fn timers_can_be_moved_and_dropped() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let now = Instant::now();
    let (near, far) = (now + Duration::from_millis(50), now + 2 * PATIENCE);
    block_on(&reactor, async move {
        let mut earlier = pin!(handle.timer(far));
        let mut later = pin!(handle.timer(near));
        let mut dropped = Box::pin(handle.timer(near));
        poll_fn(|context| {
            assert!(dropped.as_mut().poll(context).is_pending());
            assert!(earlier.as_mut().poll(context).is_pending());
            assert!(later.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(dropped);
        earlier.reset(near + Duration::from_millis(50));
        later.reset(near + Duration::from_millis(100));
        earlier.as_mut().await;
        assert!(Instant::now() >= earlier.deadline());
        later.as_mut().await;
        assert!(Instant::now() >= later.deadline());
    });
}
