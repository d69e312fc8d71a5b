//! An ordinary content line, read by its form (`wire::LineTemplate`) and made from a copy of what such lines have in common.
//!
//! The forms that were met last are kept, a few for each thread. A line that fits one byte for byte differs from the
//! others in its time and its text only, so its dict is a copy of a kept one with two strings in it.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::text;
use crate::py::interpreter::c_api;
use crate::py::interpreter::pending_exception::NoObject;
use crate::wire::{JsonString, LineTemplate, Shape, VaryingFields};

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

/// The dict of `line`, if it is of a form that is known.
#[inline]
pub fn dict<'py>(py: Python<'py>, line: &[u8]) -> Result<Bound<'py, PyAny>, NoObject> {
    find(line, |known, varying| known.dict(py, &varying))
}

/// The text of `line`; see `dict`.
#[inline]
pub fn text<'py>(py: Python<'py>, line: &[u8]) -> Result<Bound<'py, PyAny>, NoObject> {
    find(line, |_, varying| {
        text::to_str(py, varying.text).map(Bound::into_any)
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

fn find<T>(
    line: &[u8],
    make: impl FnOnce(&Known, VaryingFields<'_>) -> Result<T, NoObject>,
) -> Result<T, NoObject> {
    let mut memory = MEMORY.take().ok_or(NoObject::Declined)?;
    let Memory { known, scratch } = &mut *memory;
    let mut found = Err(NoObject::Declined);
    for index in 0..known.len() {
        if let Some(varying) = known
            .get(index)
            .and_then(|known| known.form.whole(line, scratch))
        {
            if let Some(known) = known.get(index) {
                found = make(known, varying);
            }
            // The last one stands first: a stream's lines come one after the other.
            known.swap(0, index);
            break;
        }
    }
    memory.scratch.shrink_to(KEEP_BYTES);
    MEMORY.set(Some(memory));
    found
}

impl Known {
    fn new(py: Python<'_>, form: LineTemplate) -> PyResult<Self> {
        let line = PyDict::new(py);
        line.set_item(intern!(py, "model"), &form.template().model)?;
        line.set_item(intern!(py, "created_at"), py.None())?;
        let chat = form.template().shape == Shape::Chat;
        let (message, text) = if chat {
            let name = intern!(py, "message");
            line.set_item(name, py.None())?;
            let message = PyDict::new(py);
            message.set_item(intern!(py, "role"), intern!(py, "assistant"))?;
            message.set_item(intern!(py, "content"), py.None())?;
            let message = Some((message.unbind(), name.clone().unbind()));
            (message, intern!(py, "content"))
        } else {
            let name = intern!(py, "response");
            line.set_item(name, py.None())?;
            (None, name)
        };
        line.set_item(intern!(py, "done"), false)?;
        Ok(Self {
            form,
            line: line.unbind(),
            message,
            created_at: intern!(py, "created_at").clone().unbind(),
            text: text.clone().unbind(),
        })
    }

    #[inline]
    fn dict<'py>(
        &self,
        py: Python<'py>,
        varying: &VaryingFields<'_>,
    ) -> Result<Bound<'py, PyAny>, NoObject> {
        let line = c_api::copy_dict(self.line.bind(py))?;
        let time = JsonString {
            bytes: varying.time,
            ascii: true,
        };
        let time = text::to_str(py, time)?;
        c_api::set_item(&line, self.created_at.bind(py), &time)?;
        let text = text::to_str(py, varying.text)?;
        if let Some((message, name)) = &self.message {
            let message = c_api::copy_dict(message.bind(py))?;
            c_api::set_item(&message, self.text.bind(py), &text)?;
            c_api::set_item(&line, name.bind(py), &message)?;
        } else {
            c_api::set_item(&line, self.text.bind(py), &text)?;
        }
        Ok(line.into_any())
    }
}
