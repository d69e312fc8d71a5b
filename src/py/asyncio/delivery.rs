//! A stream whose text goes to a callback as it arrives; the task that awaits it is resumed only at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use pyo3::exceptions::PyBaseException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use super::awaitable::Pollable;
use super::fairness::FairnessBudget;
use super::parked_task::ParkedTask;
use super::placement::Placement;
use super::resumable::Resumable;
use super::streaming_request::StreamingRequest;
use crate::http::{PumpMode, Request};
use crate::py::interpreter::errors::wrap_stop_iteration;
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::vectorcall;
use crate::py::replies::observed_call::ObservedCall;
use crate::py::replies::stream_reader::TextCallback;
use crate::stats::Trace;
use crate::sync::lock;

/// Calls `on_text` with each piece of the answer, from the loop's reader callback and in the context of the task that
/// made the request (`contextvars`).
pub struct Delivery {
    request: StreamingRequest,
    parked_task: ParkedTask,
    on_text: Py<PyAny>,
    /// The callable that `on_text` has returned, which takes its place.
    successor: OnceLock<Py<PyAny>>,
    on_thinking: Option<Py<PyAny>>,
    context: Py<PyAny>,
    /// The method `run` of a [`DrainCallback`] of this delivery.
    drain: OnceLock<Py<PyAny>>,
    /// The loop has a handle by which it will call `drain`, or `drain` is being called.
    scheduled: AtomicBool,
    /// The answer, or what was raised: not as a `PyErr`, which the cycle collector cannot look into.
    outcome: Mutex<Option<Result<Py<PyAny>, Py<PyBaseException>>>>,
}

impl Delivery {
    /// Sends `request`, whose reply goes to the callbacks.
    pub fn start(
        py: Python<'_>,
        placement: Placement<'_>,
        request: Request,
        on_text: Py<PyAny>,
        on_thinking: Option<Py<PyAny>>,
        call: ObservedCall,
    ) -> PyResult<Arc<Self>> {
        let context = py
            .import(intern!(py, "contextvars"))?
            .call_method0(intern!(py, "copy_context"))?
            .unbind();
        let delivery = Arc::new(Self {
            request: StreamingRequest::new(call),
            parked_task: ParkedTask::new(&placement.event_loop),
            on_text,
            successor: OnceLock::new(),
            on_thinking,
            context,
            drain: OnceLock::new(),
            scheduled: AtomicBool::new(false),
            outcome: Mutex::new(None),
        });
        let drain = Bound::new(
            py,
            DrainCallback(ProcessOwned::new(Arc::downgrade(&delivery))),
        )?;
        let run = drain.getattr(intern!(py, "run"))?;
        let _ = delivery.drain.set(run.unbind());
        let request_of = &delivery.request;
        request_of.start(py, placement, request, PumpMode::Deltas, &delivery)?;
        Ok(delivery)
    }

    /// Hands what has arrived to the callbacks, as far as the budget goes, and notes the outcome when that was the end.
    /// True: the budget is spent, and there may be more.
    fn drain(&self, py: Python<'_>) -> PyResult<bool> {
        let on_text = self.on_text.bind(py);
        let on_text = TextCallback::new(on_text, &self.successor);
        let on_thinking = self.on_thinking.as_ref().map(|callback| callback.bind(py));
        let mut budget = FairnessBudget::new();
        let mut spent = false;
        let reader = &self.request.reader;
        // A callback that re-enters the loop (nest_asyncio) can bring this here again: the outer call goes on then.
        let outcome = reader.with(|stream| {
            while !spent && stream.refill(&self.request.inbox) {
                if stream.at_end() {
                    return Some(stream.check_end(py).and_then(|()| stream.answer(py)));
                }
                let go_on = || {
                    spent = !budget.spend(1);
                    !spent && !reader.is_cancelled()
                };
                if let Err(error) = stream.deliver(py, &on_text, on_thinking, go_on) {
                    self.request.hang_up();
                    stream.cancel();
                    return Some(Err(wrap_stop_iteration(py, error)));
                }
                if reader.is_cancelled() {
                    stream.cancel();
                }
            }
            None
        });
        match outcome.flatten() {
            Some(outcome) => {
                let told = self.request.call.tell_end(py, outcome.as_ref().err());
                let outcome = told.and(outcome).map_err(|error| error.into_value(py));
                lock(&self.outcome).get_or_insert(outcome);
                self.parked_task.unpark(py)?;
                Ok(false)
            }
            None => Ok(spent),
        }
    }

    /// Lets the loop call `drain`, in the context of the caller, after the callbacks that are due already.
    fn schedule(&self, py: Python<'_>) -> PyResult<()> {
        let Some(drain) = self.drain.get() else {
            return Ok(());
        };
        if self.scheduled.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "context"), &self.context)?;
        self.parked_task
            .event_loop(py)
            .call_method(intern!(py, "call_soon"), (drain,), Some(&keywords))
            .map(drop)
    }
}

impl Resumable for Delivery {
    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        // A loop that nest_asyncio has patched may be run again by a callback, and would then want to enter the context
        // of the reader callback a second time. So the callbacks get a handle of their own there.
        let event_loop = self.parked_task.event_loop(py);
        let patched = vectorcall::has_attribute(event_loop, intern!(py, "_nest_patched"))?;
        match self.drain.get() {
            Some(drain) if !patched && !self.scheduled.swap(true, Ordering::Relaxed) => {
                let context = self.context.bind(py);
                vectorcall::call_method(context, intern!(py, "run"), drain.bind(py)).map(drop)
            }
            _ => self.schedule(py),
        }
    }
}

impl Pollable for Delivery {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut outcome = lock(&self.outcome).take();
        if outcome.is_none() {
            if self.drain(py)? {
                self.schedule(py)?;
            }
            outcome = lock(&self.outcome).take();
        }
        let outcome = outcome.transpose();
        outcome.map_err(|error| PyErr::from_value(error.into_bound(py).into_any()))
    }

    fn parked_task(&self) -> &ParkedTask {
        &self.parked_task
    }

    fn abort(&self) {
        self.request.abort();
    }

    fn trace(&self) -> &Trace {
        &self.request.call
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.on_text)?;
        if let Some(successor) = self.successor.get() {
            visit.call(successor)?;
        }
        visit.call(&self.on_thinking)?;
        visit.call(&self.context)?;
        if let Ok(outcome) = self.outcome.try_lock() {
            match &*outcome {
                Some(Ok(answer)) => visit.call(answer)?,
                Some(Err(error)) => visit.call(error)?,
                None => {}
            }
        }
        self.request.traverse(visit)?;
        self.parked_task.traverse(visit)
    }
}

/// What a loop or a context calls to drain a delivery: the bound method `run`, which is called without a tuple for its
/// arguments. An object with `__call__` is not.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct DrainCallback(ProcessOwned<Weak<Delivery>>);

#[pymethods]
impl DrainCallback {
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        enter();
        let Some(delivery) = self.0.upgrade() else {
            return Ok(());
        };
        let spent = delivery.drain(py);
        delivery.scheduled.store(false, Ordering::Relaxed);
        if spent? {
            delivery.schedule(py)
        } else {
            Ok(())
        }
    }
}
