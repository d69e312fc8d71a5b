//! Tasks: when they are polled, by one thread or by several, and how they end.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::super::reactor::Reactor;
use super::super::scheduler::TaskHandle;
use super::{Count, PATIENCE, block_on, counted, drive, is_due};

#[test]
fn a_task_is_polled_before_spawn_returns() {
    let reactor = Reactor::new().unwrap();
    let polls = Count::default();
    reactor.spawn(counted(&polls, &Arc::default()));
    assert_eq!(polls.get(), 1);
    assert!(!is_due(&reactor));
    reactor.run_once(|| {});
    assert_eq!(polls.get(), 1);
}

#[test]
fn a_wake_from_another_thread_makes_an_iteration_due() {
    let reactor = Reactor::new().unwrap();
    let (polls, waker) = (Count::default(), Arc::default());
    reactor.spawn(counted(&polls, &waker));
    for round in 2..5 {
        assert!(!is_due(&reactor));
        let woken = waker.lock().unwrap().clone().unwrap();
        std::thread::spawn(move || {
            woken.wake_by_ref();
            woken.wake_by_ref();
            woken.wake();
        })
        .join()
        .unwrap();
        assert!(is_due(&reactor));
        assert_eq!(polls.get(), round - 1);
        reactor.run_once(|| {});
        assert_eq!(polls.get(), round);
    }
    assert!(!is_due(&reactor));
}

#[test]
fn a_task_that_wakes_itself_goes_on_in_the_next_iteration() {
    let reactor = Reactor::new().unwrap();
    let polls = Count::default();
    let counted = polls.clone();
    reactor.spawn(poll_fn(move |context| {
        counted.add();
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    for round in 2..5 {
        assert!(is_due(&reactor));
        reactor.run_once(|| {});
        assert_eq!(polls.get(), round);
    }
}

#[test]
fn poll_now_polls_what_was_woken_and_nothing_else() {
    let reactor = Reactor::new().unwrap();
    let (polls, waker) = (Count::default(), Arc::default());
    let handle = reactor.spawn(counted(&polls, &waker));
    handle.poll_now();
    assert_eq!(polls.get(), 1);
    waker.lock().unwrap().clone().unwrap().wake();
    handle.poll_now();
    assert_eq!(polls.get(), 2);
}

/// A wake that comes while the task is being polled counts, even if the task is to be polled again before that poll is
/// over.
#[test]
fn a_wake_is_not_lost_in_an_iteration_inside_an_iteration() {
    for hurried in [false, true] {
        let reactor = Reactor::new().unwrap();
        let (inner, polls) = (reactor.clone(), Count::default());
        let (others, waker) = (Count::default(), Arc::default());
        reactor.spawn(counted(&others, &waker));
        let own: Arc<Mutex<TaskHandle>> = Arc::default();
        let (counted, handle) = (polls.clone(), Arc::clone(&own));
        let started = reactor.spawn(poll_fn(move |context| {
            counted.add();
            if counted.get() > 3 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            if hurried {
                handle.lock().unwrap().poll_now();
            } else {
                waker.lock().unwrap().clone().unwrap().wake();
                inner.run_once(|| {});
            }
            Poll::Pending
        }));
        *own.lock().unwrap() = started;
        drive(&reactor, || polls.get() == 4);
        // The others go on meanwhile.
        assert_eq!(others.get(), if hurried { 1 } else { 4 });
    }
}

#[test]
fn threads_that_share_a_reactor_lose_no_wake_and_no_end() {
    const TASKS: usize = 20_000;
    let reactor = Reactor::new().unwrap();
    let (ended, drops) = (Count::default(), Count::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| drive(&reactor, || drops.get() == 2 * TASKS));
        }
        scope.spawn(|| {
            for _ in 0..TASKS {
                let (ended, guard) = (ended.clone(), drops.guard());
                let mut left = 2;
                reactor.spawn(poll_fn(move |context| {
                    let _ = &guard;
                    if left == 0 {
                        ended.add();
                        return Poll::Ready(());
                    }
                    left -= 1;
                    // Polled by another thread, perhaps before this poll is over.
                    context.waker().wake_by_ref();
                    Poll::Pending
                }));
                let guard = drops.guard();
                let aborted = reactor.spawn(poll_fn(move |context| {
                    let _ = &guard;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }));
                aborted.abort();
            }
        });
    });
    assert_eq!(ended.get(), TASKS);
}

#[test]
fn abort_drops_the_future_at_once() {
    let reactor = Reactor::new().unwrap();
    let drops = Count::default();
    let guard = drops.guard();
    let handle = reactor.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    assert_eq!(drops.get(), 0);
    handle.abort();
    assert_eq!(drops.get(), 1);
    handle.abort();
    handle.poll_now();
    reactor.run_once(|| {});
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_task_may_abort_itself() {
    let reactor = Reactor::new().unwrap();
    let (drops, polls) = (Count::default(), Count::default());
    let (guard, counted) = (drops.guard(), polls.clone());
    let own: Arc<Mutex<TaskHandle>> = Arc::default();
    let known = Arc::clone(&own);
    let handle = reactor.spawn(poll_fn(move |context| {
        let _ = &guard;
        counted.add();
        known.lock().unwrap().abort();
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    assert_eq!(drops.get(), 0);
    *own.lock().unwrap() = handle;
    drive(&reactor, || drops.get() == 1);
    reactor.run_once(|| {});
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_panic_ends_its_task_only() {
    let reactor = Reactor::new().unwrap();
    let (polls, waker) = (Count::default(), Arc::default());
    reactor.spawn(counted(&polls, &waker));
    let drops = Count::default();
    let guard = drops.guard();
    let handle = reactor.spawn(async move {
        let _guard = guard;
        panic!("this panic is part of the test");
    });
    assert_eq!(drops.get(), 1);
    handle.abort();
    waker.lock().unwrap().clone().unwrap().wake();
    reactor.run_once(|| {});
    assert_eq!(polls.get(), 2);
    assert!(block_on(&reactor, async { true }));
}

/// The thread of an upload would wait for ever.
#[test]
fn a_panic_ends_the_thread_that_waits_for_the_work() {
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let reactor = Reactor::new().unwrap();
        reactor.run_until_done(async { panic!("this panic is part of the test") });
        ended.send(()).unwrap();
    });
    end.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_waker_that_outlives_its_task_is_harmless() {
    let reactor = Reactor::new().unwrap();
    let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
    let kept = Arc::clone(&waker);
    let mut work: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = Some(Box::pin(async {}));
    reactor.spawn(poll_fn(move |context| {
        *kept.lock().unwrap() = Some(context.waker().clone());
        work.take().map_or(Poll::Pending, |_| Poll::Ready(()))
    }));
    waker.lock().unwrap().take().unwrap().wake();
    reactor.run_once(|| {});
    reactor.run_once(|| {});
    assert!(!is_due(&reactor));
}
