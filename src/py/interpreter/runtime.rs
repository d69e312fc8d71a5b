//! The one tokio runtime of the process, and what must not outlive it or cross a fork.
//!
//! The runtime is keyed by process id: after `fork` the child makes a new one and leaks the old one whole, because
//! dropping it would join threads that don't exist in the child and close sockets that the parent still uses.
//! At interpreter exit it is shut down within a bound.
//! Every lock here is taken with the GIL held and never kept across a release of it: so no other thread can hold
//! one at the moment of a fork.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use super::exit::{self, enter, is_exiting, linger};
use crate::error::{Error, Kind};

/// How long interpreter exit waits for requests that are still under way.
const SHUTDOWN: Duration = Duration::from_millis(500);

static RUNTIME: Mutex<Option<Owned<Runtime>>> = Mutex::new(None);

/// A lock that a panic elsewhere cannot poison for us: what it guards is valid after every statement.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of this process. Asking the system costs as much as everything else about an item that is ready, so the
/// answer is kept, and a fork forgets it.
#[cfg(unix)]
fn process() -> u32 {
    use std::sync::Once;
    use std::sync::atomic::AtomicU32;
    static WATCH: Once = Once::new();
    static WATCHED: AtomicBool = AtomicBool::new(false);
    static KNOWN: AtomicU32 = AtomicU32::new(0);
    extern "C" fn forget() {
        KNOWN.store(0, Ordering::Relaxed);
    }
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    WATCH.call_once(|| {
        // SAFETY: the handler only stores to an atomic, which is allowed in a forked child.
        if unsafe { libc::pthread_atfork(None, None, Some(forget)) } == 0 {
            WATCHED.store(true, Ordering::Relaxed);
        }
    });
    let process = std::process::id();
    if WATCHED.load(Ordering::Relaxed) {
        KNOWN.store(process, Ordering::Relaxed);
    }
    process
}

#[cfg(not(unix))]
fn process() -> u32 {
    std::process::id()
}

/// A value that belongs to the process that made it: in any other process it is leaked instead of dropped.
pub struct Owned<T> {
    value: ManuallyDrop<T>,
    process: u32,
}

impl<T> Owned<T> {
    pub fn new(value: T) -> Self {
        Self {
            value: ManuallyDrop::new(value),
            process: process(),
        }
    }

    /// Whether the value was made in this process.
    pub fn is_here(&self) -> bool {
        self.process == process()
    }

    /// The value, or the error that tells a forked child what happened.
    pub fn get(&self) -> Result<&T, Error> {
        if self.is_here() {
            Ok(&self.value)
        } else {
            Err(Error::new(
                Kind::Closed,
                "this stream was opened before the process forked and belongs to the parent; start a new request in the child",
            ))
        }
    }

    fn into_inner(mut self) -> T {
        // SAFETY: `self` is forgotten right below, so the value is neither used nor dropped a second time.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        std::mem::forget(self);
        value
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: this runs once, and `into_inner` forgets `self` before it could run.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// The handle of this process's runtime, which is started when it is first needed.
pub fn handle(py: Python<'_>) -> PyResult<Handle> {
    if is_exiting() {
        py.detach(linger);
        return Err(super::errors::to_python(
            py,
            Error::new(
                Kind::Closed,
                "the interpreter is shutting down: no request can be made any more",
            ),
        ));
    }
    if let Some(handle) = running_handle() {
        return Ok(handle);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        // What blocks there is taking the GIL, to set the results of `asyncio/runtime_future.rs`: one thread is enough.
        .max_blocking_threads(1)
        .thread_name("metagpt-ollama-io")
        .on_thread_start(enter)
        .enable_all()
        .build()
        .map_err(|error| {
            super::errors::to_python(
                py,
                Error::new(
                    Kind::Connect,
                    format!("cannot start the I/O thread: {error}"),
                ),
            )
        })?;
    let handle = runtime.handle().clone();
    *lock(&RUNTIME) = Some(Owned::new(runtime));
    Ok(handle)
}

/// The handle of this process's runtime, if it was started and will go on.
pub fn running_handle() -> Option<Handle> {
    let runtime = lock(&RUNTIME);
    let runtime = runtime.as_ref().filter(|runtime| runtime.is_here())?;
    (!is_exiting()).then(|| runtime.handle().clone())
}

/// Registers `shutdown` with `atexit`.
pub fn watch_exit(py: Python<'_>) -> PyResult<()> {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.swap(true, Ordering::AcqRel) {
        let shutdown = wrap_pyfunction!(shutdown, py)?;
        py.import("atexit")?.call_method1("register", (shutdown,))?;
    }
    Ok(())
}

/// Stops the I/O thread, waiting at most half a second.
#[pyfunction]
fn shutdown(py: Python<'_>) {
    enter();
    exit::begin();
    let runtime = lock(&RUNTIME).take();
    if let Some(runtime) = runtime.filter(Owned::is_here) {
        py.detach(|| runtime.into_inner().shutdown_timeout(SHUTDOWN));
    }
}
