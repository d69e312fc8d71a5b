//! An executor and its sockets in one file descriptor, driven by somebody else's event loop.
//!
//! The owner of the event loop watches [`Reactor::descriptor`]. Whenever that becomes readable it calls
//! [`Reactor::turn`], which asks the kernel what has happened and lets every task go on that has a reason to. A task is
//! an ordinary future; it may be polled by any thread, but never by two at once, and nothing waits in here.
//!
//! Every lock is held for a few instructions only: never while a task runs, a future is dropped or the kernel is asked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};
use tokio::time::Instant;

use super::pool::Pools;
use super::socket::Readiness;
use super::timer::Timer;

/// What one read may bring, and what all reads of a turn may: a burst is taken in large pieces, no stream holds the
/// others up for long, and of hundreds of streams that burst at once none piles up what its reader has no time for yet.
const READ: usize = 256 << 10;
const READS: usize = 1 << 20;
const LEAST_READ: usize = 16 << 10;

/// How many events are taken from the kernel in one turn; the rest waits for the next.
const EVENTS: usize = 1024;

const WAKE: Token = Token(0);
const TIMER: Token = Token(1);
const FIRST_SOCKET: usize = 2;

/// When a timer rings, and its number.
pub(super) type TimerKey = (Instant, usize);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the future of a task is.
enum Place {
    /// Here: it waits.
    Waiting(Work),
    /// With whoever polls it, who polls it `again` if somebody else wanted to meanwhile.
    Polled { again: bool },
    /// It is done, or nobody wants it any more.
    Ended,
}

/// The tasks, sockets, timers and idle connections of one event loop. Clones share them; dropping the last one ends
/// the tasks and closes the sockets.
#[derive(Clone)]
pub struct Reactor(Arc<Owner>);

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut self.0.state().tasks);
        for task in tasks.into_values() {
            task.end();
        }
        self.0.pools.clear();
    }
}

/// What tasks know of their reactor.
#[derive(Clone)]
pub(in crate::http) struct ReactorHandle(Weak<Shared>);

struct Shared {
    poll: Mutex<Option<(mio::Poll, Events)>>,
    registry: Registry,
    descriptor: RawFd,
    waker: mio::Waker,
    timer: OwnedFd,
    state: Mutex<State>,
    pools: Pools,
    /// What sockets are read into: one buffer for all of them, because a read is used up before the next one.
    buffer: Mutex<Vec<u8>>,
    /// What one read may bring at the moment.
    share: AtomicUsize,
}

#[derive(Default)]
struct State {
    next: usize,
    sockets: HashMap<usize, Arc<Readiness>>,
    tasks: HashMap<usize, Arc<Task>>,
    queue: VecDeque<Arc<Task>>,
    timers: BTreeMap<TimerKey, Waker>,
    /// When the timer descriptor becomes readable.
    armed: Option<Instant>,
    /// A turn is under way, and will look at the queue once more before it ends.
    turning: bool,
}

impl State {
    fn number(&mut self) -> usize {
        self.next = self.next.max(FIRST_SOCKET) + 1;
        self.next
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reactor {
    /// A reactor with nothing to do. Fails where the process may open no more files.
    pub fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKE)?;
        // SAFETY: timerfd_create takes two integers; a negative result is checked below.
        let raw = unsafe {
            libc::timerfd_create(
                libc::CLOCK_MONOTONIC,
                libc::TFD_CLOEXEC | libc::TFD_NONBLOCK,
            )
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` was just opened and nobody else owns it.
        let timer = unsafe { OwnedFd::from_raw_fd(raw) };
        registry.register(&mut SourceFd(&raw), TIMER, Interest::READABLE)?;
        Ok(Self(Arc::new(Owner(Arc::new(Shared {
            descriptor: poll.as_raw_fd(),
            poll: Mutex::new(Some((poll, Events::with_capacity(EVENTS)))),
            registry,
            waker,
            timer,
            state: Mutex::default(),
            pools: Pools::default(),
            buffer: Mutex::default(),
            share: AtomicUsize::new(READ),
        })))))
    }

    /// What the event loop has to watch: readable when a turn is due.
    pub fn descriptor(&self) -> RawFd {
        self.0.0.descriptor
    }

    /// Lets everything go on that can, without waiting, and calls `after` when a task has had its share. What that task
    /// has produced is best used up then, while it is in the caches and before the next one produces more. `after` may
    /// come back here.
    pub fn run_once(&self, after: impl FnMut()) {
        self.0.0.run_once(Duration::ZERO, after);
    }

    /// As `turn`, after waiting for a reason: for code that has no event loop.
    pub fn wait(&self, limit: Duration) {
        self.0.0.run_once(limit, || {});
    }

    /// Makes a turn due.
    pub fn wake(&self) {
        self.0.0.wake();
    }

    /// Starts `work`, which is polled for the first time before this returns.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let shared = &self.0.0;
        let mut state = shared.state();
        let number = state.number();
        let task = Arc::new(Task {
            handle: self.handle(),
            number,
            queued: AtomicBool::new(false),
            place: Mutex::new(Place::Waiting(Box::pin(work))),
        });
        state.tasks.insert(number, Arc::clone(&task));
        drop(state);
        let handle = TaskHandle(Arc::downgrade(&task));
        task.run();
        handle
    }

    pub(in crate::http) fn handle(&self) -> ReactorHandle {
        ReactorHandle(Arc::downgrade(&self.0.0))
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn run_once(&self, limit: Duration, mut after: impl FnMut()) {
        let Some((mut poll, mut events)) = lock(&self.poll).take() else {
            return;
        };
        let asked = poll.poll(&mut events, Some(limit));
        self.state().turning = true;
        if asked.is_ok() {
            self.notice(&events);
        }
        *lock(&self.poll) = Some((poll, events));
        // Those that are queued meanwhile have their share in the next turn.
        let mut left = self.state().queue.len();
        let share = (READS / left.max(1)).clamp(LEAST_READ, READ);
        self.share.store(share, Ordering::Relaxed);
        while left > 0
            && let Some(task) = self.next()
        {
            left -= 1;
            task.run();
            after();
        }
        let mut state = self.state();
        state.turning = false;
        let more = !state.queue.is_empty();
        drop(state);
        if more {
            self.wake();
        }
    }

    fn next(&self) -> Option<Arc<Task>> {
        self.state().queue.pop_front()
    }

    /// Notes what has happened to sockets and timers, and queues whoever waits for it.
    fn notice(&self, events: &Events) {
        let mut idle = false;
        for event in events {
            match event.token() {
                WAKE => {}
                TIMER => self.ring(),
                Token(number) => {
                    let readiness = self.state().sockets.get(&number).map(Arc::clone);
                    idle |= readiness.is_some_and(|readiness| readiness.note(event));
                }
            }
        }
        if idle {
            self.pools.sweep();
        }
    }

    /// Wakes whose time has come, and sets the timer for the next.
    fn ring(&self) {
        // The descriptor is edge-triggered and set anew below, so its counter need not be read.
        let now = Instant::now();
        let mut due = Vec::new();
        let mut state = self.state();
        state.armed = None;
        while let Some(entry) = state.timers.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        if let Some((at, _)) = state.timers.first_key_value().map(|(key, _)| *key) {
            self.arm(&mut state, at);
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Makes sure that the timer rings at `at` or before.
    fn arm(&self, state: &mut State, at: Instant) {
        if state.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        state.armed = Some(at);
        let left = at.saturating_duration_since(Instant::now());
        let value = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
                // Zero would switch the timer off.
                tv_nsec: libc::c_long::from(left.subsec_nanos()).max(1),
            },
        };
        // SAFETY: the descriptor is open, `value` lives through the call, and no old value is asked for.
        unsafe {
            libc::timerfd_settime(
                self.timer.as_raw_fd(),
                0,
                &raw const value,
                std::ptr::null_mut(),
            );
        }
    }

    fn enqueue(&self, task: Arc<Task>) {
        let mut state = self.state();
        state.queue.push_back(task);
        let turning = state.turning;
        drop(state);
        if !turning {
            self.wake();
        }
    }

    /// Makes the descriptor readable.
    fn wake(&self) {
        // It fails only where the counter would overflow, and then the descriptor is readable.
        let _ = self.waker.wake();
    }
}

/// A future under way.
struct Task {
    handle: ReactorHandle,
    number: usize,
    /// Woken, and not polled since.
    queued: AtomicBool,
    place: Mutex<Place>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel)
            && let Some(shared) = self.handle.0.upgrade()
        {
            shared.enqueue(self);
        }
    }
}

impl Task {
    fn run(self: &Arc<Self>) {
        let Some(mut work) = self.take() else {
            return;
        };
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        // A task that panics ends; what it leaves behind is closed by its drops.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)));
        if !matches!(polled, Ok(Poll::Pending)) {
            self.end();
            drop(work);
            return;
        }
        let mut place = lock(&self.place);
        let again = match *place {
            Place::Polled { again } => again,
            Place::Waiting(_) | Place::Ended => {
                drop(place);
                drop(work);
                return;
            }
        };
        *place = Place::Waiting(work);
        drop(place);
        if again && let Some(shared) = self.handle.0.upgrade() {
            shared.enqueue(Arc::clone(self));
        }
    }

    /// The future, to be polled. `None`: it has ended, or somebody polls it and will do so again.
    fn take(&self) -> Option<Work> {
        let mut place = lock(&self.place);
        match std::mem::replace(&mut *place, Place::Polled { again: false }) {
            Place::Waiting(work) => {
                self.queued.store(false, Ordering::Release);
                Some(work)
            }
            Place::Polled { .. } => {
                *place = Place::Polled { again: true };
                None
            }
            Place::Ended => {
                *place = Place::Ended;
                None
            }
        }
    }

    /// Drops the work, now or when it has been polled.
    fn end(&self) {
        if let Some(shared) = self.handle.0.upgrade() {
            let task = shared.state().tasks.remove(&self.number);
            drop(task);
        }
        let place = std::mem::replace(&mut *lock(&self.place), Place::Ended);
        drop(place);
    }
}

/// What ends a task before its time.
#[derive(Clone, Debug, Default)]
pub struct TaskHandle(Weak<Task>);

impl TaskHandle {
    /// Drops the task's future, at once unless it is being polled.
    pub fn abort(&self) {
        if let Some(task) = self.0.upgrade() {
            task.end();
        }
    }

    /// Lets the task go on at once, if it has been woken.
    pub fn poll_now(&self) {
        if let Some(task) = self.0.upgrade()
            && task.queued.load(Ordering::Acquire)
        {
            task.run();
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The reactor is gone: its event loop was closed.
fn gone() -> io::Error {
    io::Error::other("the event loop was closed")
}

impl ReactorHandle {
    /// Whether both belong to one reactor.
    pub(in crate::http) fn same_reactor(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Whether the reactor is still there.
    pub(in crate::http) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    fn shared(&self) -> io::Result<Arc<Shared>> {
        self.0.upgrade().ok_or_else(gone)
    }

    /// Closes the connections of `client` that wait for another request.
    pub(in crate::http) fn close_idle(&self, client: u64) {
        self.pools(|pools| pools.forget(client));
    }

    /// Runs `work` with the connections that wait for another request.
    pub(super) fn pools<T>(&self, work: impl FnOnce(&Pools) -> T) -> Option<T> {
        self.0.upgrade().map(|shared| work(&shared.pools))
    }

    /// Runs `work` with the buffer for reads.
    pub(super) fn with_buffer<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> io::Result<T> {
        let shared = self.shared()?;
        let mut buffer = lock(&shared.buffer);
        if buffer.is_empty() {
            buffer.resize(READ, 0);
        }
        let share = shared.share.load(Ordering::Relaxed);
        Ok(work(buffer.get_mut(..share).unwrap_or_default()))
    }

    /// Watches `stream`, which `readiness` is about, from now on, under the number that is returned.
    pub(super) fn watch(
        &self,
        stream: &mut mio::net::TcpStream,
        readiness: &Arc<Readiness>,
    ) -> io::Result<usize> {
        let shared = self.shared()?;
        let mut state = shared.state();
        let number = state.number();
        state.sockets.insert(number, Arc::clone(readiness));
        drop(state);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = shared.registry.register(stream, Token(number), interest);
        if registered.is_err() {
            self.unwatch(stream, number);
        }
        registered.map(|()| number)
    }

    /// Ends what `watch` has begun.
    pub(super) fn unwatch(&self, stream: &mut mio::net::TcpStream, number: usize) {
        if let Some(shared) = self.0.upgrade() {
            let known = shared.state().sockets.remove(&number);
            drop(known);
            // A forked child may hold the socket open, so closing it here would not end the watch.
            let _ = shared.registry.deregister(stream);
        }
    }

    /// Wakes `waker` at `at`. The result is for `forget_timer`.
    pub(super) fn set_timer(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        let shared = self.0.upgrade()?;
        let mut state = shared.state();
        let key = (at, state.number());
        state.timers.insert(key, waker.clone());
        shared.arm(&mut state, at);
        Some(key)
    }

    /// Ends what `set_timer` has begun.
    pub(super) fn forget_timer(&self, key: TimerKey) {
        if let Some(shared) = self.0.upgrade() {
            let waker = shared.state().timers.remove(&key);
            drop(waker);
        }
    }

    /// Completes at `at`.
    pub(in crate::http) fn timer(&self, at: Instant) -> Timer {
        Timer::new(self.clone(), at)
    }
}
