//! Streams, deliveries and calls that an event loop resumes when something has arrived for them, and the queue of those
//! for which something has.

use std::collections::VecDeque;
use std::sync::{Mutex, Weak};

use pyo3::prelude::*;

use crate::sync::lock;

/// A stream, a delivery or a call for which a task waits on an event loop.
pub trait Resumable: Send + Sync {
    /// Takes what has arrived and resumes the task that waits for it. Runs on the loop's thread.
    fn resume(&self, py: Python<'_>) -> PyResult<()>;
}

/// What one loop has to resume. Any thread may add to it; the loop's thread resumes.
#[derive(Default)]
pub struct ResumeQueue(Mutex<VecDeque<Weak<dyn Resumable>>>);

impl ResumeQueue {
    pub fn push(&self, resumable: Weak<dyn Resumable>) {
        lock(&self.0).push_back(resumable);
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Resumes as many as are in the queue at the beginning, also after one has failed; the first failure is the result.
    /// Each is taken out by itself: a callback that runs the loop again may wait for one behind it.
    pub fn resume_all(&self, py: Python<'_>) -> PyResult<()> {
        let due = lock(&self.0).len();
        let mut first_failure = Ok(());
        for _ in 0..due {
            let Some(resumable) = self.pop() else { break };
            if let Some(resumable) = resumable.upgrade() {
                first_failure = first_failure.and(resumable.resume(py));
            }
        }
        first_failure
    }

    fn pop(&self) -> Option<Weak<dyn Resumable>> {
        lock(&self.0).pop_front()
    }
}
