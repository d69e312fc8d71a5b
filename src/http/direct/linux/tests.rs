//! The reactor itself: tasks, wakers, timers, sockets and what is left when it goes. Its requests are tested from outside.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::super::body::BodyDecoder;
use super::super::head_parser::HeadParser;
use super::connect::{Unreachable, connect, connect_any};
use super::reactor::{Reactor, ReactorHandle};
use super::socket::{READABLE, WRITABLE, Watched};
use super::{DirectError, Response};
use crate::http::policy::POOL_IDLE;

/// No step takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts its drops.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn guard(&self) -> Guard {
        Guard(Arc::clone(&self.0))
    }
}

fn is_readable(reactor: &Reactor) -> bool {
    let mut watched = libc::pollfd {
        fd: reactor.descriptor(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd is passed, and it outlives the call.
    unsafe { libc::poll(&raw mut watched, 1, 0) == 1 }
}

/// Lets the reactor work until `done`.
fn drive(reactor: &Reactor, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "it hangs");
        reactor.wait(Duration::from_millis(100));
    }
}

/// What `work` comes to on `reactor`.
fn run<T: Send + 'static>(reactor: &Reactor, work: impl Future<Output = T> + Send + 'static) -> T {
    let place = Arc::new(Mutex::new(None));
    let result = Arc::clone(&place);
    reactor.spawn(async move {
        let done = work.await;
        *place.lock().unwrap() = Some(done);
    });
    drive(reactor, || result.lock().unwrap().is_some());
    result.lock().unwrap().take().unwrap()
}

/// A task that counts its polls and hands out its waker.
fn counted(polls: &Count, waker: &Arc<Mutex<Option<Waker>>>) -> impl Future<Output = ()> + use<> {
    let (polls, waker) = (polls.clone(), Arc::clone(waker));
    poll_fn(move |context| {
        polls.add();
        *waker.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    })
}

/// A connection that `handle` watches, and its other side.
fn pair(handle: &ReactorHandle) -> (Watched, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = mio::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let watched = Watched::new(handle, stream).unwrap();
    let (peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    (watched, peer)
}

fn sees_end(mut peer: &TcpStream) -> bool {
    match peer.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_task_is_polled_before_spawn_returns() {
    let reactor = Reactor::new().unwrap();
    let polls = Count::default();
    reactor.spawn(counted(&polls, &Arc::default()));
    assert_eq!(polls.get(), 1);
    assert!(!is_readable(&reactor));
    reactor.run_once(|| {});
    assert_eq!(polls.get(), 1);
}

#[test]
fn a_wake_from_another_thread_makes_a_turn_due() {
    let reactor = Reactor::new().unwrap();
    let (polls, waker) = (Count::default(), Arc::default());
    reactor.spawn(counted(&polls, &waker));
    for round in 2..5 {
        assert!(!is_readable(&reactor));
        let woken = waker.lock().unwrap().clone().unwrap();
        std::thread::spawn(move || {
            woken.wake_by_ref();
            woken.wake_by_ref();
            woken.wake();
        })
        .join()
        .unwrap();
        assert!(is_readable(&reactor));
        assert_eq!(polls.get(), round - 1);
        reactor.run_once(|| {});
        assert_eq!(polls.get(), round);
    }
    assert!(!is_readable(&reactor));
}

#[test]
fn a_task_that_wakes_itself_goes_on_in_the_next_turn() {
    let reactor = Reactor::new().unwrap();
    let polls = Count::default();
    let counted = polls.clone();
    reactor.spawn(poll_fn(move |context| {
        counted.add();
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    for round in 2..5 {
        assert!(is_readable(&reactor));
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

/// A wake that comes while the task is being polled counts, even if somebody tries to run the task before that is over.
#[test]
fn a_wake_is_not_lost_in_a_turn_inside_a_turn() {
    for hurried in [false, true] {
        let reactor = Reactor::new().unwrap();
        let (inner, polls) = (reactor.clone(), Count::default());
        let (others, waker) = (Count::default(), Arc::default());
        reactor.spawn(counted(&others, &waker));
        let own: Arc<Mutex<super::TaskHandle>> = Arc::default();
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
    let own: Arc<Mutex<super::TaskHandle>> = Arc::default();
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
        panic!("as it has to");
    });
    assert_eq!(drops.get(), 1);
    handle.abort();
    waker.lock().unwrap().clone().unwrap().wake();
    reactor.run_once(|| {});
    assert_eq!(polls.get(), 2);
    assert!(run(&reactor, async { true }));
}

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
        handles.iter().for_each(super::TaskHandle::abort);
        lead *= 2;
    }
}

#[test]
fn timers_can_be_moved_and_dropped() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let now = Instant::now();
    let (near, far) = (now + Duration::from_millis(50), now + 2 * PATIENCE);
    run(&reactor, async move {
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

#[test]
fn dropping_the_last_reactor_ends_everything() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (busy, busy_peer) = pair(&handle);
    let (idle, idle_peer) = pair(&handle);
    handle.pools(|pools| pools.keep(7, idle)).unwrap();
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
    assert!(handle.with_buffer(|_| ()).is_err());
}

#[test]
fn an_idle_connection_that_the_server_closes_or_talks_on_is_dropped_by_the_next_turn() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (closed, closed_peer) = pair(&handle);
    let (chatty, mut chatty_peer) = pair(&handle);
    let (silent, silent_peer) = pair(&handle);
    for connection in [closed, chatty, silent] {
        handle.pools(|pools| pools.keep(7, connection)).unwrap();
    }
    // The news that the sockets can be written to is none about idle ones.
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
    let kept = handle.pools(|pools| pools.take(7)).flatten().unwrap();
    assert_eq!(
        kept.stream.local_addr().unwrap(),
        silent_peer.peer_addr().unwrap()
    );
    assert!(handle.pools(|pools| pools.take(7)).flatten().is_none());
}

#[test]
fn a_pool_gives_out_nothing_dead_even_before_a_turn() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (closed, peer) = pair(&handle);
    let known = closed.stream.as_raw_fd();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut watched = libc::pollfd {
        fd: known,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd is passed, and it outlives the call.
    assert_eq!(unsafe { libc::poll(&raw mut watched, 1, 30_000) }, 1);
    handle.pools(|pools| pools.keep(7, closed)).unwrap();
    assert!(handle.pools(|pools| pools.take(8)).flatten().is_none());
    assert!(handle.pools(|pools| pools.take(7)).flatten().is_none());
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
    handle
        .pools(|pools| pools.keep_since(7, unused, long_ago))
        .unwrap();
    handle.pools(|pools| pools.keep(7, used)).unwrap();
    assert!(sees_end(&unused_peer));
    let kept = handle.pools(|pools| pools.take(7)).flatten().unwrap();
    assert_eq!(
        kept.stream.local_addr().unwrap(),
        used_peer.peer_addr().unwrap()
    );
}

#[test]
fn an_end_that_came_with_the_reply_is_seen_when_the_connection_is_kept() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (connection, peer) = pair(&handle);
    peer.shutdown(Shutdown::Write).unwrap();
    let readiness = Arc::clone(&connection.readiness);
    drive(&reactor, || readiness.has(READABLE));
    handle.pools(|pools| pools.keep(7, connection)).unwrap();
    assert!(sees_end(&peer));
}

/// An address where nothing listens.
fn dead() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn port_after_connecting(addresses: impl Into<VecDeque<SocketAddr>>) -> Result<u16, Unreachable> {
    let reactor = Reactor::new().unwrap();
    let (handle, addresses) = (reactor.handle(), addresses.into());
    run(&reactor, async move {
        let connected = connect_any(&handle, addresses).await?;
        Ok(connected.stream.peer_addr().unwrap().port())
    })
}

#[test]
fn a_dead_address_beside_a_live_one_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap();
    let none = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], dead().port()));
    for addresses in [
        vec![dead(), live],
        vec![live, dead()],
        vec![none, dead(), live, dead()],
    ] {
        assert_eq!(port_after_connecting(addresses).unwrap(), live.port());
    }
    let refused = port_after_connecting(vec![dead(), dead()]).unwrap_err();
    assert!(
        matches!(&refused, Unreachable::Address(error) if error.kind() == ErrorKind::ConnectionRefused),
        "{refused:?}"
    );
    assert!(matches!(
        port_after_connecting(vec![]),
        Err(Unreachable::Address(_))
    ));
}

#[test]
fn an_address_that_does_not_answer_does_not_keep_from_the_next() {
    // A queue of length zero that is full: further attempts are not answered at all.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: the descriptor is open and listens.
    assert_eq!(unsafe { libc::listen(deaf.as_raw_fd(), 0) }, 0);
    let address = deaf.local_addr().unwrap();
    let _queued: Vec<_> = (0..4)
        .map(|_| mio::net::TcpStream::connect(address).unwrap())
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap();
    assert_eq!(
        port_after_connecting(vec![address, live]).unwrap(),
        live.port()
    );
}

#[test]
fn names_are_looked_up_without_blocking_the_turn() {
    let reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = reactor.handle();
    let connected = run(&reactor, async move {
        connect(&handle, "localhost", port).await.is_ok()
    });
    assert!(connected);
    let handle = reactor.handle();
    let unknown = run(&reactor, async move {
        connect(&handle, "no-such-name.invalid", port).await.err()
    });
    assert!(matches!(unknown, Some(Unreachable::Name(_))), "{unknown:?}");
}

#[test]
fn a_socket_is_not_writable_before_it_is_connected_and_reads_its_end_for_ever() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (connection, peer) = pair(&handle);
    let context = Context::from_waker(Waker::noop());
    assert!(connection.poll_for(&context, WRITABLE).is_pending());
    drive(&reactor, || connection.readiness.has(WRITABLE));
    assert!(!connection.readiness.has(READABLE));
    drop(peer);
    drive(&reactor, || connection.readiness.has(READABLE));
    for _ in 0..3 {
        let read = connection.poll_read(&context, &mut [0; 8]);
        assert!(matches!(read, Poll::Ready(Ok(0))), "{read:?}");
    }
}

/// Another thread may be in a turn while a task reads: what that notes must not be cleared with what the task has seen.
#[test]
fn an_event_noted_during_a_read_is_kept() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (connection, mut peer) = pair(&handle);
    let context = Context::from_waker(Waker::noop());
    for drained in [true, false] {
        peer.write_all(b"a").unwrap();
        drive(&reactor, || connection.readiness.has(READABLE));
        let mut reads = 0;
        let mut read = |mut stream: &mio::net::TcpStream| {
            reads += 1;
            let done = stream.read(&mut [0; 8]);
            if reads == 1 {
                peer.write_all(b"b").unwrap();
                reactor.wait(PATIENCE);
                if !drained {
                    return Err(ErrorKind::WouldBlock.into());
                }
            }
            done
        };
        for _ in 0..=usize::from(drained) {
            let done = connection.poll_io(&context, READABLE, &mut read, |count| *count < 8);
            assert!(matches!(done, Poll::Ready(Ok(1))), "{done:?}");
        }
        assert!(!connection.readiness.has(READABLE));
    }
}

/// A response with its head read and a body until the end of the connection.
fn response(connection: Watched) -> Response {
    let (head, carry) = HeadParser::default()
        .feed(b"HTTP/1.1 200 OK\r\n\r\n")
        .unwrap()
        .unwrap();
    Response {
        connection: Some(connection),
        client: 7,
        head,
        body: BodyDecoder::Eof(false),
        carry,
        reusable: false,
        tired: false,
    }
}

#[test]
fn a_flood_leaves_room_for_a_trickle_in_every_turn() {
    const ENOUGH: usize = 64 << 20;
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (flood, mut flooding) = pair(&handle);
    let (trickle, mut trickling) = pair(&handle);
    let flooder = std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        while flooding.write_all(&piece).is_ok() {}
    });
    let count = |connection, sum: &Count| {
        let sum = Arc::clone(&sum.0);
        async move {
            let mut response = response(connection);
            loop {
                let ended = response
                    .pull(|piece| {
                        sum.fetch_add(piece.len(), Ordering::SeqCst);
                        true
                    })
                    .await;
                if !matches!(ended, Ok(false)) {
                    assert!(matches!(ended, Ok(true) | Err(DirectError::Interrupted(_))));
                    return;
                }
            }
        }
    };
    let (much, little) = (Count::default(), Count::default());
    let handle = reactor.spawn(count(flood, &much));
    reactor.spawn(count(trickle, &little));
    let (mut sent, mut most) = (0, 0);
    while much.get() < ENOUGH || sent < 200 {
        if little.get() == sent {
            trickling.write_all(b"y").unwrap();
            sent += 1;
        }
        let before = much.get();
        reactor.wait(PATIENCE);
        most = most.max(much.get() - before);
    }
    assert!(most <= 256 << 10, "{most} bytes in one turn");
    drive(&reactor, || little.get() == sent);
    handle.abort();
    flooder.join().unwrap();
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
    assert!(!is_readable(&reactor));
}
