//! A time that a task waits for, kept by its reactor.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::reactor::{ReactorHandle, TimerKey};

/// Completes at a time, which can be moved.
pub(in crate::http) struct Timer {
    handle: ReactorHandle,
    at: Instant,
    /// Where it stands among the reactor's timers, once somebody waits.
    key: Option<TimerKey>,
}

impl Timer {
    pub(super) fn new(handle: ReactorHandle, at: Instant) -> Self {
        Self {
            handle,
            at,
            key: None,
        }
    }

    pub(in crate::http) fn deadline(&self) -> Instant {
        self.at
    }

    /// Moves it. One that is waited for and fires too early because of that is set again at the next poll.
    pub(in crate::http) fn reset(&mut self, at: Instant) {
        self.at = at;
    }

    fn remove(&mut self) {
        if let Some(key) = self.key.take() {
            self.handle.forget_timer(key);
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if now >= self.at {
            self.remove();
            return Poll::Ready(());
        }
        if self.key.is_some_and(|(at, _)| now < at && at <= self.at) {
            return Poll::Pending;
        }
        self.remove();
        self.key = self.handle.set_timer(self.at, context.waker());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.remove();
    }
}
