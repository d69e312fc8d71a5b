//! Timers, all of which share one descriptor: a timerfd, which becomes readable when the next of them is due.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::timerfd::TimerFd;
use crate::sync::lock;

/// When a timer is due, and a number that tells it from others that are due at the same moment.
type TimerKey = (Instant, u64);

/// The timers for which tasks wait.
pub(super) struct TimerQueue {
    timerfd: TimerFd,
    timers: Mutex<Timers>,
}

#[derive(Default)]
struct Timers {
    /// How many numbers were given out.
    count: u64,
    wakers: BTreeMap<TimerKey, Waker>,
    /// When the timerfd becomes readable.
    armed: Option<Instant>,
}

impl TimerQueue {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            timerfd: TimerFd::new()?,
            timers: Mutex::default(),
        })
    }

    /// The timerfd: readable when [`TimerQueue::wake_due`] has something to do.
    pub(super) fn descriptor(&self) -> RawFd {
        self.timerfd.as_raw_fd()
    }

    /// Wakes the tasks whose timers are due, and sets the timerfd for the next timer.
    pub(super) fn wake_due(&self) {
        // The timerfd is watched edge-triggered and is set anew below, so that its counter need not be read.
        let now = Instant::now();
        let mut due = Vec::new();
        let mut timers = lock(&self.timers);
        timers.armed = None;
        while let Some(entry) = timers.wakers.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        if let Some((at, _)) = timers.wakers.first_key_value().map(|(key, _)| *key) {
            self.arm(&mut timers, at);
        }
        drop(timers);
        due.into_iter().for_each(Waker::wake);
    }

    /// Wakes `waker` at `at`.
    fn insert(&self, at: Instant, waker: &Waker) -> TimerKey {
        let mut timers = lock(&self.timers);
        timers.count += 1;
        let key = (at, timers.count);
        timers.wakers.insert(key, waker.clone());
        self.arm(&mut timers, at);
        key
    }

    fn remove(&self, key: TimerKey) {
        let waker = lock(&self.timers).wakers.remove(&key);
        drop(waker);
    }

    /// Sees to it that the timerfd becomes readable at `at` or before.
    fn arm(&self, timers: &mut Timers, at: Instant) {
        if timers.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        timers.armed = Some(at);
        self.timerfd
            .set(at.saturating_duration_since(Instant::now()));
    }
}

/// Completes at a time, which can be changed.
pub(in crate::http) struct Timer {
    queue: Weak<TimerQueue>,
    deadline: Instant,
    /// Where the timer stands in the queue, once a task waits for it.
    key: Option<TimerKey>,
}

impl Timer {
    /// Without a queue, because its reactor is gone, the timer never completes.
    pub(super) fn new(queue: Option<&Arc<TimerQueue>>, deadline: Instant) -> Self {
        Self {
            queue: queue.map(Arc::downgrade).unwrap_or_default(),
            deadline,
            key: None,
        }
    }

    pub(in crate::http) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Changes the time. If a task waits and the new time is later, the queue keeps the old one: the task is woken
    /// then, and its poll waits again. That makes moving a timer, which each read of a stream does, cost nothing.
    pub(in crate::http) fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    fn dequeue(&mut self) {
        if let Some(key) = self.key.take()
            && let Some(queue) = self.queue.upgrade()
        {
            queue.remove(key);
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if now >= self.deadline {
            self.dequeue();
            return Poll::Ready(());
        }
        let is_queued = |(at, _)| now < at && at <= self.deadline;
        if self.key.is_some_and(is_queued) {
            return Poll::Pending;
        }
        self.dequeue();
        let queue = self.queue.upgrade();
        self.key = queue.map(|queue| queue.insert(self.deadline, context.waker()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.dequeue();
    }
}
