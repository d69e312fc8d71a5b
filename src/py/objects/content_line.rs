//! The dicts of content lines (`wire/stream/content_line.rs`): the one place that makes them.
//!
//! [`build`] makes one from its fields, `{"model": "m", "created_at": "2026", "response": "Hel", "done": False}`. For
//! text that is not decoded yet, the templates that were met last are kept, a few for each thread. A line that matches
//! one byte for byte differs from the others in its time and its text only, so its dict is a copy of a kept one with
//! two strings in it.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::text;
use crate::py::interpreter::c_api;
use crate::py::interpreter::pending_exception::NoObject;
use crate::wire::{JsonString, LineTemplate, Shape, SharedFields, VaryingFields};

/// The number of templates that a thread keeps.
const MAX_TEMPLATES: usize = 8;
/// The memory for the texts of lines with escapes that a thread keeps, in bytes.
const KEEP_BYTES: usize = 1 << 20;

struct KnownTemplate {
    template: LineTemplate,
    /// The dict of a line, None in the place of its time and its text, or of its message. As no containers are in it,
    /// the cycle collector does not track it.
    line: Py<PyDict>,
    /// For lines of a chat: the dict of a message, None in the place of its content, and the key `message`.
    message: Option<(Py<PyDict>, Py<PyString>)>,
    created_at: Py<PyString>,
    /// The key of the text, in the message or in the line.
    text: Py<PyString>,
}

#[derive(Default)]
struct TemplateCache {
    known: Vec<KnownTemplate>,
    scratch: Vec<u8>,
}

thread_local! {
    // Taken out while in use: making objects may run a garbage collection, and that any Python code, `decode` too.
    static CACHE: Cell<Option<Box<TemplateCache>>> = const { Cell::new(None) };
}

/// The dict of `line`, if it matches a template that is kept.
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

/// Keeps the template of `line`, if it is a content line, and says whether it is one.
pub fn learn(py: Python<'_>, line: &[u8]) -> PyResult<bool> {
    let Some(template) = LineTemplate::of(line) else {
        return Ok(false);
    };
    let known = KnownTemplate::new(py, template)?;
    let mut cache = CACHE.take().unwrap_or_default();
    cache.known.truncate(MAX_TEMPLATES - 1);
    cache.known.insert(0, known);
    CACHE.set(Some(cache));
    Ok(true)
}

fn find<T>(
    line: &[u8],
    make: impl FnOnce(&KnownTemplate, VaryingFields<'_>) -> Result<T, NoObject>,
) -> Result<T, NoObject> {
    let mut cache = CACHE.take().ok_or(NoObject::declined_or_raised())?;
    let TemplateCache { known, scratch } = &mut *cache;
    let mut found = Err(NoObject::declined_or_raised());
    for index in 0..known.len() {
        if let Some(varying) = known
            .get(index)
            .and_then(|known| known.template.match_line(line, scratch))
        {
            if let Some(known) = known.get(index) {
                found = make(known, varying);
            }
            // The template that matched stands first, because the lines of a stream come one after the other.
            known.swap(0, index);
            break;
        }
    }
    cache.scratch.shrink_to(KEEP_BYTES);
    CACHE.set(Some(cache));
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
    message.set_item(content_name(py), text)?;
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

/// What a message calls its text.
pub fn content_name(py: Python<'_>) -> &Bound<'_, PyString> {
    intern!(py, "content")
}

impl KnownTemplate {
    fn new(py: Python<'_>, template: LineTemplate) -> PyResult<Self> {
        let none = py.None().into_bound(py);
        let holder = holder_name(py, template.shared().shape);
        let line = build_around(py, template.shared(), &none, &none)?;
        let (message, text) = if template.shared().shape == Shape::Generate {
            (None, holder)
        } else {
            let message = build_message(py, &none)?.unbind();
            (Some((message, holder.clone().unbind())), content_name(py))
        };
        Ok(Self {
            template,
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
            bytes: varying.created_at,
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
