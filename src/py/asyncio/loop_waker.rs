//! How an event loop is woken: by the I/O thread through one hub for each loop, or from the loop's own thread by its
//! lane (`lane`).
//!
//! The I/O thread never takes the GIL. It puts a stream that has something new on the hub's list and, unless the hub
//! is armed already, writes to a file descriptor which the loop watches (`loop.add_reader`). The reader callback
//! disarms the hub and lets every listed stream go on, so that one wake-up serves all of them.
//! A loop without `add_reader` (Windows' proactor) gets one `call_soon_threadsafe` per edge in its place.
//!
//! Hubs are kept in a `WeakKeyDictionary` by the loop itself, never by its `id`, which a later loop may get again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

#[cfg(unix)]
use pyo3::exceptions::PyNotImplementedError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;
use pyo3::{PyTraverseError, PyVisit};

use super::direct_lane::LaneCore;
#[cfg(unix)]
use crate::error::{Error, Kind};
use crate::inbox::Wake;
#[cfg(target_os = "linux")]
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::runtime::{Owned, lock};

/// What a hub wakes: a stream, a delivery or a call that waits on its loop.
pub trait Sleeper: Send + Sync {
    /// Runs on the loop's thread: takes what has arrived and resumes whoever waits for it.
    fn on_wake(&self, py: Python<'_>) -> PyResult<()>;
}

enum Signal {
    /// The end that the I/O thread writes to, and the one that the loop reads.
    Descriptor { write: File, read: File },
    /// `call_soon_threadsafe` of a loop, and the hub as a Python callable.
    CallSoon {
        event_loop: Py<PyWeakrefReference>,
        hub: OnceLock<Py<Hub>>,
    },
}

/// The part of a hub that the I/O thread knows.
pub struct HubCore {
    signal: Signal,
    armed: AtomicBool,
    ready: Mutex<Vec<Weak<dyn Sleeper>>>,
}

impl HubCore {
    fn arm(&self, sleeper: Weak<dyn Sleeper>) {
        lock(&self.ready).push(sleeper);
        if self.armed.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.signal {
            Signal::Descriptor { write, .. } => {
                // The descriptor is never full (one write per disarm), and it is open as long as `self` is.
                let _ = (&*write).write(&1_u64.to_ne_bytes());
            }
            Signal::CallSoon { event_loop, hub } => {
                // A loop that is closed or gone needs no wake-up: nobody waits on it.
                Python::try_attach(|py| {
                    let event_loop = event_loop.bind(py).upgrade()?;
                    let hub = hub.get()?.clone_ref(py);
                    event_loop
                        .call_method1(intern!(py, "call_soon_threadsafe"), (hub,))
                        .ok()
                        .map(drop)
                });
            }
        }
    }
}

/// What rings on an event loop.
#[derive(Clone)]
pub enum Bell {
    /// For what happens on the I/O thread.
    Hub(Arc<HubCore>),
    /// For what happens on the loop's own thread.
    #[cfg(target_os = "linux")]
    Lane(Weak<LaneCore>),
}

/// The wake-up of one sleeper.
pub struct Alarm {
    pub bell: Bell,
    pub sleeper: Weak<dyn Sleeper>,
}

impl Wake for Alarm {
    fn wake(&self) {
        match &self.bell {
            Bell::Hub(hub) => hub.arm(self.sleeper.clone()),
            #[cfg(target_os = "linux")]
            Bell::Lane(lane) => {
                // A lane that is gone took its loop along: nobody waits there.
                if let Some(lane) = lane.upgrade() {
                    lane.arm(self.sleeper.clone());
                }
            }
        }
    }
}

/// Lets every listed sleeper go on; the first failure is the result.
pub fn wake_all(py: Python<'_>, sleepers: Vec<Weak<dyn Sleeper>>) -> PyResult<()> {
    let mut first_failure = Ok(());
    for sleeper in sleepers {
        if let Some(sleeper) = sleeper.upgrade() {
            first_failure = first_failure.and(sleeper.on_wake(py));
        }
    }
    first_failure
}

/// The hub of one event loop; calling it is the reader callback.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Hub {
    core: Owned<Arc<HubCore>>,
}

#[pymethods]
impl Hub {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        enter();
        let Ok(core) = self.core.get() else {
            return Ok(());
        };
        if let Signal::Descriptor { read, .. } = &core.signal {
            let mut counter = [0_u8; 8];
            let _ = (&*read).read(&mut counter);
        }
        core.armed.store(false, Ordering::Release);
        let ready = std::mem::take(&mut *lock(&core.ready));
        wake_all(py, ready)
    }
}

/// The hub of `event_loop`.
pub fn hub(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<HubCore>> {
    static HUBS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let hubs = by_loop(py, &HUBS)?;
    let known = hubs.call_method1(intern!(py, "get"), (event_loop,))?;
    if let Ok(hub) = known.cast::<Hub>()
        && let Ok(core) = hub.get().core.get()
    {
        return Ok(Arc::clone(core));
    }
    let hub = new_hub(py, event_loop)?;
    hubs.set_item(event_loop, &hub)?;
    Ok(Arc::clone(&hub.get().core))
}

/// The `WeakKeyDictionary` in `place`, whose keys are event loops.
pub fn by_loop<'py>(
    py: Python<'py>,
    place: &'static PyOnceLock<Py<PyAny>>,
) -> PyResult<&'py Bound<'py, PyAny>> {
    let make = || {
        py.import("weakref")?
            .getattr("WeakKeyDictionary")?
            .call0()
            .map(Bound::unbind)
    };
    place.get_or_try_init(py, make).map(|map| map.bind(py))
}

/// `asyncio.get_running_loop()`: raises `RuntimeError` outside a coroutine.
pub fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET.import(py, "asyncio", "get_running_loop")?.call0()
}

fn new_hub<'py>(py: Python<'py>, event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Hub>> {
    let make = |signal| {
        let core = Arc::new(HubCore {
            signal,
            armed: AtomicBool::new(false),
            ready: Mutex::default(),
        });
        Bound::new(
            py,
            Hub {
                core: Owned::new(core),
            },
        )
    };
    #[cfg(unix)]
    {
        use std::os::fd::AsRawFd;
        let (read, write) = descriptor().map_err(|error| unwatched(py, &error))?;
        let descriptor = read.as_raw_fd();
        let hub = make(Signal::Descriptor { write, read })?;
        if watch(event_loop, descriptor, &hub)? {
            return Ok(hub);
        }
    }
    let event_loop = PyWeakrefReference::new(event_loop)?.unbind();
    let hub = make(Signal::CallSoon {
        event_loop,
        hub: OnceLock::new(),
    })?;
    if let Signal::CallSoon { hub: own, .. } = &hub.get().core.signal {
        // The hub and its core hold each other for the life of the process: only loops without `add_reader` pay.
        let _ = own.set(hub.clone().unbind());
    }
    Ok(hub)
}

/// Lets `event_loop` call `callback` when `descriptor` is readable; false where loops have no `add_reader`. A loop keeps
/// the context of that call, which must not be the one of whoever happens to make the first request.
#[cfg(unix)]
pub fn watch(
    event_loop: &Bound<'_, PyAny>,
    descriptor: i32,
    callback: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let py = event_loop.py();
    let context = py
        .import(intern!(py, "contextvars"))?
        .call_method0(intern!(py, "Context"))?;
    let add = event_loop.getattr(intern!(py, "add_reader"))?;
    match context.call_method1(intern!(py, "run"), (add, descriptor, callback)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is raised where the system refuses the descriptor that a loop would watch.
#[cfg(unix)]
pub fn unwatched(py: Python<'_>, error: &io::Error) -> PyErr {
    let message = format!("Nothing can be received in this event loop: {error}.");
    crate::py::interpreter::errors::to_python(py, Error::new(Kind::Connect, message))
}

/// Both ends of a descriptor: the one that becomes readable when something is written to the other, and the other.
#[cfg(target_os = "linux")]
pub fn descriptor() -> io::Result<(File, File)> {
    use std::os::fd::FromRawFd;
    // SAFETY: eventfd takes two integers; a negative result is checked below.
    let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `raw` was just opened and nobody else owns it.
    let write = unsafe { File::from_raw_fd(raw) };
    Ok((write.try_clone()?, write))
}

#[cfg(all(unix, not(target_os = "linux")))]
pub fn descriptor() -> io::Result<(File, File)> {
    use std::os::fd::OwnedFd;
    let (read, write) = io::pipe()?;
    Ok((
        File::from(OwnedFd::from(read)),
        File::from(OwnedFd::from(write)),
    ))
}

/// Whoever awaits on a loop: at most one task, parked on a future of that loop.
#[derive(Default)]
pub struct Waiter(Mutex<Option<Py<PyAny>>>);

impl Waiter {
    /// A future of `event_loop`, to be yielded to the task. Refuses a second task.
    pub fn park<'py>(
        &self,
        py: Python<'py>,
        event_loop: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let other = lock(&self.0).as_ref().map(|future| future.clone_ref(py));
        if let Some(other) = other
            && !other
                .bind(py)
                .call_method0(intern!(py, "done"))?
                .is_truthy()?
        {
            return Err(crate::py::interpreter::errors::misuse(
                "another task is already waiting for this stream: read it from one task at a time",
            ));
        }
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        let previous = lock(&self.0).replace(future.clone().unbind());
        drop(previous);
        Ok(future)
    }

    /// Resumes the parked task, if there is one.
    pub fn unpark(&self, py: Python<'_>) -> PyResult<()> {
        let future = lock(&self.0).take();
        if let Some(future) = future {
            let future = future.bind(py);
            if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }

    /// Forgets the parked task if its future is done: cancelled, that is.
    pub fn forget_if_done(&self, py: Python<'_>) -> PyResult<()> {
        let future = lock(&self.0).as_ref().map(|future| future.clone_ref(py));
        if let Some(future) = future
            && future
                .bind(py)
                .call_method0(intern!(py, "done"))?
                .is_truthy()?
        {
            self.clear();
        }
        Ok(())
    }

    /// Visits the parked task's future, for the cycle collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(future) => future.as_ref().map_or(Ok(()), |future| visit.call(future)),
            Err(_) => Ok(()),
        }
    }

    /// Forgets the parked task: it goes on by itself, or was cancelled.
    pub fn clear(&self) {
        let future = lock(&self.0).take();
        drop(future);
    }
}
