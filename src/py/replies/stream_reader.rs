//! The items of a stream between an inbox and Python: what was taken out of the inbox and not handed on yet, and the
//! answer so far.
//!
//! Whoever reads a stream shares this: an event loop's task item by item or in lists, a callback, a thread. The line
//! `{"model":"m","created_at":"2026","response":"Hel","done":false}` becomes an instance of a class, a dict, the
//! argument `"Hel"` of a callback, or bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use pyo3::exceptions::{PyBaseException, PyException};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, Kind};
use crate::http::PumpMode;
use crate::inbox::{Inbox, Received};
use crate::py::interpreter::errors::{self, FailureContext};
use crate::py::interpreter::vectorcall;
use crate::py::objects::answer;
use crate::py::objects::content_line;
use crate::py::objects::json;
use crate::py::objects::slot_layout::{SharedModel, SlotLayout};
use crate::py::objects::tool_calls;
use crate::py::replies::observed_call::ObservedCall;
use crate::sync::lock;
use crate::wire::{Batch, Fold, Item, SharedFields};

/// The number of items that are handed on before an event loop runs other callbacks.
pub const MAX_ITEMS: usize = 512;

/// What the items of a stream become.
pub enum ItemFormat {
    /// Instances of a class made from the line's dict, or the dict itself. Content lines go through the slots of the
    /// class, if it has some.
    Objects(Option<Py<PyAny>>, Option<SlotLayout>),
    /// The lines as they came, as bytes.
    RawLines,
}

pub struct StreamReader {
    /// What was taken out of the inbox.
    batch: Batch,
    /// The index in `batch` of the item that is handed on next, and where the text of content lines goes on from there.
    next: usize,
    text_start: usize,
    /// The model of the content lines, as a str.
    model: Option<SharedModel>,
    /// The answer so far.
    fold: Fold,
    /// How the stream has ended. There may be items before that.
    end: Option<Result<(), Error>>,
    /// Why an item could not be converted. It is raised after the items before that one were handed on.
    conversion_error: Option<Py<PyBaseException>>,
    call: ObservedCall,
    /// Whether the first items were told of.
    told_first: bool,
}

impl ItemFormat {
    /// The lines as bytes with `raw`, else instances of `class`, or dicts.
    pub fn of_lines(py: Python<'_>, class: Option<Py<PyAny>>, raw: bool) -> Self {
        if raw {
            Self::RawLines
        } else {
            Self::objects(py, class)
        }
    }

    fn objects(py: Python<'_>, class: Option<Py<PyAny>>) -> Self {
        let layout = class
            .as_ref()
            .and_then(|class| SlotLayout::of(class.bind(py)));
        Self::Objects(class, layout)
    }

    /// What the inbox has to be filled with for these items.
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
    /// Takes what the inbox holds, if all that was taken before is handed on. False: nothing is there yet.
    pub fn refill(&mut self, inbox: &Inbox) -> bool {
        if self.next < self.batch.items.len() || self.end.is_some() {
            return true;
        }
        self.batch.release();
        (self.next, self.text_start) = (0, 0);
        match inbox.try_recv(&mut self.batch) {
            Received::Items => {
                self.fold.add_batch(&self.batch);
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

    /// Tells what the call has noted, and that its first items are there.
    fn tell_notes(&mut self, py: Python<'_>) -> PyResult<()> {
        let first_token = !self.told_first && !self.at_end();
        self.told_first |= first_token;
        self.call.tell_notes(py, first_token)
    }

    /// The next item as Python sees it. The end of the stream, good or bad, is told.
    pub fn next_item(
        &mut self,
        py: Python<'_>,
        inbox: &Inbox,
        format: &ItemFormat,
    ) -> PyResult<NextItem> {
        let next = self.convert_until_item(py, inbox, format);
        match &next {
            Ok(NextItem::End) => self.call.tell_end(py, None)?,
            Err(error) => self.call.tell_end(py, Some(error))?,
            Ok(_) => {}
        }
        next
    }

    fn convert_until_item(
        &mut self,
        py: Python<'_>,
        inbox: &Inbox,
        format: &ItemFormat,
    ) -> PyResult<NextItem> {
        loop {
            if let Some(error) = self.conversion_error.take() {
                let error = PyErr::from_value(error.into_bound(py).into_any());
                inbox.abort();
                return Err(self.end_unconverted(py, error));
            }
            if !self.refill(inbox) {
                self.call.tell_notes(py, false)?;
                return Ok(NextItem::NotYet);
            }
            self.tell_notes(py)?;
            if self.at_end() {
                return self.check_end(py).map(|()| NextItem::End);
            }
            match self.convert_next(py, format) {
                Ok(Some(item)) => return Ok(NextItem::Item(item)),
                Ok(None) => {}
                Err(error) => self.conversion_error = Some(error.into_value(py)),
            }
        }
    }

    /// The items of the batch that were not handed on, at most `MAX_ITEMS`. The end of the stream, and an item that
    /// cannot be converted, are left for the next call of `next_item`.
    pub fn items_at_hand(&mut self, py: Python<'_>, format: &ItemFormat) -> Vec<Py<PyAny>> {
        let mut items = Vec::new();
        while self.next < self.batch.items.len() && items.len() < MAX_ITEMS {
            match self.convert_next(py, format) {
                Ok(item) => items.extend(item),
                Err(error) => {
                    self.conversion_error = Some(error.into_value(py));
                    break;
                }
            }
        }
        items
    }

    /// Ends the stream because of an item that cannot be converted: the items after it would make an answer with a gap.
    fn end_unconverted(&mut self, py: Python<'_>, error: PyErr) -> PyErr {
        self.cancel();
        if !error.is_instance_of::<PyException>(py) {
            return error;
        }
        let error = errors::wrap_stop_iteration(py, error);
        let message = format!("A line of the reply cannot be converted: {error}.");
        let fault = Error::new(Kind::Decode, message);
        self.call.finish(Some(&fault));
        let failure = self.exception(py, fault);
        failure.set_cause(py, Some(error));
        failure
    }

    /// The next item of the batch in its format; `None` for one that has nothing to say in that.
    fn convert_next(&mut self, py: Python<'_>, format: &ItemFormat) -> PyResult<Option<Py<PyAny>>> {
        let Some(item) = self.batch.items.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let value = match (item, format) {
            (Item::Content { end, created_at }, ItemFormat::Objects(class, layout)) => {
                let text = self
                    .batch
                    .text
                    .get(self.text_start..*end)
                    .unwrap_or_default();
                self.text_start = *end;
                if let (Some(layout), Some(shared)) = (layout, &self.batch.shared) {
                    let known = SharedModel::of(&mut self.model, py, shared);
                    if let Some(record) = layout.new_item(py, known, created_at, text)? {
                        return Ok(Some(record.unbind()));
                    }
                }
                let unknown = SharedFields::default();
                let shared = self.batch.shared.as_deref().unwrap_or(&unknown);
                let text = PyString::new(py, text);
                let record = content_line::build(py, shared, created_at.as_str(), &text)?;
                wrap(py, record.into_any(), class.as_ref())?
            }
            (Item::Delta(delta), ItemFormat::Objects(class, layout)) => {
                if delta.line.is_empty() {
                    return Ok(None);
                }
                let record = json::to_python(py, &delta.line)?;
                if let Some(layout) = layout {
                    layout.replace_text_parts(&record, &delta.content)?;
                    if delta.done {
                        layout.add_missing_text(&record)?;
                    }
                }
                if !delta.tool_calls.is_empty() {
                    tool_calls::parse_arguments_of_reply(record.cast()?)?;
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

    /// Calls `on_text` (and `on_thinking`) with the pieces of the batch, in order, until `go_on` says no.
    pub fn deliver(
        &mut self,
        py: Python<'_>,
        on_text: &TextCallback<'_, '_>,
        on_thinking: Option<&Bound<'_, PyAny>>,
        mut go_on: impl FnMut() -> bool,
    ) -> PyResult<()> {
        self.tell_notes(py)?;
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
                        .get(self.text_start..*end)
                        .unwrap_or_default();
                    self.text_start = *end;
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
        self.tell_notes(py)?;
        match &self.end {
            Some(Err(error)) => Err(self.exception(py, error.clone())),
            _ => Ok(()),
        }
    }

    /// `error` as an exception that carries the text so far.
    pub fn exception(&self, py: Python<'_>, error: Error) -> PyErr {
        let answer = self.fold.clone().finish();
        let context = FailureContext {
            model: &self.call.call().model,
            endpoint: &self.call.call().endpoint,
            partial: &answer.content,
            thinking: &answer.thinking,
        };
        errors::in_context(py, error, &context)
    }

    /// The final object of a stream that ended well, in Ollama's own shape with the whole text in it.
    pub fn answer(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let answer = std::mem::take(&mut self.fold).finish();
        answer::to_python(py, &answer).map_err(|error| self.end_unconverted(py, error))
    }

    /// Ends the stream for its reader: the next item is an error that says so, unless the stream had ended well.
    pub fn cancel(&mut self) {
        if self.at_end() && matches!(self.end, Some(Ok(()))) {
            return;
        }
        self.batch.clear();
        (self.next, self.text_start) = (0, 0);
        self.end = Some(Err(Error::new(
            Kind::Closed,
            "the stream was cancelled or closed before its end",
        )));
    }
}

/// The callable that gets the text of an answer. By returning another callable it puts that in its place, once.
pub struct TextCallback<'a, 'py> {
    first: &'a Bound<'py, PyAny>,
    /// The callable that `first` has returned.
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

/// A reader that at most one caller uses at a time. It is moved out of the lock for that, because Python code may run
/// meanwhile: a callback that comes back to its own stream finds no reader and is told so, instead of waiting for ever.
pub struct ReaderCell {
    reader: Mutex<Option<Box<StreamReader>>>,
    cancelled: AtomicBool,
}

impl ReaderCell {
    pub fn new(call: ObservedCall) -> Self {
        let reader = StreamReader {
            batch: Batch::default(),
            next: 0,
            text_start: 0,
            model: None,
            fold: Fold::default(),
            end: None,
            conversion_error: None,
            call,
            told_first: false,
        };
        Self {
            reader: Mutex::new(Some(Box::new(reader))),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Ends the stream for its reader: now or, if the reader is in use, when that is done.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.with(|_| ());
    }

    /// Visits the exception that waits to be raised, for the cycle collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.reader.try_lock() {
            Ok(reader) => visit.call(
                reader
                    .as_ref()
                    .and_then(|reader| reader.conversion_error.as_ref()),
            ),
            Err(_) => Ok(()),
        }
    }

    /// Whether `cancel` was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Runs `work` on the reader; `None` if it is in use.
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
