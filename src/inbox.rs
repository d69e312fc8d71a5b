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
    /// Rough size of everything queued.
    bytes: usize,
    end: Option<Result<(), Error>>,
    wake: Option<Arc<dyn Wake>>,
    /// How many threads block in `wait`: telling them costs a system call, whether there are any or not.
    blocked: usize,
}

impl State {
    fn is_empty(&self) -> bool {
        self.batch.is_empty()
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

    /// Blocks until items or the end are there, at most for `timeout`; says whether they are.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.blocked += 1;
        let (mut state, _) = self
            .ready
            .wait_timeout_while(state, timeout, |state| {
                state.is_empty() && state.end.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.blocked -= 1;
        !state.is_empty() || state.end.is_some()
    }

    /// The reader is gone: drops what is queued, makes every push a no-op and resolves [`Inbox::aborted`].
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        let mut state = self.lock();
        let batch = mem::take(&mut state.batch);
        state.bytes = 0;
        drop(state);
        drop(batch);
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
        let blocked = edge && state.blocked > 0;
        drop(state);
        if blocked {
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
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Bell {
        fn rings(&self) -> usize {
            self.0.swap(0, Ordering::SeqCst)
        }
    }

    /// Takes the inbox's lock when woken, which would block for ever if the producer still held it.
    struct Nosy(Arc<Inbox>);

    impl Wake for Nosy {
        fn wake(&self) {
            self.0.queued();
        }
    }

    fn line(text: &str) -> String {
        format!(
            "{{\"model\":\"m\",\"created_at\":\"2026-08-21T17:00:05Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"done\":false}}\n"
        )
    }

    struct Source {
        decoder: Decoder,
        batch: Batch,
    }

    impl Source {
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
        fold.batch(batch);
        fold.finish().content
    }

    fn closed(message: &str) -> Result<(), Error> {
        Err(Error::new(Kind::Closed, message))
    }

    #[test]
    fn items_come_out_in_order_and_then_the_end() {
        let (inbox, mut source, mut batch) =
            (Inbox::new(CAPACITY), Source::new(), Batch::default());
        assert!(matches!(inbox.take(&mut batch), Taken::Empty));
        for text in ["a", "b", "", "c"] {
            source.push(&inbox, text);
        }
        inbox.close(Ok(()));
        assert!(matches!(inbox.take(&mut batch), Taken::Items));
        assert_eq!((text(&batch).as_str(), batch.len()), ("abc", 4));
        assert_eq!(inbox.queued(), 0);
        for _ in 0..2 {
            batch.clear();
            assert!(matches!(inbox.take(&mut batch), Taken::Ended(Ok(()))));
        }
    }

    #[test]
    fn only_the_first_end_counts_and_nothing_follows_it() {
        let (inbox, mut source, mut batch) =
            (Inbox::new(CAPACITY), Source::new(), Batch::default());
        inbox.close(closed("first"));
        inbox.close(closed("second"));
        source.push(&inbox, "a");
        let Taken::Ended(Err(error)) = inbox.take(&mut batch) else {
            panic!("items after the end");
        };
        assert_eq!(error.message, "first");
    }

    #[test]
    fn the_reader_is_woken_on_the_edge_and_at_the_end() {
        let (inbox, mut source, mut batch) =
            (Inbox::new(CAPACITY), Source::new(), Batch::default());
        let bell = Arc::new(Bell::default());
        inbox.set_wake(Some(Arc::<Bell>::clone(&bell)));
        assert_eq!(bell.rings(), 0);
        source.push(&inbox, "a");
        source.push(&inbox, "b");
        assert_eq!(bell.rings(), 1);
        inbox.take(&mut batch);
        source.push(&inbox, "c");
        assert_eq!(bell.rings(), 1);
        inbox.push(&mut Batch::default());
        assert_eq!(bell.rings(), 0);
        inbox.close(Ok(()));
        inbox.close(Ok(()));
        assert_eq!(bell.rings(), 1);
        inbox.set_wake(None);
        inbox.set_wake(Some(Arc::<Bell>::clone(&bell)));
        assert_eq!(bell.rings(), 1, "what was there before counts");
    }

    #[test]
    fn the_lock_is_free_when_the_reader_is_woken() {
        let (inbox, mut source) = (Inbox::new(CAPACITY), Source::new());
        inbox.set_wake(Some(Arc::new(Nosy(Arc::clone(&inbox)))));
        source.push(&inbox, "a");
        inbox.set_wake(Some(Arc::new(Nosy(Arc::clone(&inbox)))));
        inbox.close(Ok(()));
        inbox.set_wake(None);
    }

    #[test]
    fn three_buffers_circulate() {
        let (inbox, mut source, mut batch) =
            (Inbox::new(CAPACITY), Source::new(), Batch::default());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..50 {
            source.push(&inbox, "some text");
            inbox.take(&mut batch);
            seen.insert(batch.text.as_ptr() as usize);
            batch.clear();
        }
        assert!(seen.len() <= 3, "{} buffers", seen.len());
    }

    #[test]
    fn an_abort_empties_the_queue_and_silences_the_producer() {
        let (inbox, mut source, mut batch) =
            (Inbox::new(CAPACITY), Source::new(), Batch::default());
        source.push(&inbox, "a");
        inbox.abort();
        source.push(&inbox, "b");
        assert_eq!(inbox.queued(), 0);
        assert!(matches!(inbox.take(&mut batch), Taken::Empty));
        inbox.close(closed("over"));
        assert!(matches!(inbox.take(&mut batch), Taken::Ended(Err(_))));
    }

    #[test]
    fn waiting_has_a_bound() {
        assert!(!Inbox::new(CAPACITY).wait(Duration::from_millis(1)));
    }

    #[tokio::test]
    async fn room_is_made_by_taking_and_by_aborting() {
        for abort in [false, true] {
            let (inbox, mut source) = (Inbox::new(10), Source::new());
            inbox.room().await;
            source.push(&inbox, "more than ten bytes");
            let reader = Arc::clone(&inbox);
            let mut room = Box::pin(inbox.room());
            let early = tokio::time::timeout(Duration::from_millis(5), &mut room).await;
            assert!(early.is_err(), "there is no room");
            thread::spawn(move || {
                if abort {
                    reader.abort();
                } else {
                    reader.take(&mut Batch::default());
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
        let producer = Arc::clone(&inbox);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut source = Source::new();
                for index in 0..COUNT {
                    source.push(&producer, &format!("{index},"));
                    producer.room().await;
                }
                producer.close(Ok(()));
            });
        });
        let (mut batch, mut fold) = (Batch::default(), Fold::new());
        loop {
            assert!(inbox.wait(PATIENCE), "a wake-up was lost");
            match inbox.take(&mut batch) {
                Taken::Items => fold.batch(&batch),
                Taken::Ended(end) => break end.unwrap(),
                Taken::Empty => panic!("woken for nothing"),
            }
            assert!(batch.bytes() < 4096 + 200, "{} bytes", batch.bytes());
            batch.clear();
        }
        thread.join().unwrap();
        let expected: Vec<String> = (0..COUNT).map(|index| index.to_string()).collect();
        assert_eq!(fold.finish().content, expected.join(",") + ",");
    }
}
