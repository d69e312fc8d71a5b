//! What wakes an event loop: from the I/O thread or, on the direct lane, from the loop's own thread.

use std::sync::{Arc, Weak};

use super::direct_lane::DirectLane;
use super::eventfd_waker::EventfdWaker;
use super::resumable::Resumable;
use crate::inbox::ReaderWaker;

#[derive(Clone)]
pub enum LoopWaker {
    /// For what happens on the I/O thread.
    IoThread(Arc<EventfdWaker>),
    /// For what happens in the reactor, on the loop's own thread. A lane that is gone took its loop along.
    Reactor(Weak<DirectLane>),
}

impl LoopWaker {
    fn wake(&self, resumable: Weak<dyn Resumable>) {
        match self {
            Self::IoThread(waker) => waker.wake(resumable),
            Self::Reactor(lane) => {
                if let Some(lane) = lane.upgrade() {
                    lane.wake(resumable);
                }
            }
        }
    }

    /// What an inbox calls when something is there for `target`.
    pub fn for_target<T: Resumable + 'static>(&self, target: &Arc<T>) -> TargetWaker {
        let target: Arc<dyn Resumable> = Arc::<T>::clone(target);
        TargetWaker {
            waker: self.clone(),
            target: Arc::downgrade(&target),
        }
    }
}

/// Wakes an event loop for the sake of one stream, delivery or call.
pub struct TargetWaker {
    waker: LoopWaker,
    target: Weak<dyn Resumable>,
}

impl ReaderWaker for TargetWaker {
    fn wake(&self) {
        self.waker.wake(self.target.clone());
    }
}
