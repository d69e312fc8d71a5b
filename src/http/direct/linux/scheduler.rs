//! The tasks of a reactor: ordinary futures, of which those that were woken are polled.
//!
//! A task may be polled by any thread, but never by two at once. Every lock is held for a few instructions only: never
//! while a future is polled or dropped.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};

use super::io_driver::IoDriver;
use crate::sync::lock;

type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks of a reactor, and which of them are to be polled.
pub(super) struct Scheduler {
    io: Arc<IoDriver>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    /// How many numbers were given out.
    count: u64,
    /// Those that have not finished.
    by_number: HashMap<u64, Arc<Task>>,
    /// Those that were woken.
    run_queue: VecDeque<Arc<Task>>,
    /// An iteration is under way, which looks at the queue before it ends: nothing else has to be told of a new entry.
    iterating: bool,
}

impl Scheduler {
    /// `io` makes an iteration due when a task is woken.
    pub(super) fn new(io: Arc<IoDriver>) -> Self {
        Self {
            io,
            tasks: Mutex::default(),
        }
    }

    /// Polls `future` for the first time, and again whenever it is woken.
    pub(super) fn spawn(
        self: &Arc<Self>,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> TaskHandle {
        let mut tasks = lock(&self.tasks);
        tasks.count += 1;
        let number = tasks.count;
        let task = Arc::new(Task {
            scheduler: Arc::downgrade(self),
            number,
            notified: AtomicBool::new(false),
            stage: Mutex::new(Stage::Idle(Box::pin(future))),
        });
        tasks.by_number.insert(number, Arc::clone(&task));
        drop(tasks);
        let handle = TaskHandle(Arc::downgrade(&task));
        task.poll();
        handle
    }

    /// Begins an iteration.
    pub(super) fn begin_iteration(&self) {
        lock(&self.tasks).iterating = true;
    }

    /// How many tasks wait to be polled.
    pub(super) fn queued(&self) -> usize {
        lock(&self.tasks).run_queue.len()
    }

    /// Polls the first `count` tasks of the queue, and calls `after_task` after each.
    pub(super) fn poll_tasks(&self, count: usize, mut after_task: impl FnMut()) {
        for _ in 0..count {
            let Some(task) = self.pop() else { break };
            task.poll();
            after_task();
        }
    }

    fn pop(&self) -> Option<Arc<Task>> {
        lock(&self.tasks).run_queue.pop_front()
    }

    /// Ends an iteration. If tasks are left in the queue, another iteration is due.
    pub(super) fn end_iteration(&self) {
        let mut tasks = lock(&self.tasks);
        tasks.iterating = false;
        let is_due = !tasks.run_queue.is_empty();
        drop(tasks);
        if is_due {
            self.io.wake();
        }
    }

    fn enqueue(&self, task: Arc<Task>) {
        let mut tasks = lock(&self.tasks);
        tasks.run_queue.push_back(task);
        let iterating = tasks.iterating;
        drop(tasks);
        if !iterating {
            self.io.wake();
        }
    }

    /// Ends all tasks, so that what their futures hold is closed.
    pub(super) fn abort_all(&self) {
        let tasks = std::mem::take(&mut lock(&self.tasks).by_number);
        for task in tasks.into_values() {
            task.finish();
        }
    }
}

/// Where the future of a task is.
enum Stage {
    /// Here, until the task is polled.
    Idle(TaskFuture),
    /// With the thread that polls it.
    Running {
        /// Whether another thread wanted to poll it meanwhile. Then the task is queued once more.
        repoll: bool,
    },
    /// The future was dropped: it has completed, has panicked or was aborted.
    Finished,
}

struct Task {
    scheduler: Weak<Scheduler>,
    number: u64,
    /// Whether the task was woken and has not been polled since.
    notified: AtomicBool,
    stage: Mutex<Stage>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.notified.swap(true, Ordering::AcqRel)
            && let Some(scheduler) = self.scheduler.upgrade()
        {
            scheduler.enqueue(self);
        }
    }
}

impl Task {
    fn poll(self: &Arc<Self>) {
        let Some(mut future) = self.start_running() else {
            return;
        };
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        // A panic ends the task and nothing else: what the future holds is closed when it is dropped.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        if !matches!(polled, Ok(Poll::Pending)) {
            self.finish();
            drop(future);
            return;
        }
        let mut stage = lock(&self.stage);
        let Stage::Running { repoll } = *stage else {
            // The task was aborted meanwhile.
            drop(stage);
            drop(future);
            return;
        };
        *stage = Stage::Idle(future);
        drop(stage);
        if repoll && let Some(scheduler) = self.scheduler.upgrade() {
            scheduler.enqueue(Arc::clone(self));
        }
    }

    /// Takes the future out, to be polled. `None` if the task has finished, or if another thread polls it: then the
    /// task is queued again when that is over.
    fn start_running(&self) -> Option<TaskFuture> {
        let mut stage = lock(&self.stage);
        match std::mem::replace(&mut *stage, Stage::Running { repoll: false }) {
            Stage::Idle(future) => {
                self.notified.store(false, Ordering::Release);
                Some(future)
            }
            Stage::Running { .. } => {
                *stage = Stage::Running { repoll: true };
                None
            }
            Stage::Finished => {
                *stage = Stage::Finished;
                None
            }
        }
    }

    /// Drops the future: at once, or after the poll that is under way.
    fn finish(&self) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            let task = lock(&scheduler.tasks).by_number.remove(&self.number);
            drop(task);
        }
        let stage = std::mem::replace(&mut *lock(&self.stage), Stage::Finished);
        drop(stage);
    }
}

/// What somebody who has spawned a task keeps of it. To drop it changes nothing.
#[derive(Clone, Debug, Default)]
pub struct TaskHandle(Weak<Task>);

impl TaskHandle {
    /// Ends the task: drops its future, at once unless it is being polled.
    pub fn abort(&self) {
        if let Some(task) = self.0.upgrade() {
            task.finish();
        }
    }

    /// Polls the task at once if it was woken, instead of in the next iteration.
    pub fn poll_now(&self) {
        if let Some(task) = self.0.upgrade()
            && task.notified.load(Ordering::Acquire)
        {
            task.poll();
        }
    }
}
