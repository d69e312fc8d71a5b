//! The direct lane in an event loop: one reactor for each loop, which the loop watches as one descriptor.
//!
//! The reader callback lets the reactor take what has come, and then resumes every stream and call that has something
//! new: one Python callback serves all sockets that are ready in a turn of the loop. A loop without `add_reader`, and a
//! system without reactors, has no direct lane; requests take the general one there.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use pyo3::intern;
use pyo3::prelude::*;

use super::event_loop::{PerLoop, ReaderCallbackRun, watch};
use super::resumable::{Resumable, ResumeQueue};
use crate::http::direct::Reactor;
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::wake_descriptor::cannot_watch;

static CALLBACKS: PerLoop = PerLoop::new();

/// The direct lane of one event loop, as its requests know it.
pub struct DirectLane {
    reactor: Reactor,
    queue: ResumeQueue,
    /// The reader callback is running, and looks at the queue before it ends; and the loop has no other handle for it.
    in_callback: AtomicBool,
}

impl DirectLane {
    /// The direct lane of `event_loop`, which is made when it is first asked for; `None` if the loop can have none.
    pub fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Arc<Self>>> {
        let known = CALLBACKS.get(event_loop)?;
        if let Ok(callback) = known.cast::<ReactorCallback>()
            && let Ok(lane) = callback.get().lane.get()
        {
            lane.allow_nested_runs(event_loop, callback)?;
            return Ok(Some(Arc::clone(lane)));
        }
        // A loop that can have no direct lane has its own class in the place of a callback, so that it is asked once.
        let none = event_loop.get_type();
        if known.is(&none) {
            return Ok(None);
        }
        let Some(callback) = new_callback(event_loop)? else {
            CALLBACKS.set(event_loop, &none)?;
            return Ok(None);
        };
        CALLBACKS.set(event_loop, &callback)?;
        Ok(Some(Arc::clone(&callback.get().lane)))
    }

    /// Lets `event_loop` be run again inside the reader callback of its direct lane, if it has one and that runs.
    pub fn prepare_nested_run(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let known = CALLBACKS.get(event_loop)?;
        match known.cast::<ReactorCallback>() {
            Ok(callback) => match callback.get().lane.get() {
                Ok(lane) => lane.allow_nested_runs(event_loop, callback),
                Err(_) => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }

    /// Gives `event_loop` another handle for `callback`, if `callback` is being run by the one that it has.
    fn allow_nested_runs(
        &self,
        event_loop: &Bound<'_, PyAny>,
        callback: &Bound<'_, ReactorCallback>,
    ) -> PyResult<()> {
        if ReaderCallbackRun::is_under_way() && self.in_callback.swap(false, Ordering::AcqRel) {
            let run = callback.getattr(intern!(event_loop.py(), "run"))?;
            watch(event_loop, self.reactor.descriptor(), &run)?;
            // What waited for the end of the callback is due in the nested run.
            self.reactor.wake();
        }
        Ok(())
    }

    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Lets the reader callback resume `resumable`: in its present run, if it is running, or in its next one.
    pub fn wake(&self, resumable: Weak<dyn Resumable>) {
        self.queue.push(resumable);
        if !self.in_callback.load(Ordering::Acquire) {
            self.reactor.wake();
        }
    }
}

/// The direct lane of one event loop as its reader callback, which is the bound method `run`. The loop owns it.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct ReactorCallback {
    lane: ProcessOwned<Arc<DirectLane>>,
}

#[pymethods]
impl ReactorCallback {
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        enter();
        let Ok(lane) = self.lane.get() else {
            return Ok(());
        };
        let _run = ReaderCallbackRun::begin();
        lane.in_callback.store(true, Ordering::Release);
        // First what has become due since the last run.
        let mut result = lane.queue.resume_all(py);
        lane.reactor.run_once(|| {
            let resumed = lane.queue.resume_all(py);
            if result.is_ok() {
                result = resumed;
            }
        });
        lane.in_callback.store(false, Ordering::Release);
        if !lane.queue.is_empty() {
            lane.reactor.wake();
        }
        result
    }
}

fn new_callback<'py>(
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, ReactorCallback>>> {
    let py = event_loop.py();
    let reactor = match Reactor::new() {
        Ok(reactor) => reactor,
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
        Err(error) => return Err(cannot_watch(py, &error)),
    };
    let descriptor = reactor.descriptor();
    let lane = ProcessOwned::new(Arc::new(DirectLane {
        reactor,
        queue: ResumeQueue::default(),
        in_callback: AtomicBool::new(false),
    }));
    let callback = Bound::new(py, ReactorCallback { lane })?;
    let run = callback.getattr(intern!(py, "run"))?;
    Ok(watch(event_loop, descriptor, &run)?.then_some(callback))
}
