//! The bounded queue between what receives a reply and what reads it.
//!
//! One producer (a pump, in an event loop or on the network thread), one reader. Everything queued is one [`Batch`],
//! handed over by swapping buffers: a reader that is behind gets all of it in one step, and no memory is allocated once
//! three buffers circulate. The producer wakes the reader when the empty inbox gets its first item and when it is
//! closed, never for each item, and never while the lock is held. A full inbox stops the producer
//! ([`Inbox::wait_for_room`]), which stops reading its socket. Nothing here knows of Python: what wakes the reader is a
//! [`ReaderWaker`].
//!
//! ```
//! use metagpt_ollama_rs::inbox::{CAPACITY, Inbox, Received};
//! use metagpt_ollama_rs::wire::{Batch, Decoder, Fold, MAX_LINE, StreamFormat};
//!
//! let inbox = Inbox::new(CAPACITY);
//!
//! // The producer decodes what has come and queues it.
//! let mut decoder = Decoder::new(StreamFormat::Ndjson, MAX_LINE);
//! let mut decoded = Batch::default();
//! decoder.feed(b"{\"message\":{\"content\":\"Hel\"}}\n{\"message\":{\"content\":\"lo\"}}\n", &mut decoded)?;
//! inbox.push(&mut decoded);
//! inbox.close(Ok(()));
//!
//! // The reader gets all of it at once, and then the end.
//! let (mut batch, mut fold) = (Batch::default(), Fold::new());
//! assert!(matches!(inbox.try_recv(&mut batch), Received::Items));
//! fold.add_batch(&batch);
//! assert_eq!(fold.finish().content, "Hello");
//! batch.clear();
//! assert!(matches!(inbox.try_recv(&mut batch), Received::Closed(Ok(()))));
//! # Ok::<(), metagpt_ollama_rs::wire::WireError>(())
//! ```

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Error;
use crate::sync::lock;
use crate::wire::Batch;

/// How many bytes are queued before the producer has to wait.
pub const CAPACITY: usize = 1 << 20;

/// What wakes the reader of an inbox. The producer calls it, without any lock held.
pub trait ReaderWaker: Send + Sync {
    fn wake(&self);
}

/// What [`Inbox::try_recv`] has found.
#[derive(Clone, Debug)]
pub enum Received {
    /// Items were handed over.
    Items,
    /// Nothing is queued, and the inbox is not closed.
    Empty,
    /// Everything was handed over before, and this is how the reply has ended. Every later call finds the same.
    Closed(Result<(), Error>),
}

/// The queue. Thread-safe; shared by one producer and one reader.
pub struct Inbox {
    capacity: usize,
    state: Mutex<InboxState>,
    /// Tells the reader that blocks: items have come, or the inbox was closed.
    filled: Condvar,
    /// Tells the producer that waits: there is room again, or the reader has gone.
    drained: Notify,
    aborted: AtomicBool,
}

#[derive(Default)]
struct InboxState {
    batch: Batch,
    /// The size of everything queued, roughly.
    bytes: usize,
    /// How the reply has ended, once the inbox is closed.
    end: Option<Result<(), Error>>,
    waker: Option<Arc<dyn ReaderWaker>>,
    /// The reader is to look although nothing has come for it, once.
    nudged: bool,
    /// How many threads block in `wait_timeout`: to notify a condition variable is a system call even if nobody waits
    /// for it.
    blocked: usize,
}

impl InboxState {
    /// Whether `try_recv` would find items or the end.
    fn is_readable(&self) -> bool {
        !self.batch.is_empty() || self.end.is_some()
    }
}

impl Inbox {
    /// An empty inbox that makes its producer wait once more than `capacity` bytes are queued.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Notify::new(),
            aborted: AtomicBool::new(false),
        })
    }

    /// Sets what is woken when the empty inbox gets an item and when the inbox is closed. If either has happened
    /// already, `waker` is woken at once, so that nothing is missed between a look into the inbox and this call.
    pub fn set_waker(&self, waker: Option<Arc<dyn ReaderWaker>>) {
        let mut state = lock(&self.state);
        let is_due = state.is_readable();
        let replaced = mem::replace(&mut state.waker, waker.clone());
        drop(state);
        drop(replaced);
        if is_due && let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves everything out of `batch` into the queue. All batches of one inbox have to come from one decoder, so that
    /// their compact items fit together. Once the reader has gone or the inbox is closed, `batch` is emptied and
    /// nothing else happens.
    pub fn push(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        if self.is_aborted() || state.end.is_some() {
            drop(state);
            batch.clear();
            return;
        }
        let was_empty = state.batch.is_empty();
        state.bytes += batch.bytes();
        state.batch.append(batch);
        if was_empty {
            self.unlock_and_wake(state);
        }
    }

    /// Waits while more than the capacity is queued and the reader is still there.
    pub async fn wait_for_room(&self) {
        if lock(&self.state).bytes <= self.capacity {
            return;
        }
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.is_aborted() || lock(&self.state).bytes <= self.capacity {
                return;
            }
            drained.await;
        }
    }

    /// Ends the stream. Only the first call counts.
    pub fn close(&self, end: Result<(), Error>) {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        self.unlock_and_wake(state);
    }

    /// Hands over everything queued by swapping it with `into`, which must be empty.
    pub fn try_recv(&self, into: &mut Batch) -> Received {
        let mut state = lock(&self.state);
        if state.batch.is_empty() {
            return match &state.end {
                Some(end) => Received::Closed(end.clone()),
                None => Received::Empty,
            };
        }
        let was_full = state.bytes > self.capacity;
        into.clear();
        mem::swap(&mut state.batch, into);
        state.bytes = 0;
        drop(state);
        if was_full {
            self.drained.notify_waiters();
        }
        Received::Items
    }

    /// Wakes the reader although nothing has come for it: there is something to be known of the call.
    pub fn nudge(&self) {
        let mut state = lock(&self.state);
        state.nudged = true;
        self.unlock_and_wake(state);
    }

    /// Blocks until items have come, the inbox is closed or the reader is nudged, at most for `timeout`. Returns whether
    /// one of these is the case.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let mut state = lock(&self.state);
        state.blocked += 1;
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, timeout, |state| {
                !state.is_readable() && !state.nudged
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.blocked -= 1;
        mem::take(&mut state.nudged) || state.is_readable()
    }

    /// The reader has gone: drops what is queued, makes every push do nothing, and resolves [`Inbox::aborted`].
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        let mut state = lock(&self.state);
        let batch = mem::take(&mut state.batch);
        state.bytes = 0;
        drop(state);
        drop(batch);
        self.drained.notify_waiters();
    }

    /// Whether the reader has gone.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Resolves when the reader has gone.
    pub async fn aborted(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.is_aborted() {
                return;
            }
            drained.await;
        }
    }

    /// The size of everything queued, roughly. Public for the tests in `tests/http`, which see by it that a slow reader
    /// holds the server back.
    #[doc(hidden)]
    pub fn queued_bytes(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Unlocks `state`, and then wakes the reader, in whichever way it waits.
    fn unlock_and_wake(&self, state: MutexGuard<'_, InboxState>) {
        let waker = state.waker.clone();
        let is_blocked = state.blocked > 0;
        drop(state);
        if is_blocked {
            self.filled.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;
    use crate::error::Kind;
    use crate::wire::{Decoder, Fold, StreamFormat};

    const PATIENCE: Duration = Duration::from_secs(30);

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl ReaderWaker for CountingWaker {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl CountingWaker {
        fn take_count(&self) -> usize {
            self.0.swap(0, Ordering::SeqCst)
        }
    }

    /// Takes the inbox's lock when woken, which would block for ever if the producer still held it.
    struct LockingWaker(Arc<Inbox>);

    impl ReaderWaker for LockingWaker {
        fn wake(&self) {
            self.0.queued_bytes();
        }
    }

    fn line(text: &str) -> String {
        format!(
            "{{\"model\":\"m\",\"created_at\":\"2026-08-21T17:00:05Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"done\":false}}\n"
        )
    }

    struct Producer {
        decoder: Decoder,
        batch: Batch,
    }

    impl Producer {
        fn new() -> Self {
            Self {
                decoder: Decoder::new(StreamFormat::Ndjson, 1 << 20),
                batch: Batch::default(),
            }
        }

        fn push(&mut self, inbox: &Inbox, text: &str) {
            self.decoder
                .feed(line(text).as_bytes(), &mut self.batch)
                .unwrap();
            inbox.push(&mut self.batch);
            assert!(self.batch.is_empty());
        }
    }

    fn text(batch: &Batch) -> String {
        let mut fold = Fold::new();
        fold.add_batch(batch);
        fold.finish().content
    }

    fn closed(message: &str) -> Result<(), Error> {
        Err(Error::new(Kind::Closed, message))
    }

    #[test]
    fn items_come_out_in_order_and_then_the_end() {
        let (inbox, mut producer, mut batch) =
            (Inbox::new(CAPACITY), Producer::new(), Batch::default());
        assert!(matches!(inbox.try_recv(&mut batch), Received::Empty));
        for text in ["a", "b", "", "c"] {
            producer.push(&inbox, text);
        }
        inbox.close(Ok(()));
        assert!(matches!(inbox.try_recv(&mut batch), Received::Items));
        assert_eq!((text(&batch).as_str(), batch.len()), ("abc", 4));
        assert_eq!(inbox.queued_bytes(), 0);
        for _ in 0..2 {
            batch.clear();
            assert!(matches!(
                inbox.try_recv(&mut batch),
                Received::Closed(Ok(()))
            ));
        }
    }

    #[test]
    fn only_the_first_end_counts_and_nothing_follows_it() {
        let (inbox, mut producer, mut batch) =
            (Inbox::new(CAPACITY), Producer::new(), Batch::default());
        inbox.close(closed("first"));
        inbox.close(closed("second"));
        producer.push(&inbox, "a");
        let Received::Closed(Err(error)) = inbox.try_recv(&mut batch) else {
            panic!("items after the end");
        };
        assert_eq!(error.message, "first");
    }

    #[test]
    fn the_reader_is_woken_by_the_first_item_and_at_the_end() {
        let (inbox, mut producer, mut batch) =
            (Inbox::new(CAPACITY), Producer::new(), Batch::default());
        let waker = Arc::new(CountingWaker::default());
        inbox.set_waker(Some(Arc::<CountingWaker>::clone(&waker)));
        assert_eq!(waker.take_count(), 0);
        producer.push(&inbox, "a");
        producer.push(&inbox, "b");
        assert_eq!(waker.take_count(), 1);
        inbox.try_recv(&mut batch);
        producer.push(&inbox, "c");
        assert_eq!(waker.take_count(), 1);
        inbox.push(&mut Batch::default());
        assert_eq!(waker.take_count(), 0);
        inbox.close(Ok(()));
        inbox.close(Ok(()));
        assert_eq!(waker.take_count(), 1);
        inbox.set_waker(None);
        inbox.set_waker(Some(Arc::<CountingWaker>::clone(&waker)));
        assert_eq!(waker.take_count(), 1, "what was there before counts");
    }

    #[test]
    fn the_lock_is_free_when_the_reader_is_woken() {
        let (inbox, mut producer) = (Inbox::new(CAPACITY), Producer::new());
        inbox.set_waker(Some(Arc::new(LockingWaker(Arc::clone(&inbox)))));
        producer.push(&inbox, "a");
        inbox.set_waker(Some(Arc::new(LockingWaker(Arc::clone(&inbox)))));
        inbox.close(Ok(()));
        inbox.set_waker(None);
    }

    #[test]
    fn three_buffers_circulate() {
        let (inbox, mut producer, mut batch) =
            (Inbox::new(CAPACITY), Producer::new(), Batch::default());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..50 {
            producer.push(&inbox, "some text");
            inbox.try_recv(&mut batch);
            seen.insert(batch.text.as_ptr() as usize);
            batch.clear();
        }
        assert!(seen.len() <= 3, "{} buffers", seen.len());
    }

    #[test]
    fn an_abort_empties_the_queue_and_silences_the_producer() {
        let (inbox, mut producer, mut batch) =
            (Inbox::new(CAPACITY), Producer::new(), Batch::default());
        producer.push(&inbox, "a");
        inbox.abort();
        producer.push(&inbox, "b");
        assert_eq!(inbox.queued_bytes(), 0);
        assert!(matches!(inbox.try_recv(&mut batch), Received::Empty));
        inbox.close(closed("over"));
        assert!(matches!(
            inbox.try_recv(&mut batch),
            Received::Closed(Err(_))
        ));
    }

    #[test]
    fn waiting_has_a_bound() {
        assert!(!Inbox::new(CAPACITY).wait_timeout(Duration::from_millis(1)));
    }

    #[tokio::test]
    async fn room_is_made_by_taking_and_by_aborting() {
        for abort in [false, true] {
            let (inbox, mut producer) = (Inbox::new(10), Producer::new());
            inbox.wait_for_room().await;
            producer.push(&inbox, "more than ten bytes");
            let reader = Arc::clone(&inbox);
            let mut room = Box::pin(inbox.wait_for_room());
            let early = tokio::time::timeout(Duration::from_millis(5), &mut room).await;
            assert!(early.is_err(), "there is no room");
            thread::spawn(move || {
                if abort {
                    reader.abort();
                } else {
                    reader.try_recv(&mut Batch::default());
                }
            });
            tokio::time::timeout(PATIENCE, room).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_abort_is_seen_by_all_who_wait_for_it() {
        let inbox = Inbox::new(CAPACITY);
        let (one, two) = (inbox.aborted(), inbox.aborted());
        let reader = Arc::clone(&inbox);
        thread::spawn(move || reader.abort());
        tokio::time::timeout(PATIENCE, async { tokio::join!(one, two) })
            .await
            .unwrap();
        inbox.aborted().await;
    }

    #[test]
    fn a_producer_and_a_blocking_reader_on_two_threads() {
        const COUNT: usize = 20_000;
        let inbox = Inbox::new(4096);
        let filled = Arc::clone(&inbox);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut producer = Producer::new();
                for index in 0..COUNT {
                    producer.push(&filled, &format!("{index},"));
                    filled.wait_for_room().await;
                }
                filled.close(Ok(()));
            });
        });
        let (mut batch, mut fold) = (Batch::default(), Fold::new());
        loop {
            assert!(inbox.wait_timeout(PATIENCE), "a wake-up was lost");
            match inbox.try_recv(&mut batch) {
                Received::Items => fold.add_batch(&batch),
                Received::Closed(end) => break end.unwrap(),
                Received::Empty => panic!("woken for nothing"),
            }
            assert!(batch.bytes() < 4096 + 200, "{} bytes", batch.bytes());
            batch.clear();
        }
        thread.join().unwrap();
        let expected: Vec<String> = (0..COUNT).map(|index| index.to_string()).collect();
        assert_eq!(fold.finish().content, expected.join(",") + ",");
    }
}
