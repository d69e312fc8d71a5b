//! The one tokio runtime of the process, whose one worker is the I/O thread.
//!
//! The runtime belongs to the process that started it (`process`): after `fork` the child starts a new one. At
//! interpreter exit it is shut down within half a second. The lock here is taken with the GIL held and never kept while
//! the GIL is given up: so no other thread can hold it at the moment of a fork.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use super::errors;
use super::exit::{self, enter, is_exiting, sleep_if_exiting};
use super::process::ProcessOwned;
use crate::error::{Error, Kind};
use crate::sync::lock;

/// How long interpreter exit waits for requests that are still under way.
const SHUTDOWN: Duration = Duration::from_millis(500);

static RUNTIME: Mutex<Option<ProcessOwned<Runtime>>> = Mutex::new(None);

/// The handle of this process's runtime, which is started when it is first needed.
pub fn handle(py: Python<'_>) -> PyResult<Handle> {
    if is_exiting() {
        py.detach(sleep_if_exiting);
        return Err(errors::to_python(py, exiting()));
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
            let message = format!("cannot start the I/O thread: {error}");
            errors::to_python(py, Error::new(Kind::Connect, message))
        })?;
    let handle = runtime.handle().clone();
    *lock(&RUNTIME) = Some(ProcessOwned::new(runtime));
    Ok(handle)
}

/// As [`handle`], for a thread that need not hold the GIL.
pub fn from_any_thread() -> Result<Handle, Error> {
    Python::attach(handle).map_err(|_| exiting())
}

/// The error of a request that is made while the interpreter shuts down.
pub fn exiting() -> Error {
    Error::new(
        Kind::Closed,
        "the interpreter is shutting down: no request can be made any more",
    )
}

/// The handle of this process's runtime, if it was started and will go on.
pub fn running_handle() -> Option<Handle> {
    let runtime = lock(&RUNTIME);
    let runtime = runtime.as_ref().filter(|runtime| runtime.is_here())?;
    (!is_exiting()).then(|| runtime.handle().clone())
}

/// Registers `shutdown` with `atexit`.
pub fn register_shutdown(py: Python<'_>) -> PyResult<()> {
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
    exit::note_exit();
    let runtime = lock(&RUNTIME).take();
    if let Some(runtime) = runtime.filter(ProcessOwned::is_here) {
        py.detach(|| runtime.into_inner().shutdown_timeout(SHUTDOWN));
    }
}
