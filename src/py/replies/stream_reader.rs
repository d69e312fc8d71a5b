//! What has been taken out of an inbox and not been handed on yet, and the fold of all of it.
//!
//! Shared by the three doors of a stream. A reader is moved out of its lock while Python code may run, so that a
//! callback which comes back to the same stream finds the place empty and is told so, instead of a deadlock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyBaseException, PyException};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, Kind};
use crate::http::PumpMode;
use crate::inbox::{Inbox, Received};
use crate::py::interpreter::errors::{self, Context};
use crate::py::interpreter::log;
use crate::py::interpreter::vectorcall;
use crate::py::objects::slot_layout::{SharedModel, SlotLayout};
use crate::py::objects::tool_calls;
use crate::stats::Trace;
use crate::sync::lock;
use crate::wire::{Batch, Fold, Item, Shape, Timestamp};

/// After so many ready items the reading task lets the loop serve others once.
pub const MAX_ITEMS: usize = 512;

/// What the items of a stream become.
pub enum ItemFormat {
    /// Instances of a class made from the line's dict, or the dict itself. Content lines go through the slots of the class,
    /// if it has some.
    Objects(Option<Py<PyAny>>, Option<SlotLayout>),
    /// The lines as they came, as bytes.
    RawLines,
}

pub struct StreamReader {
    batch: Batch,
    next: usize,
    text_from: usize,
    model: Option<SharedModel>,
    fold: Fold,
    end: Option<Result<(), Error>>,
    /// An item could not be converted, and those before it had to be handed on first.
    failure: Option<Py<PyBaseException>>,
    trace: Arc<Trace>,
    /// What happened before the first item was logged.
    reported: bool,
}

impl ItemFormat {
    /// Instances of `class`, or dicts.
    pub fn objects(py: Python<'_>, class: Option<Py<PyAny>>) -> Self {
        let layout = class
            .as_ref()
            .and_then(|class| SlotLayout::of(class.bind(py)));
        Self::Objects(class, layout)
    }

    /// What has to fill the inbox for it.
    pub fn mode(&self) -> PumpMode {
        match self {
            Self::Objects(_, Some(layout)) => PumpMode::Records(layout.shape),
            Self::Objects(_, None) => PumpMode::Deltas,
            Self::RawLines => PumpMode::RawLines,
        }
    }

    /// Visits the classes, for the cycle collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Self::Objects(class, layout) = self else {
            return Ok(());
        };
        visit.call(class)?;
        layout
            .as_ref()
            .map_or(Ok(()), |layout| layout.traverse(visit))
    }
}

/// What a reader has next.
pub enum NextItem {
    Item(Py<PyAny>),
    /// Nothing has arrived that was not handed on.
    NotYet,
    End,
}

impl StreamReader {
    /// Takes what the inbox holds, if all that was taken before is used up. False: nothing is there yet.
    pub fn refill(&mut self, inbox: &Inbox) -> bool {
        if self.next < self.batch.items.len() || self.end.is_some() {
            return true;
        }
        self.batch.release();
        (self.next, self.text_from) = (0, 0);
        match inbox.try_recv(&mut self.batch) {
            Received::Items => {
                self.fold.batch(&self.batch);
                true
            }
            Received::Empty => false,
            Received::Closed(end) => {
                self.end = Some(end);
                true
            }
        }
    }

    /// Whether everything was handed on and the stream has ended.
    pub fn at_end(&self) -> bool {
        self.next >= self.batch.items.len() && self.end.is_some()
    }

    /// Logs what the call has noted: before its first item and at its end.
    fn report(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.reported && self.end.is_none() {
            return Ok(());
        }
        self.reported = true;
        log::report(py, &self.trace)
    }

    /// The next item as Python sees it.
    pub fn next_item(
        &mut self,
        py: Python<'_>,
        inbox: &Inbox,
        format: &ItemFormat,
    ) -> PyResult<NextItem> {
        loop {
            if let Some(error) = self.failure.take() {
                let error = PyErr::from_value(error.into_bound(py).into_any());
                inbox.abort();
                return Err(self.unconvertible(py, error));
            }
            if !self.refill(inbox) {
                return Ok(NextItem::NotYet);
            }
            self.report(py)?;
            if self.at_end() {
                return self.check_end(py).map(|()| NextItem::End);
            }
            match self.advance(py, format) {
                Ok(Some(item)) => return Ok(NextItem::Item(item)),
                Ok(None) => {}
                Err(error) => self.failure = Some(error.into_value(py)),
            }
        }
    }

    /// What is at hand after a first item, without waiting, up to a fair number. An end, and what cannot be converted,
    /// are left for the next call.
    pub fn items_at_hand(&mut self, py: Python<'_>, format: &ItemFormat) -> Vec<Py<PyAny>> {
        let mut items = Vec::new();
        while self.next < self.batch.items.len() && items.len() < MAX_ITEMS {
            match self.advance(py, format) {
                Ok(item) => items.extend(item),
                Err(error) => {
                    self.failure = Some(error.into_value(py));
                    break;
                }
            }
        }
        items
    }

    /// Ends the stream with an item that cannot be converted: what comes after it would be an answer with a hole.
    fn unconvertible(&mut self, py: Python<'_>, error: PyErr) -> PyErr {
        self.cancel();
        if !error.is_instance_of::<PyException>(py) {
            return error;
        }
        let error = errors::not_a_stop(py, error);
        let message = format!("A line of the reply cannot be converted: {error}.");
        let failure = self.failure(py, Error::new(Kind::Decode, message));
        failure.set_cause(py, Some(error));
        failure
    }

    fn advance(&mut self, py: Python<'_>, format: &ItemFormat) -> PyResult<Option<Py<PyAny>>> {
        let Some(item) = self.batch.items.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let value = match (item, format) {
            (Item::Content { end, created_at }, ItemFormat::Objects(class, layout)) => {
                let text = self
                    .batch
                    .text
                    .get(self.text_from..*end)
                    .unwrap_or_default();
                self.text_from = *end;
                if let (Some(layout), Some(shared)) = (layout, &self.batch.shared) {
                    let known = SharedModel::of(&mut self.model, py, shared);
                    if let Some(record) = layout.new_item(py, known, created_at, text)? {
                        return Ok(Some(record.unbind()));
                    }
                }
                wrap(
                    py,
                    text_record(py, &self.batch, created_at, text)?,
                    class.as_ref(),
                )?
            }
            (Item::Delta(delta), ItemFormat::Objects(class, layout)) => {
                if delta.line.is_empty() {
                    return Ok(None);
                }
                let record = crate::py::objects::json::to_python(py, &delta.line)?;
                if let Some(layout) = layout {
                    layout.replace_text_parts(&record, &delta.content)?;
                    if delta.done {
                        layout.add_missing_text(&record)?;
                    }
                }
                if !delta.tool_calls.is_empty() {
                    tool_calls::settle_reply(record.cast()?)?;
                }
                wrap(py, record, class.as_ref())?
            }
            (Item::Delta(delta), ItemFormat::RawLines) => {
                PyBytes::new(py, &delta.line).into_any().unbind()
            }
            (Item::Content { .. }, ItemFormat::RawLines) => return Ok(None),
        };
        Ok(Some(value))
    }

    /// Calls `on_text` (and `on_thinking`) with the pieces that are at hand, in order, until `go_on` says no.
    pub fn deliver(
        &mut self,
        py: Python<'_>,
        on_text: &TextCallback<'_, '_>,
        on_thinking: Option<&Bound<'_, PyAny>>,
        mut go_on: impl FnMut() -> bool,
    ) -> PyResult<()> {
        self.report(py)?;
        while let Some(item) = self.batch.items.get(self.next) {
            if !go_on() {
                break;
            }
            self.next += 1;
            match item {
                Item::Content { end, .. } => {
                    let text = self
                        .batch
                        .text
                        .get(self.text_from..*end)
                        .unwrap_or_default();
                    self.text_from = *end;
                    if !text.is_empty() {
                        on_text.call(text)?;
                    }
                }
                Item::Delta(delta) => {
                    if let Some(on_thinking) = on_thinking.filter(|_| !delta.thinking.is_empty()) {
                        call_with_text(on_thinking, &delta.thinking)?;
                    }
                    if !delta.content.is_empty() {
                        on_text.call(&delta.content)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `Ok` for a stream that ended well; the typed error, with what had arrived, for one that did not.
    pub fn check_end(&mut self, py: Python<'_>) -> PyResult<()> {
        self.report(py)?;
        match &self.end {
            Some(Err(error)) => Err(self.failure(py, error.clone())),
            _ => Ok(()),
        }
    }

    /// `error` as an exception that carries the text so far.
    pub fn failure(&self, py: Python<'_>, error: Error) -> PyErr {
        let answer = self.fold.clone().finish();
        let context = Context {
            model: &self.trace.call().model,
            endpoint: &self.trace.call().endpoint,
            partial: &answer.content,
            thinking: &answer.thinking,
        };
        errors::in_context(py, error, &context)
    }

    /// The final object of a stream that ended well, in Ollama's own shape with the whole text in it.
    pub fn answer(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let answer = std::mem::take(&mut self.fold).finish();
        crate::py::objects::answer::to_python(py, &answer)
            .map_err(|error| self.unconvertible(py, error))
    }

    /// Ends the stream on the reader's side: what comes next is an error that says so, unless nothing was to come.
    pub fn cancel(&mut self) {
        if self.at_end() && matches!(self.end, Some(Ok(()))) {
            return;
        }
        self.batch.clear();
        (self.next, self.text_from) = (0, 0);
        self.end = Some(Err(Error::new(
            Kind::Closed,
            "the stream was cancelled or closed before its end",
        )));
    }
}

/// Who gets the text of an answer: a callable that may hand over to another one, once, by returning it.
pub struct TextCallback<'a, 'py> {
    first: &'a Bound<'py, PyAny>,
    successor: &'a OnceLock<Py<PyAny>>,
}

impl<'a, 'py> TextCallback<'a, 'py> {
    pub fn new(first: &'a Bound<'py, PyAny>, successor: &'a OnceLock<Py<PyAny>>) -> Self {
        Self { first, successor }
    }

    fn call(&self, text: &str) -> PyResult<()> {
        if let Some(successor) = self.successor.get() {
            return call_with_text(successor.bind(self.first.py()), text).map(drop);
        }
        let result = call_with_text(self.first, text)?;
        if result.is_callable() {
            let _ = self.successor.set(result.unbind());
        }
        Ok(())
    }
}

fn call_with_text<'py>(callable: &Bound<'py, PyAny>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    vectorcall::call(callable, &PyString::new(callable.py(), text))
}

fn wrap(py: Python<'_>, value: Bound<'_, PyAny>, class: Option<&Py<PyAny>>) -> PyResult<Py<PyAny>> {
    match class {
        Some(class) => class.call1(py, (value,)),
        None => Ok(value.unbind()),
    }
}

/// The dict of a content line, its keys in the order of the wire (docs/wire.md#4-lines-of-a-chat,
/// docs/wire.md#5-lines-of-a-generation).
fn text_record<'py>(
    py: Python<'py>,
    batch: &Batch,
    created_at: &Timestamp,
    text: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let record = PyDict::new(py);
    let (model, shape) = batch
        .shared
        .as_ref()
        .map_or(("", Shape::Chat), |shared| (&*shared.model, shared.shape));
    record.set_item(intern!(py, "model"), model)?;
    record.set_item(intern!(py, "created_at"), created_at.as_str())?;
    if shape == Shape::Generate {
        record.set_item(intern!(py, "response"), text)?;
    } else {
        let message = PyDict::new(py);
        message.set_item(intern!(py, "role"), intern!(py, "assistant"))?;
        message.set_item(intern!(py, "content"), text)?;
        record.set_item(intern!(py, "message"), message)?;
    }
    record.set_item(intern!(py, "done"), false)?;
    Ok(record.into_any())
}

/// A reader behind a lock, and moved out of it for use.
pub struct ReaderCell {
    reader: Mutex<Option<Box<StreamReader>>>,
    cancelled: AtomicBool,
}

impl ReaderCell {
    pub fn new(trace: Arc<Trace>) -> Self {
        let reader = StreamReader {
            batch: Batch::default(),
            next: 0,
            text_from: 0,
            model: None,
            fold: Fold::default(),
            end: None,
            failure: None,
            trace,
            reported: false,
        };
        Self {
            reader: Mutex::new(Some(Box::new(reader))),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Cancels the reader: now, or when whoever works on it is done with the item at hand.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.with(|_| ());
    }

    /// Visits what waits to be raised, for the cycle collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.reader.try_lock() {
            Ok(reader) => visit.call(reader.as_ref().and_then(|reader| reader.failure.as_ref())),
            Err(_) => Ok(()),
        }
    }

    /// Whether `cancel` was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Runs `work` on the reader, which is in nobody's hands meanwhile; `None` if somebody else has it.
    pub fn with<T>(&self, work: impl FnOnce(&mut StreamReader) -> T) -> Option<T> {
        let mut reader = lock(&self.reader).take()?;
        let result = work(&mut reader);
        if self.is_cancelled() {
            reader.cancel();
        }
        *lock(&self.reader) = Some(reader);
        Some(result)
    }
}
