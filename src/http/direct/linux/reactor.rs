//! A reactor: tasks, sockets and timers behind one file descriptor, driven by the event loop of somebody else.
//!
//! The owner of the event loop watches [`Reactor::descriptor`]. Whenever that is readable it calls
//! [`Reactor::run_once`], which asks the kernel what has happened and polls every task that was woken. Nothing in here
//! waits.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::io_driver::{IoDriver, IoHandle};
use super::poll_evented::PollEvented;
use super::pool::Pool;
use super::scheduler::{Scheduler, TaskHandle};
use super::timer::{Timer, TimerQueue};
use super::wait::wait_readable;

/// The tasks, sockets, timers and idle connections of one event loop. Clones share them; dropping the last clone ends
/// the tasks and closes the sockets.
#[derive(Clone)]
pub struct Reactor(Arc<ShutdownOnDrop>);

struct ReactorCore {
    io: Arc<IoDriver>,
    timers: Arc<TimerQueue>,
    scheduler: Arc<Scheduler>,
    pool: Pool,
}

/// Ends what a reactor has begun. Another thread may hold the core for a moment, but it is not that thread which ends
/// the tasks: it is the one that drops the last [`Reactor`].
struct ShutdownOnDrop(Arc<ReactorCore>);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        self.0.scheduler.abort_all();
        self.0.pool.close_all();
    }
}

impl Reactor {
    /// A reactor with nothing to do. Fails if the process may open no more files.
    pub fn new() -> io::Result<Self> {
        let io = Arc::new(IoDriver::new()?);
        let timers = Arc::new(TimerQueue::new()?);
        io.register_timer(timers.descriptor())?;
        Ok(Self(Arc::new(ShutdownOnDrop(Arc::new(ReactorCore {
            scheduler: Arc::new(Scheduler::new(Arc::clone(&io))),
            io,
            timers,
            pool: Pool::default(),
        })))))
    }

    fn core(&self) -> &Arc<ReactorCore> {
        &self.0.0
    }

    /// What the event loop has to watch: readable when [`Reactor::run_once`] has something to do.
    pub fn descriptor(&self) -> RawFd {
        self.core().io.descriptor()
    }

    /// One iteration: asks the kernel once, without waiting, and polls each task that was woken until then once. Tasks
    /// that are woken meanwhile are polled in the next iteration. `after_task` is called after each poll: what the task
    /// has produced is best used up then, while it is in the caches and before the next task produces more.
    /// `after_task` may call this function.
    pub fn run_once(&self, after_task: impl FnMut()) {
        let core = self.core();
        let Some(polled) = core.io.poll() else {
            return;
        };
        core.scheduler.begin_iteration();
        let dispatched = core.io.dispatch(polled);
        if dispatched.timer {
            core.timers.wake_due();
        }
        if dispatched.idle_readable {
            core.pool.close_readable();
        }
        let woken = core.scheduler.queued();
        core.io.divide_reads(woken);
        core.scheduler.poll_tasks(woken, after_task);
        core.scheduler.end_iteration();
    }

    /// Runs iterations, and waits between them, until `work` is done. For a thread that has nothing else to do.
    pub fn run_until_done(&self, work: impl Future<Output = ()> + Send + 'static) {
        /// Notes the end of the work also where that is a panic.
        struct Ending(Arc<AtomicBool>);

        impl Drop for Ending {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }

        let done = Arc::new(AtomicBool::new(false));
        let ending = Ending(Arc::clone(&done));
        self.spawn(async move {
            let _ending = ending;
            work.await;
        });
        while !done.load(Ordering::Acquire) {
            wait_readable(self.descriptor());
            self.run_once(|| {});
        }
    }

    /// Makes the descriptor readable, so that the event loop calls [`Reactor::run_once`].
    pub fn wake(&self) {
        self.core().io.wake();
    }

    /// Starts a task, which is polled for the first time before this returns.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        self.core().scheduler.spawn(future)
    }

    pub(in crate::http) fn handle(&self) -> ReactorHandle {
        ReactorHandle(Arc::downgrade(self.core()))
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

/// What tasks know of their reactor, which it does not keep alive.
#[derive(Clone)]
pub(in crate::http) struct ReactorHandle(Weak<ReactorCore>);

impl ReactorHandle {
    /// Whether both are handles of one reactor.
    pub(in crate::http) fn same_reactor(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Whether the reactor still exists.
    pub(in crate::http) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// A timer that completes at `deadline`.
    pub(in crate::http) fn timer(&self, deadline: Instant) -> Timer {
        let core = self.0.upgrade();
        Timer::new(core.as_ref().map(|core| &core.timers), deadline)
    }

    /// Closes the idle connections of `client`.
    pub(in crate::http) fn close_idle(&self, client: u64) {
        if let Some(core) = self.0.upgrade() {
            core.pool.close_client(client);
        }
    }

    /// What new sockets are watched with.
    pub(super) fn io(&self) -> IoHandle {
        let core = self.0.upgrade();
        IoHandle::new(core.as_ref().map(|core| &core.io))
    }

    /// An idle connection of `client`.
    pub(super) fn checkout(&self, client: u64) -> Option<PollEvented> {
        self.0.upgrade()?.pool.checkout(client)
    }

    /// Keeps `connection` for the next request of `client`.
    pub(super) fn put_idle(&self, client: u64, connection: PollEvented) {
        if let Some(core) = self.0.upgrade() {
            core.pool.put(client, connection);
        }
    }
}
