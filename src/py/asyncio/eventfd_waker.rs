//! How the I/O thread wakes an event loop.
//!
//! The I/O thread never takes the GIL. It puts a stream that has something new into the queue of the loop's waker and,
//! unless the waker is armed already, writes to a descriptor that the loop watches (`loop.add_reader`). The reader
//! callback disarms the waker and resumes everything in the queue, so that one wake-up serves all of it.
//! A loop without `add_reader` (Windows' proactor) gets one `call_soon_threadsafe` in the place of each write.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::event_loop::{PerLoop, ReaderCallbackRun, watch};
use super::resumable::{Resumable, ResumeQueue};
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::wake_descriptor::{WakeDescriptor, cannot_watch};

static CALLBACKS: PerLoop = PerLoop::new();

/// The waker of one event loop, as the I/O thread knows it.
pub struct EventfdWaker {
    signal: Signal,
    /// The loop was told, and its reader callback has not run yet.
    armed: AtomicBool,
    queue: ResumeQueue,
    /// The reader callback is running, and the loop has no other handle for it.
    in_callback: AtomicBool,
}

enum Signal {
    Descriptor(WakeDescriptor),
    /// The loop, and what it is to call.
    CallSoonThreadsafe {
        event_loop: Py<PyWeakrefReference>,
        callback: OnceLock<Py<EventfdCallback>>,
    },
}

impl EventfdWaker {
    /// The waker of `event_loop`, which is made when it is first asked for.
    pub fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let known = CALLBACKS.get(event_loop)?;
        if let Ok(callback) = known.cast::<EventfdCallback>()
            && let Ok(waker) = callback.get().waker.get()
        {
            waker.allow_nested_runs(event_loop, callback)?;
            return Ok(Arc::clone(waker));
        }
        let callback = new_callback(event_loop)?;
        CALLBACKS.set(event_loop, &callback)?;
        Ok(Arc::clone(&callback.get().waker))
    }

    /// Lets `event_loop` be run again inside the reader callback of its waker, if it has one and that runs.
    pub fn prepare_nested_run(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let known = CALLBACKS.get(event_loop)?;
        match known.cast::<EventfdCallback>() {
            Ok(callback) => match callback.get().waker.get() {
                Ok(waker) => waker.allow_nested_runs(event_loop, callback),
                Err(_) => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }

    /// Gives `event_loop` another handle for `callback`, if `callback` is being run by the one that it has.
    fn allow_nested_runs(
        &self,
        event_loop: &Bound<'_, PyAny>,
        callback: &Bound<'_, EventfdCallback>,
    ) -> PyResult<()> {
        if let Signal::Descriptor(descriptor) = &self.signal
            && ReaderCallbackRun::is_under_way()
            && self.in_callback.swap(false, Ordering::AcqRel)
        {
            watch(event_loop, descriptor.as_raw_fd(), callback)?;
            // What waited for the end of the callback is due in the nested run.
            descriptor.notify();
        }
        Ok(())
    }

    /// Lets the loop resume `resumable`. Called by any thread.
    pub fn wake(&self, resumable: Weak<dyn Resumable>) {
        self.queue.push(resumable);
        if self.armed.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.signal {
            Signal::Descriptor(descriptor) => descriptor.notify(),
            Signal::CallSoonThreadsafe {
                event_loop,
                callback,
            } => {
                // A loop that is closed or gone needs no wake-up: no task waits on it.
                Python::try_attach(|py| {
                    let event_loop = event_loop.bind(py).upgrade()?;
                    let callback = callback.get()?.clone_ref(py);
                    event_loop
                        .call_method1(intern!(py, "call_soon_threadsafe"), (callback,))
                        .ok()
                        .map(drop)
                });
            }
        }
    }
}

/// The waker of one event loop as its reader callback. The loop owns it.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct EventfdCallback {
    waker: ProcessOwned<Arc<EventfdWaker>>,
}

#[pymethods]
impl EventfdCallback {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        enter();
        let Ok(waker) = self.waker.get() else {
            return Ok(());
        };
        if let Signal::Descriptor(descriptor) = &waker.signal {
            descriptor.reset();
        }
        waker.armed.store(false, Ordering::Release);
        let _run = ReaderCallbackRun::begin();
        waker.in_callback.store(true, Ordering::Release);
        let result = waker.queue.resume_all(py);
        waker.in_callback.store(false, Ordering::Release);
        result
    }
}

fn new_callback<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, EventfdCallback>> {
    let py = event_loop.py();
    let new = |signal| {
        let waker = ProcessOwned::new(Arc::new(EventfdWaker {
            signal,
            armed: AtomicBool::new(false),
            queue: ResumeQueue::default(),
            in_callback: AtomicBool::new(false),
        }));
        Bound::new(py, EventfdCallback { waker })
    };
    match WakeDescriptor::new() {
        Ok(descriptor) => {
            let raw = descriptor.as_raw_fd();
            let callback = new(Signal::Descriptor(descriptor))?;
            if watch(event_loop, raw, &callback)? {
                return Ok(callback);
            }
        }
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        Err(error) => return Err(cannot_watch(py, &error)),
    }
    let event_loop = PyWeakrefReference::new(event_loop)?.unbind();
    let made = new(Signal::CallSoonThreadsafe {
        event_loop,
        callback: OnceLock::new(),
    })?;
    if let Signal::CallSoonThreadsafe { callback, .. } = &made.get().waker.signal {
        // The callback and its waker hold each other for the life of the process: only loops without `add_reader` pay.
        let _ = callback.set(made.clone().unbind());
    }
    Ok(made)
}
