//! The epoll instance of a reactor, and the sockets that it watches.
//!
//! An [`IoDriver`] asks the kernel what has happened and passes each event on to the [`ScheduledIo`] of its socket.
//! Each socket holds an [`IoHandle`]. It may outlive the driver; whatever it is asked for fails from then on.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};

use super::scheduled_io::ScheduledIo;
use super::socket::Socket;
use crate::sync::lock;

/// How many bytes one read may bring, and how many all reads of an iteration may, so that they share them. A burst is
/// taken in large pieces, no stream holds the others up for long, and if hundreds of streams burst at once, none of
/// them piles up what its reader has no time for yet.
const MAX_READ: usize = 256 << 10;
const MAX_READS: usize = 1 << 20;
const MIN_READ: usize = 16 << 10;

/// How many events are taken from the kernel in one iteration; the rest waits for the next.
const MAX_EVENTS: usize = 1024;

const WAKER: Token = Token(0);
const TIMER: Token = Token(1);
const FIRST_SOCKET: usize = 2;

/// An epoll instance and the sockets that are registered with it.
pub(super) struct IoDriver {
    /// What asks the kernel, and the events that it gave; `None` while a thread asks.
    poll: Mutex<Option<(mio::Poll, Events)>>,
    registry: Registry,
    descriptor: RawFd,
    waker: mio::Waker,
    sockets: Mutex<RegisteredSockets>,
    /// What sockets are read into: one buffer for all of them, because what a read brings is used up before the next
    /// read.
    read_buffer: Mutex<Vec<u8>>,
    /// How much of the buffer one read may fill in this iteration.
    read_limit: AtomicUsize,
}

/// The sockets that the driver watches.
#[derive(Default)]
struct RegisteredSockets {
    /// How many tokens were given out: the next socket gets the one after them.
    count: usize,
    by_token: HashMap<Token, Arc<ScheduledIo>>,
}

/// Events that the kernel has reported and nobody has looked at yet.
pub(super) struct Polled {
    poll: mio::Poll,
    events: Events,
}

/// What the events were about, apart from those of sockets for which a task waits: that task has been woken.
#[derive(Default)]
pub(super) struct Dispatched {
    /// Whether the timer descriptor has become readable.
    pub(super) timer: bool,
    /// Whether a socket for which no task waits has become readable.
    pub(super) idle_readable: bool,
}

impl IoDriver {
    pub(super) fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok(Self {
            descriptor: poll.as_raw_fd(),
            waker: mio::Waker::new(&registry, WAKER)?,
            poll: Mutex::new(Some((poll, Events::with_capacity(MAX_EVENTS)))),
            registry,
            sockets: Mutex::default(),
            read_buffer: Mutex::default(),
            read_limit: AtomicUsize::new(MAX_READ),
        })
    }

    /// The descriptor of the epoll instance: readable when there are events.
    pub(super) fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    /// Makes the descriptor readable.
    pub(super) fn wake(&self) {
        // This fails only if the counter of the eventfd would overflow, and then the descriptor is readable.
        let _ = self.waker.wake();
    }

    /// Watches `descriptor`, which becomes readable when a timer is due. Its events are [`Dispatched::timer`].
    pub(super) fn register_timer(&self, descriptor: RawFd) -> io::Result<()> {
        let interest = Interest::READABLE;
        self.registry
            .register(&mut SourceFd(&descriptor), TIMER, interest)
    }

    /// Asks the kernel once, without waiting. `None` while another thread does so, which then dispatches the events.
    pub(super) fn poll(&self) -> Option<Polled> {
        let (mut poll, mut events) = lock(&self.poll).take()?;
        if poll.poll(&mut events, Some(Duration::ZERO)).is_err() {
            events.clear();
        }
        Some(Polled { poll, events })
    }

    /// Passes each event on to its socket, which wakes the task that waits for it.
    pub(super) fn dispatch(&self, polled: Polled) -> Dispatched {
        let mut dispatched = Dispatched::default();
        for event in &polled.events {
            match event.token() {
                WAKER => {}
                TIMER => dispatched.timer = true,
                token => {
                    let socket = lock(&self.sockets).by_token.get(&token).map(Arc::clone);
                    dispatched.idle_readable |=
                        socket.is_some_and(|socket| socket.set_readiness(event));
                }
            }
        }
        *lock(&self.poll) = Some((polled.poll, polled.events));
        dispatched
    }

    /// Divides what may be read in this iteration between so many tasks.
    pub(super) fn divide_reads(&self, tasks: usize) {
        let limit = (MAX_READS / tasks.max(1)).clamp(MIN_READ, MAX_READ);
        self.read_limit.store(limit, Ordering::Relaxed);
    }
}

/// What a socket knows of the driver that watches it.
#[derive(Clone)]
pub(super) struct IoHandle(Weak<IoDriver>);

impl IoHandle {
    /// Without a driver, because its reactor is gone, whatever the handle is asked for fails.
    pub(super) fn new(driver: Option<&Arc<IoDriver>>) -> Self {
        Self(driver.map(Arc::downgrade).unwrap_or_default())
    }

    fn driver(&self) -> io::Result<Arc<IoDriver>> {
        self.0
            .upgrade()
            .ok_or_else(|| io::Error::other("the event loop was closed"))
    }

    /// Watches `stream` from now on, whose events go to `scheduled`. The token is for [`IoHandle::deregister`].
    pub(super) fn register(
        &self,
        stream: &mut Socket,
        scheduled: &Arc<ScheduledIo>,
    ) -> io::Result<Token> {
        let driver = self.driver()?;
        let mut sockets = lock(&driver.sockets);
        let token = Token(FIRST_SOCKET + sockets.count);
        sockets.count += 1;
        sockets.by_token.insert(token, Arc::clone(scheduled));
        drop(sockets);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = driver.registry.register(stream, token, interest);
        if registered.is_err() {
            self.deregister(stream, token);
        }
        registered.map(|()| token)
    }

    /// Watches `stream` no longer.
    pub(super) fn deregister(&self, stream: &mut Socket, token: Token) {
        if let Some(driver) = self.0.upgrade() {
            let scheduled = lock(&driver.sockets).by_token.remove(&token);
            drop(scheduled);
            // To close the socket would not be enough: a forked child may hold it open, and then epoll goes on to watch
            // it.
            let _ = driver.registry.deregister(stream);
        }
    }

    /// Calls `read` with the buffer for reads, as long as one read may be.
    pub(super) fn with_read_buffer<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> io::Result<T> {
        let driver = self.driver()?;
        let mut buffer = lock(&driver.read_buffer);
        if buffer.is_empty() {
            buffer.resize(MAX_READ, 0);
        }
        let limit = driver.read_limit.load(Ordering::Relaxed);
        Ok(read(buffer.get_mut(..limit).unwrap_or_default()))
    }
}
