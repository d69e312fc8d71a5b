//! A socket that a reactor watches: what is known of it, and reads and writes that wait.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::reactor::{ReactorHandle, lock};

/// What is known of a socket; events are noted once, on the edge.
#[derive(Default)]
pub(super) struct Readiness {
    /// The flags, and above them the number of the event that was noted last.
    state: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

pub(super) const READABLE: usize = 1;
pub(super) const WRITABLE: usize = 2;
/// The other side will send no more: there is something to read for ever, if only the end.
const ENDED: usize = 4;
const EVENT: usize = 8;

impl Readiness {
    /// Notes `event` and wakes whoever waits. True: nobody does.
    pub(super) fn note(&self, event: &mio::event::Event) -> bool {
        let mut flags = 0;
        if event.is_readable() || event.is_error() {
            flags |= READABLE;
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            flags |= WRITABLE;
        }
        if event.is_read_closed() || event.is_error() {
            flags |= READABLE | ENDED;
        }
        // Counted, so that a task on another thread does not clear what it has not seen.
        let noted = |state: usize| Some(state.wrapping_add(EVENT) | flags);
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, noted);
        let waker = lock(&self.waker).take();
        match waker {
            Some(waker) => {
                waker.wake();
                false
            }
            None => flags & READABLE != 0,
        }
    }

    pub(super) fn has(&self, flag: usize) -> bool {
        self.state() & flag != 0
    }

    pub(super) fn state(&self) -> usize {
        self.state.load(Ordering::Acquire)
    }

    /// Everything that had come when `known` was the state was taken: the next edge will tell, if it has not done so.
    pub(super) fn clear(&self, known: usize, flag: usize) {
        let (taken, order) = (known & !flag, Ordering::AcqRel);
        let _ = self
            .state
            .compare_exchange(known, taken, order, Ordering::Acquire);
    }

    /// Waits for `flag`. False: it is there already.
    fn register(&self, context: &Context<'_>, flag: usize) -> bool {
        let mut waker = lock(&self.waker);
        match &*waker {
            Some(known) if known.will_wake(context.waker()) => {}
            _ => *waker = Some(context.waker().clone()),
        }
        drop(waker);
        // What was noted before the waker was there has woken nobody.
        !self.has(flag)
    }

    /// Nobody waits any more.
    pub(super) fn forget(&self) {
        let waker = lock(&self.waker).take();
        drop(waker);
    }
}

/// A connection that is being watched, until it is dropped.
pub(super) struct Watched {
    pub(super) stream: mio::net::TcpStream,
    pub(super) readiness: Arc<Readiness>,
    handle: ReactorHandle,
    number: usize,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // A forked child may hold the socket open, so closing it here would tell the server nothing.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.handle.unwatch(&mut self.stream, self.number);
    }
}

impl Watched {
    /// Watches `stream` from now on.
    pub(super) fn new(handle: &ReactorHandle, mut stream: mio::net::TcpStream) -> io::Result<Self> {
        let readiness = Arc::new(Readiness::default());
        let number = handle.watch(&mut stream, &readiness)?;
        Ok(Self {
            stream,
            readiness,
            handle: handle.clone(),
            number,
        })
    }

    pub(super) fn handle(&self) -> &ReactorHandle {
        &self.handle
    }

    /// Does `work` on the socket once `flag` says that it may succeed; waits when it would block. `drained` tells from
    /// the result that there is nothing left, which saves the attempt to find out.
    pub(super) fn poll_io<T>(
        &self,
        context: &Context<'_>,
        flag: usize,
        mut work: impl FnMut(&mio::net::TcpStream) -> io::Result<T>,
        drained: impl Fn(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        loop {
            let known = self.readiness.state();
            if known & flag == 0 {
                if self.readiness.register(context, flag) {
                    return Poll::Pending;
                }
                continue;
            }
            match work(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.clear(known, flag);
                }
                Ok(done) => {
                    if drained(&done) && known & ENDED == 0 {
                        self.readiness.clear(known, flag);
                    }
                    return Poll::Ready(Ok(done));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Reads once into `buffer`.
    pub(super) fn poll_read(
        &self,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let length = buffer.len();
        let read = |mut stream: &mio::net::TcpStream| io::Read::read(&mut stream, buffer);
        self.poll_io(context, READABLE, read, |count| *count < length)
    }

    /// Writes once from `bytes`.
    pub(super) fn poll_write(
        &self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = |mut stream: &mio::net::TcpStream| io::Write::write(&mut stream, bytes);
        self.poll_io(context, WRITABLE, write, |count| *count < bytes.len())
    }

    /// Waits for `flag`.
    pub(super) fn poll_for(&self, context: &Context<'_>, flag: usize) -> Poll<()> {
        if self.readiness.has(flag) || !self.readiness.register(context, flag) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
