//! The doors of a stream that is read on an event loop: items (`async for`), batches, and a callback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyBaseException, PyStopAsyncIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::awaitable::{Awaited, Ready, Seat, Step, step, thrown, traverse};
use super::loop_waker::Sleeper;
use super::placement::Task;
use crate::error::Error;
use crate::inbox::Inbox;
use crate::py::interpreter::errors::{misuse, not_a_stop};
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::runtime::{Owned, lock};
use crate::py::interpreter::vectorcall;
use crate::py::replies::stream_reader::{Desk, FAIR, Listener, Made, Next};
use crate::stats::Trace;

const BUSY: &str = "this stream is being read already: read it from one task at a time";

/// How much one task or callback may do before the loop serves others: so many items, or so much time.
struct Budget {
    left: usize,
    /// Set by the first item: the time before it went to others, and a turn of the loop may take them longer than this.
    until: Option<Instant>,
}

impl Budget {
    const TIME: Duration = Duration::from_millis(1);
    /// The clock is looked at once for so many items.
    const LOOK: usize = 16;

    fn new() -> Self {
        Self {
            left: FAIR,
            until: None,
        }
    }

    /// Spends `items`; false when nothing is left.
    fn spend(&mut self, items: usize) -> bool {
        let before = self.left;
        self.left = self.left.saturating_sub(items);
        let Some(until) = self.until else {
            self.until = Some(Instant::now() + Self::TIME);
            return self.left > 0;
        };
        self.left > 0 && (before / Self::LOOK == self.left / Self::LOOK || Instant::now() < until)
    }
}

/// Tells whoever fills `inbox` that its reader has gone.
fn hang_up(inbox: &Inbox, task: &OnceLock<Task>) {
    inbox.abort();
    if let Some(task) = task.get() {
        task.hurry();
    }
}

/// What the item door and the batch door of one stream share.
pub struct StreamCore {
    inbox: Arc<Inbox>,
    seat: Seat,
    desk: Desk,
    made: Made,
    budget: Mutex<Budget>,
    task: OnceLock<Task>,
}

impl StreamCore {
    pub fn new(inbox: Arc<Inbox>, seat: Seat, made: Made, trace: Arc<Trace>) -> Arc<Self> {
        Arc::new(Self {
            inbox,
            seat,
            desk: Desk::new(trace),
            made,
            budget: Mutex::new(Budget::new()),
            task: OnceLock::new(),
        })
    }

    /// What fills the inbox.
    pub fn runs_as(&self, task: Task) {
        let _ = self.task.set(task);
    }

    /// Ends the request: nobody reads on.
    fn hang_up(&self) {
        hang_up(&self.inbox, &self.task);
    }

    /// Spends `items` of the budget; true, with a new one, when it is time to let others go on.
    fn is_tired(&self, items: usize) -> bool {
        let mut budget = lock(&self.budget);
        let tired = !budget.spend(items);
        if tired {
            *budget = Budget::new();
        }
        tired
    }
}

impl Sleeper for StreamCore {
    fn on_wake(&self, py: Python<'_>) -> PyResult<()> {
        *lock(&self.budget) = Budget::new();
        self.seat.waiter.unpark(py)
    }
}

impl Awaited for StreamCore {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let next = self
            .desk
            .with(|reader| reader.item(py, &self.inbox, &self.made));
        match next.ok_or_else(|| misuse(BUSY))?? {
            Next::Item(item) => Ok(Some(item)),
            Next::Nothing => Ok(None),
            Next::End => Err(PyStopAsyncIteration::new_err(())),
        }
    }

    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn abort(&self) {
        self.hang_up();
        self.desk.cancel();
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.made.traverse(visit)?;
        self.desk.traverse(visit)?;
        self.seat.traverse(visit)
    }
}

/// The batch door: all items that have arrived, as one list.
struct BatchDoor<'a>(&'a StreamCore);

impl Awaited for BatchDoor<'_> {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(first) = self.0.poll(py)? else {
            return Ok(None);
        };
        let rest = self.0.desk.with(|reader| reader.items(py, &self.0.made));
        let batch = PyList::new(py, [first])?;
        for item in rest.ok_or_else(|| misuse(BUSY))? {
            batch.append(item)?;
        }
        Ok(Some(batch.into_any().unbind()))
    }

    fn seat(&self) -> &Seat {
        &self.0.seat
    }

    fn abort(&self) {
        self.0.abort();
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(visit)
    }
}

/// The awaitable of a stream: the same one for each item. When that of a stream goes, and those of its batches, the request
/// ends.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Turn(Door);

enum Door {
    Items(Owned<Arc<StreamCore>>),
    /// Has the core by the first door, so that there is one owner whom the cycle collector can ask.
    Batches(Py<Turn>),
}

impl Turn {
    fn core(&self) -> Result<&Arc<StreamCore>, Error> {
        match &self.0 {
            Door::Items(core) => core.get(),
            Door::Batches(first) => first.get().core(),
        }
    }

    fn here(&self, py: Python<'_>) -> PyResult<&Arc<StreamCore>> {
        self.core()
            .map_err(|error| crate::py::interpreter::errors::to_python(py, error))
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        let core = self.here(py)?;
        if core.is_tired(1) {
            return Ok(Step::Yield(py.None().into_bound(py)));
        }
        if matches!(self.0, Door::Items(_)) {
            return step(py, &**core);
        }
        let step = step(py, &BatchDoor(core))?;
        if let Step::Done(batch) = &step {
            // The list counts by its length: a reader of lists must not hold the loop longer than one of items.
            let items = batch.bind(py).len().unwrap_or(1);
            lock(&core.budget).spend(items);
        }
        Ok(step)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        enter();
        if let Door::Items(core) = &self.0
            && let Ok(core) = core.get()
        {
            core.hang_up();
        }
    }
}

#[pymethods]
impl Turn {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.0 {
            Door::Items(core) => traverse(core, &visit),
            Door::Batches(first) => visit.call(first),
        }
    }

    fn __clear__(&self) {
        enter();
        self.close();
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        enter();
        self.step(py)?.next(py)
    }

    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        enter();
        let _ = value;
        self.step(py)?.sent()
    }

    #[pyo3(signature = (kind, value=None, traceback=None, /))]
    fn throw(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        enter();
        let _ = traceback;
        Err(thrown(&**self.here(py)?, kind, value))
    }

    fn close(&self) {
        enter();
        if let Ok(core) = self.core() {
            core.seat.waiter.clear();
            core.abort();
        }
    }
}

/// A reply as it arrives: an asynchronous iterator over its items.
///
/// Closing it, dropping it or cancelling the task that reads it ends the request on the server.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Stream {
    turn: Py<Turn>,
}

impl Stream {
    pub fn new(py: Python<'_>, core: Arc<StreamCore>) -> PyResult<Self> {
        Self::door(py, Door::Items(Owned::new(core)))
    }

    fn door(py: Python<'_>, door: Door) -> PyResult<Self> {
        let turn = Py::new(py, Turn(door))?;
        Ok(Self { turn })
    }
}

#[pymethods]
impl Stream {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.turn)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Py<Turn> {
        enter();
        self.turn.clone_ref(py)
    }

    /// Ends the request if it is still under way; the server sees the connection close. A task that waits for an item
    /// gets a `ClosedError`.
    fn close(&self) {
        enter();
        if let Ok(core) = self.turn.get().core() {
            core.abort();
        }
    }

    /// `close()`, to be awaited as that of an asynchronous generator.
    fn aclose(&self) -> Ready {
        enter();
        self.close();
        Ready(None)
    }

    fn __aenter__(slf: Bound<'_, Self>) -> Ready {
        enter();
        Ready(Some(slf.into_any().unbind()))
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyTuple>) -> Ready {
        enter();
        self.aclose()
    }

    /// The same stream as an asynchronous iterator over lists: all items that have arrived, at least one.
    fn batches(&self, py: Python<'_>) -> PyResult<Self> {
        enter();
        self.turn.get().here(py)?;
        Self::door(py, Door::Batches(self.turn.clone_ref(py)))
    }
}

/// The callback door: `on_text` is called with each piece of the answer as it arrives, from the loop's reader
/// callback and in the context of the caller; the awaiting task is resumed only at the end.
pub struct Delivery {
    inbox: Arc<Inbox>,
    seat: Seat,
    desk: Desk,
    on_text: Py<PyAny>,
    /// What `on_text` has handed over to.
    heir: OnceLock<Py<PyAny>>,
    on_thinking: Option<Py<PyAny>>,
    context: Py<PyAny>,
    drain: OnceLock<Py<PyAny>>,
    /// `drain` has a handle of its own on the loop, or runs from it.
    scheduled: AtomicBool,
    /// The answer, or what was raised: not as a `PyErr`, which the cycle collector cannot look into.
    outcome: Mutex<Option<Result<Py<PyAny>, Py<PyBaseException>>>>,
    task: OnceLock<Task>,
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
            heir: OnceLock::new(),
            on_thinking,
            context,
            drain: OnceLock::new(),
            scheduled: AtomicBool::new(false),
            outcome: Mutex::new(None),
            task: OnceLock::new(),
        });
        let drain = Bound::new(py, Drain(Owned::new(Arc::downgrade(&delivery))))?;
        let _ = delivery
            .drain
            .set(drain.getattr(intern!(py, "run"))?.unbind());
        Ok(delivery)
    }

    /// What fills the inbox.
    pub fn runs_as(&self, task: Task) {
        let _ = self.task.set(task);
    }

    /// Hands on what has arrived, up to a fair number, and notes the outcome when that was the end. True: there may be
    /// more, and it is time to let others go on.
    fn drain(&self, py: Python<'_>) -> PyResult<bool> {
        let on_text = self.on_text.bind(py);
        let mut on_text = Listener::new(on_text, &self.heir);
        let on_thinking = self.on_thinking.as_ref().map(|callback| callback.bind(py));
        let mut budget = Budget::new();
        let mut tired = false;
        // A callback that re-enters the loop (nest_asyncio) can bring this here again: the outer call goes on then.
        let outcome = self.desk.with(|reader| {
            while !tired && reader.refill(&self.inbox) {
                if reader.at_end() {
                    return Some(reader.check_end(py).and_then(|()| reader.answer(py)));
                }
                let go_on = || {
                    tired = !budget.spend(1);
                    !tired && !self.desk.is_cancelled()
                };
                if let Err(error) = reader.deliver(py, &mut on_text, on_thinking, go_on) {
                    hang_up(&self.inbox, &self.task);
                    reader.cancel();
                    return Some(Err(not_a_stop(py, error)));
                }
                if self.desk.is_cancelled() {
                    reader.cancel();
                }
            }
            None
        });
        match outcome.flatten() {
            Some(outcome) => {
                let outcome = outcome.map_err(|error| error.into_value(py));
                lock(&self.outcome).get_or_insert(outcome);
                self.seat.waiter.unpark(py)?;
                Ok(false)
            }
            None => Ok(tired),
        }
    }

    /// `drain` now, and the rest later.
    fn drain_fairly(&self, py: Python<'_>) -> PyResult<()> {
        if self.drain(py)? {
            self.schedule(py)
        } else {
            Ok(())
        }
    }

    /// Lets the loop call `drain`, in the context of the caller, when it has served others.
    fn schedule(&self, py: Python<'_>) -> PyResult<()> {
        let Some(drain) = self.drain.get() else {
            return Ok(());
        };
        if self.scheduled.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "context"), &self.context)?;
        self.seat
            .event_loop
            .bind(py)
            .call_method(intern!(py, "call_soon"), (drain,), Some(&keywords))
            .map(drop)
    }
}

impl Sleeper for Delivery {
    fn on_wake(&self, py: Python<'_>) -> PyResult<()> {
        // A loop that nest_asyncio has patched may be run again by a callback, and would then want to enter the context
        // of the reader callback a second time. So the callbacks get a handle of their own there.
        let event_loop = self.seat.event_loop.bind(py);
        let patched = vectorcall::has_attribute(event_loop, intern!(py, "_nest_patched"))?;
        match self.drain.get() {
            Some(drain) if !patched && !self.scheduled.load(Ordering::Relaxed) => {
                let context = self.context.bind(py);
                vectorcall::call_method(context, intern!(py, "run"), drain.bind(py)).map(drop)
            }
            _ => self.schedule(py),
        }
    }
}

impl Awaited for Delivery {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut outcome = lock(&self.outcome).take();
        if outcome.is_none() {
            self.drain_fairly(py)?;
            outcome = lock(&self.outcome).take();
        }
        let outcome = outcome.transpose();
        outcome.map_err(|error| PyErr::from_value(error.into_bound(py).into_any()))
    }

    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn abort(&self) {
        hang_up(&self.inbox, &self.task);
        self.desk.cancel();
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.on_text)?;
        if let Some(heir) = self.heir.get() {
            visit.call(heir)?;
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
        self.desk.traverse(visit)?;
        self.seat.traverse(visit)
    }
}

/// A delivery's `drain`, of which a context can run the bound method `run`. A bound method is called without a tuple for
/// its arguments, which an object with `__call__` is not.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Drain(Owned<Weak<Delivery>>);

#[pymethods]
impl Drain {
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        enter();
        let Some(delivery) = self.0.upgrade() else {
            return Ok(());
        };
        let tired = delivery.drain(py);
        delivery.scheduled.store(false, Ordering::Relaxed);
        if tired? {
            delivery.schedule(py)
        } else {
            Ok(())
        }
    }
}
