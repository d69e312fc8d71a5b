//! A stream that is read on an event loop: item by item (`async for`), or in lists of all items that have arrived
//! (`batches`).

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::awaitable::{NativeAwaitable, Pollable};
use super::fairness::FairnessBudget;
use super::parked_task::ParkedTask;
use super::placement::Placement;
use super::resumable::Resumable;
use super::streaming_request::StreamingRequest;
use crate::http::Request;
use crate::py::interpreter::errors::runtime_error;
use crate::py::interpreter::exit::enter;
use crate::py::replies::observed_call::ObservedCall;
use crate::py::replies::stream_reader::{ItemFormat, NextItem};
use crate::stats::Trace;
use crate::sync::lock;

const BUSY: &str = "this stream is being read already: read it from one task at a time";

/// The items of a stream; polled, it gives the next one.
struct StreamItems {
    request: StreamingRequest,
    parked_task: ParkedTask,
    format: ItemFormat,
    budget: Mutex<FairnessBudget>,
}

impl StreamItems {
    /// Spends `items` of the budget; true, with a new budget from then on, when the budget is spent.
    fn spend(&self, items: usize) -> bool {
        let mut budget = lock(&self.budget);
        let spent = !budget.spend(items);
        if spent {
            *budget = FairnessBudget::new();
        }
        spent
    }
}

impl Resumable for StreamItems {
    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        *lock(&self.budget) = FairnessBudget::new();
        self.parked_task.unpark(py)
    }
}

impl Pollable for StreamItems {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let next = self
            .request
            .reader
            .with(|reader| reader.next_item(py, &self.request.inbox, &self.format));
        match next.ok_or_else(|| runtime_error(BUSY))?? {
            NextItem::Item(item) => Ok(Some(item)),
            NextItem::NotYet => Ok(None),
            NextItem::End => Err(PyStopAsyncIteration::new_err(())),
        }
    }

    fn poll_all(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(first) = self.poll(py)? else {
            return Ok(None);
        };
        let rest = self
            .request
            .reader
            .with(|reader| reader.items_at_hand(py, &self.format));
        let batch = PyList::new(py, [first])?;
        for item in rest.ok_or_else(|| runtime_error(BUSY))? {
            batch.append(item)?;
        }
        // A reader of lists must not hold the loop longer than one of items.
        lock(&self.budget).spend(batch.len());
        Ok(Some(batch.into_any().unbind()))
    }

    fn parked_task(&self) -> &ParkedTask {
        &self.parked_task
    }

    fn must_yield(&self) -> bool {
        self.spend(1)
    }

    fn abort(&self) {
        self.request.abort();
    }

    fn release(&self) {
        self.request.release();
    }

    fn trace(&self) -> &Trace {
        &self.request.call
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.format.traverse(visit)?;
        self.request.traverse(visit)?;
        self.parked_task.traverse(visit)
    }
}

/// A reply as it arrives: an asynchronous iterator over its items.
///
/// Closing it, dropping it or cancelling the task that reads it ends the request on the server.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Stream {
    /// The awaitable of every item, or of every list of items.
    next: Py<NativeAwaitable>,
}

impl Stream {
    /// Sends `request`; the items of its reply will be given in `format`.
    pub fn start(
        py: Python<'_>,
        placement: Placement<'_>,
        request: Request,
        format: ItemFormat,
        call: ObservedCall,
    ) -> PyResult<Self> {
        let mode = format.mode();
        let items = Arc::new(StreamItems {
            request: StreamingRequest::new(call),
            parked_task: ParkedTask::new(&placement.event_loop),
            format,
            budget: Mutex::new(FairnessBudget::new()),
        });
        items.request.start(py, placement, request, mode, &items)?;
        Ok(Self {
            next: Py::new(py, NativeAwaitable::new(items))?,
        })
    }
}

#[pymethods]
impl Stream {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.next)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Py<NativeAwaitable> {
        enter();
        self.next.clone_ref(py)
    }

    /// The `id` in the record of the call.
    #[getter]
    fn call_id(&self) -> Option<String> {
        enter();
        self.next.get().call_id()
    }

    /// Ends the request if it is still under way; the server sees the connection close. A task that waits for an item
    /// gets a `ClosedError`.
    fn close(&self) {
        enter();
        self.next.get().abort();
    }

    /// `close()`, to be awaited as that of an asynchronous generator.
    fn aclose(&self) -> NativeAwaitable {
        enter();
        self.close();
        NativeAwaitable::ready(None)
    }

    fn __aenter__(slf: Bound<'_, Self>) -> NativeAwaitable {
        enter();
        NativeAwaitable::ready(Some(slf.into_any().unbind()))
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyTuple>) -> NativeAwaitable {
        enter();
        self.aclose()
    }

    /// The same stream as an asynchronous iterator over lists: all items that have arrived, at least one.
    fn batches(&self, py: Python<'_>) -> PyResult<Self> {
        enter();
        let next = Py::new(py, NativeAwaitable::batches(&self.next, py)?)?;
        Ok(Self { next })
    }
}
