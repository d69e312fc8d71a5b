//! The objects of content lines, made without a dict.
//!
//! The hot classes of `responses.py` (`ChatResponse`, `GenerateResponse`, `Message`) have a slot for each field of a
//! content line. Here their instances are allocated and these slots filled, which runs no Python code: neither
//! `__init__` nor `__setattr__`. Of
//!
//! ```json
//! {"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Hi"},"done":false}
//! ```
//!
//! comes a `ChatResponse` with `model`, `created_at`, `message` (a `Message` with `content`) and `done` in its slots.
//! Its dict (`_data`) is left unset until something other than a plain read of such a field needs it; then Python
//! builds the dict from the slots, and `adopt_dict` puts it in their place.

#![allow(
    unsafe_code,
    reason = "pyo3 neither allocates an instance without calling its class, nor sets a slot past __setattr__"
)]

use std::sync::Arc;

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::content_line;
use crate::py::interpreter::c_api;
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::pending_exception::check_status;
use crate::wire::{Shape, SharedFields, Timestamp};

/// A class with slots, of which the items of a stream are made.
pub struct SlotLayout {
    pub shape: Shape,
    class: Py<PyType>,
    model: Slot,
    created_at: Slot,
    done: Slot,
    /// `response`, or `message`.
    text: Slot,
    /// The class of messages, and its `content`.
    message: Option<(Py<PyType>, Slot)>,
}

impl SlotLayout {
    /// The slots of `class`; `None` if it lacks one of them, or has a constructor of its own.
    pub fn of(class: &Bound<'_, PyAny>) -> Option<Self> {
        let py = class.py();
        let class = class
            .cast::<PyType>()
            .ok()
            .filter(|class| is_plain(class))?;
        let slot = |name: &Bound<'_, PyString>| Slot::of(class, name);
        let text = slot(content_line::holder_name(py, Shape::Generate));
        let (shape, text, message) = if let Some(text) = text {
            (Shape::Generate, text, None)
        } else {
            let name = content_line::holder_name(py, Shape::Chat);
            let nested = class.getattr(intern!(py, "_nested")).ok()?;
            let message = nested.get_item(name).ok()?;
            let message = message.cast_into::<PyType>().ok().filter(is_plain)?;
            let content = Slot::of(&message, content_line::content_name(py))?;
            (Shape::Chat, slot(name)?, Some((message.unbind(), content)))
        };
        Some(Self {
            shape,
            model: slot(intern!(py, "model"))?,
            created_at: slot(intern!(py, "created_at"))?,
            done: slot(intern!(py, "done"))?,
            text,
            message,
            class: class.clone().unbind(),
        })
    }

    /// Visits the classes and their descriptors, for the cycle collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.class)?;
        for slot in [&self.model, &self.created_at, &self.done, &self.text] {
            visit.call(&slot.descriptor)?;
        }
        if let Some((class, content)) = &self.message {
            visit.call(class)?;
            visit.call(&content.descriptor)?;
        }
        Ok(())
    }

    /// Puts an empty text into the dict of an answer's last line, if that has no text: `{"done":true}` of
    /// `/api/generate` gets `"response": ""`.
    pub fn add_missing_text(&self, line: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = line.py();
        let line = line.cast::<PyDict>()?;
        let name = content_line::holder_name(py, self.shape);
        let mut empty = PyString::new(py, "").into_any();
        if self.shape == Shape::Chat {
            empty = content_line::build_message(py, &empty)?.into_any();
        } else if line.contains(intern!(py, "image"))? {
            return Ok(());
        }
        match line.get_item(name)? {
            Some(value) if !value.is_none() => Ok(()),
            _ => line.set_item(name, empty),
        }
    }

    /// Puts `text` into the dict of a line whose text is a list of parts.
    pub fn replace_text_parts(&self, line: &Bound<'_, PyAny>, text: &str) -> PyResult<()> {
        let py = line.py();
        let line = line.cast::<PyDict>()?;
        let holder_name = content_line::holder_name(py, self.shape);
        let (holder, name) = if self.shape == Shape::Chat {
            (line.get_item(holder_name)?, content_line::content_name(py))
        } else {
            (Some(line.clone().into_any()), holder_name)
        };
        match holder.map(Bound::cast_into::<PyDict>) {
            Some(Ok(holder))
                if holder
                    .get_item(name)?
                    .is_some_and(|found| found.is_instance_of::<PyList>()) =>
            {
                holder.set_item(name, text)
            }
            _ => Ok(()),
        }
    }

    /// The object of a content line; `None` if the class is for the lines of another endpoint.
    pub fn new_item<'py>(
        &self,
        py: Python<'py>,
        shared: &SharedModel,
        created_at: &Timestamp,
        text: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if shared.fields.shape != self.shape {
            return Ok(None);
        }
        let item = allocate(self.class.bind(py))?;
        let text = PyString::new(py, text).into_any();
        if let Some((class, content)) = &self.message {
            let message = allocate(class.bind(py))?;
            content.set(&message, &text)?;
            self.text.set(&item, &message)?;
        } else {
            self.text.set(&item, &text)?;
        }
        self.model.set(&item, shared.model.bind(py))?;
        self.created_at
            .set(&item, &PyString::new(py, created_at.as_str()))?;
        self.done.set(&item, &PyBool::new(py, false))?;
        Ok(Some(item))
    }
}

/// The fields that content lines share, with the model as a str.
pub struct SharedModel {
    fields: Arc<SharedFields>,
    model: Py<PyString>,
}

impl SharedModel {
    /// The str of the model of `shared`, kept in `cache` for the next line.
    pub fn of<'a>(
        cache: &'a mut Option<Self>,
        py: Python<'_>,
        shared: &Arc<SharedFields>,
    ) -> &'a Self {
        match cache {
            Some(known) if Arc::ptr_eq(&known.fields, shared) => {}
            _ => *cache = None,
        }
        cache.get_or_insert_with(|| Self {
            fields: Arc::clone(shared),
            model: PyString::new(py, &shared.model).unbind(),
        })
    }
}

/// Whether `class` has the `__new__` of `object`, so that nothing but an allocation is needed to make an instance.
fn is_plain(class: &Bound<'_, PyType>) -> bool {
    let py = class.py();
    let new = intern!(py, "__new__");
    let object = py.get_type::<PyAny>().getattr(new);
    matches!((class.getattr(new), object), (Ok(own), Ok(object)) if own.is(&object))
}

/// An instance of `class`, which [`is_plain`], with nothing in it.
fn allocate<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the thread is attached and `class` a live type (both by its type). `PyType_GenericAlloc` requires a type
    // whose instances are valid when they are zeroed: `SlotLayout::of` takes only classes whose `__new__` is that of
    // `object`, which calls nothing but the allocator. It returns a new reference or null with an exception, as
    // `from_owned_ptr_or_err` requires.
    unsafe {
        let instance = ffi::PyType_GenericAlloc(class.as_type_ptr(), 0);
        Bound::from_owned_ptr_or_err(class.py(), instance)
    }
}

/// A member of `__slots__`.
struct Slot {
    name: Py<PyString>,
    descriptor: Py<PyAny>,
    /// What the interpreter calls to set it. Python 3.9 does not tell.
    setter: Option<ffi::descrsetfunc>,
}

impl Slot {
    fn of(class: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> Option<Self> {
        let py = class.py();
        let descriptor = class.getattr(name).ok()?;
        let kind = descriptor.get_type().as_type_ptr();
        if kind != &raw mut ffi::PyMemberDescr_Type {
            return None;
        }
        // SAFETY: the thread is attached (`class`) and `kind` a live type, as `PyType_GetSlot` requires. What it
        // returns for `Py_tp_descr_set` is null or a function of the type `descrsetfunc`, as the transmutation
        // requires.
        let setter = unsafe {
            let setter = ffi::PyType_GetSlot(kind, ffi::Py_tp_descr_set);
            std::mem::transmute::<*mut std::ffi::c_void, Option<ffi::descrsetfunc>>(setter)
        };
        if setter.is_none() {
            drop(PyErr::take(py));
        }
        Some(Self {
            name: name.clone().unbind(),
            descriptor: descriptor.unbind(),
            setter,
        })
    }

    /// Sets the slot of `instance`, past any `__setattr__`.
    fn set(&self, instance: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = instance.py();
        let done = match self.setter {
            // SAFETY: the thread is attached and all three objects are alive (all by their types). `setter` is the one
            // of the descriptor's own type (`Slot::of`), and checks itself that `instance` has the slot. It returns 0,
            // or -1 with an exception, as `check_status` requires.
            Some(setter) => unsafe {
                let descriptor = self.descriptor.as_ptr();
                check_status(setter(descriptor, instance.as_ptr(), value.as_ptr()))
            },
            None => c_api::generic_setattr(instance, self.name.bind(py), Some(value)),
        };
        done.map_err(|exception| exception.take(py))
    }
}

/// Makes `data`, which says the same as the slots `names` of `record`, the dict of the record, and empties the slots.
/// If another thread was faster, that thread's dict is the result.
///
/// The first slot decides: who empties it sets the dict, and nothing in between lets another thread run.
#[pyfunction]
pub fn adopt_dict<'py>(
    record: &Bound<'py, PyAny>,
    data: &Bound<'py, PyDict>,
    names: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    enter();
    let py = record.py();
    let attribute = intern!(py, "_data");
    let mut names = names.iter();
    let is_first = match names.next() {
        Some(name) => empty_slot(record, &name)?,
        None => false,
    };
    if !is_first {
        let known = c_api::generic_getattr(record, attribute);
        return known.map_err(|exception| exception.take(py));
    }
    c_api::generic_setattr(record, attribute, Some(data))
        .map_err(|exception| exception.take(py))?;
    for name in names {
        empty_slot(record, &name)?;
    }
    Ok(data.clone().into_any())
}

/// Deletes the attribute; false if it was not there.
fn empty_slot(record: &Bound<'_, PyAny>, name: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = record.py();
    let name = name.cast::<PyString>()?;
    match c_api::generic_setattr(record, name, None).map_err(|exception| exception.take(py)) {
        Ok(()) => Ok(true),
        Err(error) if error.is_instance_of::<PyAttributeError>(py) => Ok(false),
        Err(error) => Err(error),
    }
}
