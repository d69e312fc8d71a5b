//! The dicts of content lines (`wire/stream/content_line.rs`): the one place that makes them.
//!
//! [`build`] makes one from its fields, `{"model": "m", "created_at": "2026", "response": "Hel", "done": False}`. For text
//! that is not decoded yet, the templates that were met last are kept, a few for each thread. A line that matches one byte
//! for byte differs from the others in its time and its text only, so its dict is a copy of a kept one with two strings in
//! it.

use std::cell::Cell;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::json_builder;
use crate::wire::{JsonString, LineTemplate, Shape, SharedFields, VaryingFields};

/// As many forms are kept.
const FORMS: usize = 8;
/// More memory than this is not kept for the texts of lines.
const KEEP_BYTES: usize = 1 << 20;

struct Known {
    form: LineTemplate,
    /// A line without time and text. It holds no containers, so the cycle collector does not know it.
    line: Py<PyDict>,
    /// The message without its content, and the name of its place; the response has its place in the line itself.
    message: Option<(Py<PyDict>, Py<PyString>)>,
    created_at: Py<PyString>,
    /// The name of what holds the text.
    text: Py<PyString>,
}

#[derive(Default)]
struct Memory {
    known: Vec<Known>,
    scratch: Vec<u8>,
}

thread_local! {
    // Taken out while in use: making objects may run a garbage collection, and that any Python code, `decode` too.
    static MEMORY: Cell<Option<Box<Memory>>> = const { Cell::new(None) };
}

/// The dict of `line`, if it is of a form that is known. Otherwise there may be an exception, and that is no news.
#[inline]
pub fn dict<'py>(py: Python<'py>, line: &[u8]) -> Option<Bound<'py, PyAny>> {
    find(line, |known, varying| known.dict(py, &varying))
}

/// The text of `line`; see `dict`.
#[inline]
pub fn text<'py>(py: Python<'py>, line: &[u8]) -> Option<Bound<'py, PyAny>> {
    find(line, |_, varying| {
        json_builder::string(py, varying.text).map(Bound::into_any)
    })
}

/// Learns the form of `line`, if it is an ordinary line. Whether it is one says the result.
pub fn learn(py: Python<'_>, line: &[u8]) -> PyResult<bool> {
    let Some(form) = LineTemplate::of(line) else {
        return Ok(false);
    };
    let known = Known::new(py, form)?;
    let mut memory = MEMORY.take().unwrap_or_default();
    memory.known.truncate(FORMS - 1);
    memory.known.insert(0, known);
    MEMORY.set(Some(memory));
    Ok(true)
}

fn find<T>(line: &[u8], make: impl FnOnce(&Known, VaryingFields<'_>) -> Option<T>) -> Option<T> {
    let mut memory = MEMORY.take()?;
    let Memory { known, scratch } = &mut *memory;
    let mut found = None;
    for index in 0..known.len() {
        if let Some(varying) = known
            .get(index)
            .and_then(|known| known.form.match_line(line, scratch))
        {
            found = known.get(index).and_then(|known| make(known, varying));
            // The last one stands first: a stream's lines come one after the other.
            known.swap(0, index);
            break;
        }
    }
    memory.scratch.shrink_to(KEEP_BYTES);
    MEMORY.set(Some(memory));
    found
}

/// The dict of a content line, its members in the order of the wire (docs/wire.md#4-lines-of-a-chat,
/// docs/wire.md#5-lines-of-a-generation).
pub fn build<'py>(
    py: Python<'py>,
    shared: &SharedFields,
    created_at: &str,
    text: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyDict>> {
    let created_at = PyString::new(py, created_at).into_any();
    if shared.shape == Shape::Generate {
        return build_around(py, shared, &created_at, text);
    }
    let message = build_message(py, text)?;
    build_around(py, shared, &created_at, &message)
}

/// The `message` of a chat line with this text.
pub fn build_message<'py>(
    py: Python<'py>,
    text: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let message = PyDict::new(py);
    message.set_item(intern!(py, "role"), intern!(py, "assistant"))?;
    message.set_item(intern!(py, "content"), text)?;
    Ok(message)
}

/// The dict of a content line whose text, or message with the text in it, is `holder`.
fn build_around<'py>(
    py: Python<'py>,
    shared: &SharedFields,
    created_at: &Bound<'py, PyAny>,
    holder: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let line = PyDict::new(py);
    line.set_item(intern!(py, "model"), &shared.model)?;
    line.set_item(intern!(py, "created_at"), created_at)?;
    line.set_item(holder_name(py, shared.shape), holder)?;
    line.set_item(intern!(py, "done"), false)?;
    Ok(line)
}

/// What a content line calls its text, or the message with the text in it.
pub fn holder_name(py: Python<'_>, shape: Shape) -> &Bound<'_, PyString> {
    if shape == Shape::Generate {
        intern!(py, "response")
    } else {
        intern!(py, "message")
    }
}

impl Known {
    fn new(py: Python<'_>, form: LineTemplate) -> PyResult<Self> {
        let none = py.None().into_bound(py);
        let holder = holder_name(py, form.shared().shape);
        let line = build_around(py, form.shared(), &none, &none)?;
        let (message, text) = if form.shared().shape == Shape::Generate {
            (None, holder)
        } else {
            let message = build_message(py, &none)?.unbind();
            let content = intern!(py, "content");
            (Some((message, holder.clone().unbind())), content)
        };
        Ok(Self {
            form,
            line: line.unbind(),
            message,
            created_at: intern!(py, "created_at").clone().unbind(),
            text: text.clone().unbind(),
        })
    }

    #[inline]
    fn dict<'py>(&self, py: Python<'py>, varying: &VaryingFields<'_>) -> Option<Bound<'py, PyAny>> {
        let line = copy(py, &self.line)?;
        let time = JsonString {
            bytes: varying.created_at,
            ascii: true,
        };
        set(
            &line,
            &self.created_at,
            json_builder::string(py, time)?.as_any(),
        )?;
        let text = json_builder::string(py, varying.text)?.into_any();
        if let Some((message, name)) = &self.message {
            let message = copy(py, message)?;
            set(&message, &self.text, &text)?;
            set(&line, name, &message)?;
        } else {
            set(&line, &self.text, &text)?;
        }
        Some(line)
    }
}

#[inline]
fn copy<'py>(py: Python<'py>, dict: &Py<PyDict>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: `dict` is a live dict; the result is a new reference, or null with an exception.
    unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyDict_Copy(dict.as_ptr())) }
}

#[inline]
fn set(dict: &Bound<'_, PyAny>, key: &Py<PyString>, value: &Bound<'_, PyAny>) -> Option<()> {
    // SAFETY: all three are live objects, and `dict` comes from `copy`.
    let done = unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) };
    (done == 0).then_some(())
}
