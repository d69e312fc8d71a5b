//! What is known of one socket, as tokio's type of this name knows it: whether it can be read or written, and who waits
//! for that.
//!
//! The kernel tells of each change once (epoll's edge-triggered mode). So a flag stays set until an operation on the
//! socket would block, and must not be cleared if another event came since the flag was looked at: each event moves a
//! counter, the tick, which stands above the flags in the same number.
//!
//! ```text
//! 0b10_011    tick 2; readable and writable
//! ```

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use crate::sync::lock;

pub(super) const READABLE: usize = 0b001;
pub(super) const WRITABLE: usize = 0b010;
/// The other side sends no more, so that the socket stays readable: every read reports the end.
pub(super) const READ_CLOSED: usize = 0b100;
const ONE_TICK: usize = 0b1000;

/// The readiness of a socket, and the task that waits for it.
#[derive(Default)]
pub(super) struct ScheduledIo {
    readiness: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl ScheduledIo {
    /// Adds what `event` says, and wakes the task that waits. Returns whether there is something to read and no task
    /// waits.
    pub(super) fn set_readiness(&self, event: &mio::event::Event) -> bool {
        let mut flags = 0;
        if event.is_readable() || event.is_error() {
            flags |= READABLE;
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            flags |= WRITABLE;
        }
        if event.is_read_closed() || event.is_error() {
            flags |= READABLE | READ_CLOSED;
        }
        let add = |readiness: usize| Some(readiness.wrapping_add(ONE_TICK) | flags);
        let _ = self
            .readiness
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        let waker = lock(&self.waker).take();
        match waker {
            Some(waker) => {
                waker.wake();
                false
            }
            None => flags & READABLE != 0,
        }
    }

    /// Flags and tick.
    pub(super) fn readiness(&self) -> usize {
        self.readiness.load(Ordering::Acquire)
    }

    pub(super) fn is(&self, flag: usize) -> bool {
        self.readiness() & flag != 0
    }

    /// Clears `flag`, because an operation on the socket has found nothing left to do. `seen` is the readiness before
    /// that operation: if an event came since then, it stays.
    pub(super) fn clear_readiness(&self, seen: usize, flag: usize) {
        let _ = self.readiness.compare_exchange(
            seen,
            seen & !flag,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// Wakes the task of `context` at the next event, instead of the task that waited before. Returns whether that is
    /// to come: false if `flag` is set already.
    pub(super) fn register(&self, context: &Context<'_>, flag: usize) -> bool {
        let mut waker = lock(&self.waker);
        match &*waker {
            Some(known) if known.will_wake(context.waker()) => {}
            _ => *waker = Some(context.waker().clone()),
        }
        drop(waker);
        // An event before the waker was set has woken nobody.
        !self.is(flag)
    }

    /// No task waits any more.
    pub(super) fn clear_waker(&self) {
        let waker = lock(&self.waker).take();
        drop(waker);
    }
}
