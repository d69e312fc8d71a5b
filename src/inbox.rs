//! The bounded queue between the I/O thread that receives a reply and whoever reads it.
//!
//! One producer (the pump), one consumer. Everything queued is one [`Batch`], handed over by swapping buffers, so a
//! reader that is behind gets all of it in one step and no memory is allocated once three buffers circulate. The
//! producer wakes the reader on the edge from empty to not empty and at the end, never for each item, and never while
//! the lock is held. A full inbox stops the producer ([`Inbox::room`]), which stops the socket. Nothing here knows of
//! Python: the reader's wake-up is a [`Wake`].

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Error;
use crate::wire::Batch;

/// How many bytes are queued before the producer has to wait.
pub const CAPACITY: usize = 1 << 20;

/// Called by the producer when something is there for the reader, without any lock held.
pub trait Wake: Send + Sync {
    fn wake(&self);
}

/// What a [`Inbox::take`] found.
#[derive(Clone, Debug)]
pub enum Taken {
    /// Items were handed over.
    Items,
    /// Nothing yet.
    Empty,
    /// Everything was handed over before, and this is how the reply ended. Repeated on every later call.
    Ended(Result<(), Error>),
}

/// The queue. Thread-safe; shared by one producer and one consumer.
pub struct Inbox {
    capacity: usize,
    state: Mutex<State>,
    /// For the blocking reader.
    ready: Condvar,
    /// For the producer: room was made, or the reader is gone.
    changed: Notify,
    aborted: AtomicBool,
}

#[derive(Default)]
struct State {
    batch: Batch,
    lines: Vec<Vec<u8>>,
    /// Rough size of everything queued.
    bytes: usize,
    end: Option<Result<(), Error>>,
    wake: Option<Arc<dyn Wake>>,
}

impl State {
    fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.lines.is_empty()
    }

    fn nothing(&self) -> Taken {
        match &self.end {
            Some(end) if self.is_empty() => Taken::Ended(end.clone()),
            _ => Taken::Empty,
        }
    }
}

impl Inbox {
    /// An empty inbox that makes its producer wait once more than `capacity` bytes are queued.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::default(),
            ready: Condvar::new(),
            changed: Notify::new(),
            aborted: AtomicBool::new(false),
        })
    }

    /// Sets what is called on the edge from empty to not empty and at the end. If something is there already,
    /// `wake` is called at once, so nothing is missed between a look and the registration.
    pub fn set_wake(&self, wake: Option<Arc<dyn Wake>>) {
        let mut state = self.lock();
        let due = !state.is_empty() || state.end.is_some();
        let old = mem::replace(&mut state.wake, wake.clone());
        drop(state);
        drop(old);
        if due && let Some(wake) = wake {
            wake.wake();
        }
    }

    /// Moves everything out of `batch` into the queue. All batches of one inbox come from one decoder, so their
    /// compact items fit together. A no-op (but `batch` is emptied) once the reader is gone or
    /// the inbox is closed.
    pub fn push(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.lock();
        if self.is_aborted() || state.end.is_some() {
            drop(state);
            batch.clear();
            return;
        }
        let edge = state.is_empty();
        state.bytes += batch.bytes();
        state.batch.append(batch);
        self.signal(state, edge);
    }

    /// Moves raw lines into the queue; otherwise as [`Inbox::push`].
    pub fn push_lines(&self, lines: &mut Vec<Vec<u8>>) {
        if lines.is_empty() {
            return;
        }
        let mut state = self.lock();
        if self.is_aborted() || state.end.is_some() {
            drop(state);
            lines.clear();
            return;
        }
        let edge = state.is_empty();
        state.bytes += lines
            .iter()
            .map(|line| line.len() + mem::size_of::<Vec<u8>>())
            .sum::<usize>();
        state.lines.append(lines);
        self.signal(state, edge);
    }

    /// Waits while more than the capacity is queued and the reader is still there.
    pub async fn room(&self) {
        if self.lock().bytes <= self.capacity {
            return;
        }
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_aborted() || self.lock().bytes <= self.capacity {
                return;
            }
            changed.await;
        }
    }

    /// Ends the stream. Only the first call counts.
    pub fn close(&self, end: Result<(), Error>) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        self.signal(state, true);
    }

    /// Hands over everything queued by swapping it into `into`, which must be empty.
    pub fn take(&self, into: &mut Batch) -> Taken {
        let mut state = self.lock();
        if state.batch.is_empty() {
            return state.nothing();
        }
        let full = state.bytes > self.capacity;
        into.clear();
        mem::swap(&mut state.batch, into);
        state.bytes = 0;
        drop(state);
        if full {
            self.changed.notify_waiters();
        }
        Taken::Items
    }

    /// Hands over every queued raw line; `into` must be empty.
    pub fn take_lines(&self, into: &mut Vec<Vec<u8>>) -> Taken {
        let mut state = self.lock();
        if state.lines.is_empty() {
            return state.nothing();
        }
        let full = state.bytes > self.capacity;
        into.clear();
        mem::swap(&mut state.lines, into);
        state.bytes = 0;
        drop(state);
        if full {
            self.changed.notify_waiters();
        }
        Taken::Items
    }

    /// Blocks until items or the end are there, at most for `timeout`; says whether they are.
    pub fn wait(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self
            .ready
            .wait_timeout_while(state, timeout, |state| {
                state.is_empty() && state.end.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        !state.is_empty() || state.end.is_some()
    }

    /// The reader is gone: drops what is queued, makes every push a no-op and resolves [`Inbox::aborted`].
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        let mut state = self.lock();
        let batch = mem::take(&mut state.batch);
        let lines = mem::take(&mut state.lines);
        state.bytes = 0;
        drop(state);
        drop((batch, lines));
        self.changed.notify_waiters();
    }

    /// Whether the reader is gone.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Resolves when the reader is gone.
    pub async fn aborted(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_aborted() {
                return;
            }
            changed.await;
        }
    }

    /// Bytes queued at the moment, roughly.
    pub fn queued(&self) -> usize {
        self.lock().bytes
    }

    /// Unlocks, then tells the reader if `edge`.
    fn signal(&self, state: MutexGuard<'_, State>, edge: bool) {
        let wake = if edge { state.wake.clone() } else { None };
        drop(state);
        if edge {
            self.ready.notify_all();
        }
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// A panic of another thread while it held the lock cannot leave the state half-changed in a way that matters.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
