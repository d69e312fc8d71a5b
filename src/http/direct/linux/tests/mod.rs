//! The direct lane alone, without a client: each file of it, from the tasks to a request and its response.

#![allow(unsafe_code, reason = "libc's functions are unsafe to call")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod connect;
mod pool;
mod reactor;
mod response;
mod scheduler;
mod send;
mod sockets;
mod timer;

use std::future::poll_fn;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::poll_evented::PollEvented;
use super::reactor::{Reactor, ReactorHandle};
use super::socket::Socket;

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

/// Whether `descriptor` becomes readable within `limit`.
fn is_readable_within(descriptor: RawFd, limit: Duration) -> bool {
    let mut watched = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    let milliseconds = i32::try_from(limit.as_millis()).unwrap();
    // SAFETY: the pointer has to point to as many pollfds as the second argument says. `watched` is one, and it lives
    // until the call returns.
    unsafe { libc::poll(&raw mut watched, 1, milliseconds) == 1 }
}

/// Whether an iteration is due.
fn is_due(reactor: &Reactor) -> bool {
    is_readable_within(reactor.descriptor(), Duration::ZERO)
}

/// Waits until an iteration is due, at most for `limit`, and runs one.
fn wait_and_run(reactor: &Reactor, limit: Duration) {
    is_readable_within(reactor.descriptor(), limit);
    reactor.run_once(|| {});
}

/// Runs iterations until `done`.
fn drive(reactor: &Reactor, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "it hangs");
        wait_and_run(reactor, Duration::from_millis(100));
    }
}

/// Runs `future` on `reactor`, and returns what it returns.
fn block_on<T: Send + 'static>(
    reactor: &Reactor,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    let result = Arc::new(Mutex::new(None));
    let returned = Arc::clone(&result);
    reactor.spawn(async move {
        let output = future.await;
        *returned.lock().unwrap() = Some(output);
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

/// The TCP socket of a connection.
fn tcp(connection: &PollEvented) -> &mio::net::TcpStream {
    match &connection.stream {
        Socket::Tcp(stream) => stream,
        Socket::Unix(_) => panic!("no TCP"),
    }
}

/// A connection that `handle` watches, and its other side.
fn pair(handle: &ReactorHandle) -> (PollEvented, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = mio::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let watched = PollEvented::new(handle.io(), Socket::Tcp(stream)).unwrap();
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

/// A listener that answers no attempt to connect: its queue, of length zero, is full.
struct DeafListener {
    listener: TcpListener,
    _queued: Vec<mio::net::TcpStream>,
}

impl DeafListener {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: listen takes two integers and no pointer. The descriptor is open, because `listener` owns it.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let address = listener.local_addr().unwrap();
        Self {
            listener,
            _queued: (0..4)
                .map(|_| mio::net::TcpStream::connect(address).unwrap())
                .collect(),
        }
    }
}
