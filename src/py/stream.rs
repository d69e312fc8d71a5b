//! The doors of a stream that is read on an event loop: items (`async for`), batches, and a callback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::awaitable::{Awaited, Ready, Seat, Step, step, thrown};
use super::errors::misuse;
use super::reader::{Desk, Made, Next};
use super::runtime::{Owned, lock};
use super::wake::Sleeper;
use crate::inbox::Inbox;
use crate::stats::Trace;

/// After so many ready items the reading task lets the loop serve others once.
const FAIR: u32 = 256;

const BUSY: &str = "this stream is being read already: read it from one task at a time";

/// What the item door and the batch door of one stream share.
pub struct StreamCore {
    inbox: Arc<Inbox>,
    seat: Seat,
    desk: Desk,
    made: Made,
    served: Mutex<u32>,
}

impl StreamCore {
    pub fn new(inbox: Arc<Inbox>, seat: Seat, made: Made, trace: Arc<Trace>) -> Arc<Self> {
        Arc::new(Self {
            inbox,
            seat,
            desk: Desk::new(trace),
            made,
            served: Mutex::new(0),
        })
    }

    fn cancel(&self) {
        self.inbox.abort();
        self.desk.with(super::reader::Reader::cancel);
    }
}

impl Sleeper for StreamCore {
    fn on_wake(&self, py: Python<'_>) -> PyResult<()> {
        self.seat.waiter.unpark(py)
    }
}

impl Awaited for StreamCore {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self
            .desk
            .with(|reader| reader.item(py, &self.inbox, &self.made))
            .ok_or_else(|| misuse(BUSY))??
        {
            Next::Item(item) => Ok(Some(item)),
            Next::Nothing => Ok(None),
            Next::End => Err(PyStopAsyncIteration::new_err(())),
        }
    }

    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn abort(&self) {
        self.cancel();
    }
}

/// The batch door: all items that have arrived, as one list.
struct BatchDoor(Arc<StreamCore>);

impl Awaited for BatchDoor {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let core = &self.0;
        let Some(first) = core.poll(py)? else {
            return Ok(None);
        };
        let rest = core
            .desk
            .with(|reader| reader.items(py, &core.made))
            .ok_or_else(|| misuse(BUSY))??;
        let batch = PyList::new(py, [first])?;
        for item in rest {
            batch.append(item)?;
        }
        Ok(Some(batch.into_any().unbind()))
    }

    fn seat(&self) -> &Seat {
        &self.0.seat
    }

    fn abort(&self) {
        self.0.cancel();
    }
}

/// A reply as it arrives: an asynchronous iterator over its items, and its own awaitable.
///
/// Closing it, dropping it or cancelling the task that reads it ends the request on the server.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Stream {
    core: Owned<Arc<StreamCore>>,
    batched: bool,
}

impl Stream {
    pub fn new(core: Arc<StreamCore>) -> Self {
        Self {
            core: Owned::new(core),
            batched: false,
        }
    }

    fn here(&self, py: Python<'_>) -> PyResult<&Arc<StreamCore>> {
        self.core
            .get()
            .map_err(|error| super::errors::to_python(py, error))
    }

    fn next<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        let core = self.here(py)?;
        let rest = {
            let mut served = lock(&core.served);
            *served += 1;
            *served >= FAIR && std::mem::take(&mut *served) > 0
        };
        if rest {
            return Ok(Step::Yield(py.None().into_bound(py)));
        }
        if self.batched {
            step(py, &BatchDoor(Arc::clone(core)))
        } else {
            step(py, &**core)
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The door that `batches()` gave out shares the core: only the last door ends the request.
        if let Ok(core) = self.core.get()
            && Arc::strong_count(core) == 1
        {
            core.inbox.abort();
        }
    }
}

#[pymethods]
impl Stream {
    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.next(py)?.next(py)
    }

    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let _ = value;
        self.next(py)?.sent()
    }

    #[pyo3(signature = (kind, value=None, traceback=None, /))]
    fn throw(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = traceback;
        Err(thrown(&**self.here(py)?, kind, value))
    }

    /// Ends the request if it is still under way; the server sees the connection close.
    fn close(&self) {
        if let Ok(core) = self.core.get() {
            core.seat.waiter.clear();
            core.cancel();
        }
    }

    /// `close()`, to be awaited as that of an asynchronous generator.
    fn aclose(&self) -> Ready {
        self.close();
        Ready(None)
    }

    fn __aenter__(slf: Bound<'_, Self>) -> Ready {
        Ready(Some(slf.into_any().unbind()))
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyTuple>) -> Ready {
        self.aclose()
    }

    /// The same stream as an asynchronous iterator over lists: all items that have arrived, at least one.
    fn batches(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self {
            core: Owned::new(Arc::clone(self.here(py)?)),
            batched: true,
        })
    }
}

/// The callback door: `on_text` is called with each piece of the answer as it arrives, from the loop's reader
/// callback and in the context of the caller; the awaiting task is resumed only at the end.
pub struct Delivery {
    inbox: Arc<Inbox>,
    seat: Seat,
    desk: Desk,
    on_text: Py<PyAny>,
    on_thinking: Option<Py<PyAny>>,
    context: Py<PyAny>,
    drain: OnceLock<Py<Drain>>,
    /// `drain` has a handle of its own on the loop, or runs from it.
    scheduled: AtomicBool,
    outcome: Mutex<Option<PyResult<Py<PyAny>>>>,
}

impl Delivery {
    pub fn new(
        py: Python<'_>,
        inbox: Arc<Inbox>,
        seat: Seat,
        on_text: Py<PyAny>,
        on_thinking: Option<Py<PyAny>>,
        trace: Arc<Trace>,
    ) -> PyResult<Arc<Self>> {
        let context = py
            .import(intern!(py, "contextvars"))?
            .call_method0(intern!(py, "copy_context"))?
            .unbind();
        let delivery = Arc::new(Self {
            inbox,
            seat,
            desk: Desk::new(trace),
            on_text,
            on_thinking,
            context,
            drain: OnceLock::new(),
            scheduled: AtomicBool::new(false),
            outcome: Mutex::new(None),
        });
        let drain = Py::new(py, Drain(Owned::new(Arc::downgrade(&delivery))))?;
        let _ = delivery.drain.set(drain);
        Ok(delivery)
    }

    /// Hands on all that has arrived, and notes the outcome when that was the end.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let on_text = self.on_text.bind(py);
        let on_thinking = self.on_thinking.as_ref().map(|callback| callback.bind(py));
        // A callback that re-enters the loop (nest_asyncio) can bring this here again: the outer call goes on then.
        let outcome = self.desk.with(|reader| {
            while reader.refill(&self.inbox) {
                if reader.at_end() {
                    return Some(reader.check_end(py).and_then(|()| reader.answer(py)));
                }
                if let Err(error) = reader.deliver(py, on_text, on_thinking) {
                    self.inbox.abort();
                    reader.cancel();
                    return Some(Err(error));
                }
            }
            None
        });
        match outcome.flatten() {
            Some(outcome) => {
                lock(&self.outcome).get_or_insert(outcome);
                self.seat.waiter.unpark(py)
            }
            None => Ok(()),
        }
    }
}

impl Sleeper for Delivery {
    fn on_wake(&self, py: Python<'_>) -> PyResult<()> {
        let Some(drain) = self.drain.get() else {
            return Ok(());
        };
        let event_loop = self.seat.event_loop.bind(py);
        if event_loop.hasattr(intern!(py, "_nest_patched"))? {
            // A loop that nest_asyncio has patched may be run again by a callback, and would then want to enter the
            // context of the reader callback a second time. So the callbacks get a handle of their own there.
            if !self.scheduled.swap(true, Ordering::Relaxed) {
                let keywords = PyDict::new(py);
                keywords.set_item(intern!(py, "context"), &self.context)?;
                event_loop.call_method(intern!(py, "call_soon"), (drain,), Some(&keywords))?;
            }
            return Ok(());
        }
        self.context
            .call_method1(py, intern!(py, "run"), (drain,))
            .map(drop)
    }
}

impl Awaited for Delivery {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let known = lock(&self.outcome).take();
        if let Some(outcome) = known {
            return outcome.map(Some);
        }
        self.drain(py)?;
        let outcome = lock(&self.outcome).take();
        outcome.transpose()
    }

    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn abort(&self) {
        self.inbox.abort();
        self.desk.with(super::reader::Reader::cancel);
    }
}

/// The bound method `drain` of a delivery, as something that a context can run.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Drain(Owned<Weak<Delivery>>);

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(delivery) = self.0.upgrade() else {
            return Ok(());
        };
        let result = delivery.drain(py);
        delivery.scheduled.store(false, Ordering::Relaxed);
        result
    }
}
