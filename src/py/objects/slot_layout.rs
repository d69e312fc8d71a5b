//! The objects of ordinary content lines, made without a dict.
//!
//! The hot classes of `responses.py` (`ChatResponse`, `GenerateResponse`, `Message`) have a slot for each field that an
//! ordinary line has. Here their instances are allocated and these slots filled, which runs no Python code: neither
//! `__init__` nor `__setattr__`. Their dict (`_data`) is left unset until something other than a plain read of such a
//! field needs it; then Python builds it from the slots and `adopt_dict` makes it the one truth.

use std::sync::Arc;

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::py::interpreter::exit::enter;
use crate::wire::{Shape, SharedFields, Timestamp};

/// How the items of one stream are made: from a class that has the slots.
pub struct Mold {
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

impl Mold {
    /// The mold of `class`; `None` if it lacks one of the slots, or a constructor of its own has a say.
    pub fn of(class: &Bound<'_, PyAny>) -> Option<Self> {
        let py = class.py();
        let class = class
            .cast::<PyType>()
            .ok()
            .filter(|class| is_plain(class))?;
        let slot = |name: &Bound<'_, PyString>| Slot::of(class, name);
        let (shape, text, message) = if let Some(text) = slot(intern!(py, "response")) {
            (Shape::Generate, text, None)
        } else {
            let nested = class.getattr(intern!(py, "_nested")).ok()?;
            let message = nested.get_item(intern!(py, "message")).ok()?;
            let message = message.cast_into::<PyType>().ok().filter(is_plain)?;
            let content = Slot::of(&message, intern!(py, "content"))?;
            let text = slot(intern!(py, "message"))?;
            (Shape::Chat, text, Some((message.unbind(), content)))
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

    /// Puts an empty text into the last line of an answer, if it has no place for one.
    pub fn complete(&self, line: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = line.py();
        let line = line.cast::<PyDict>()?;
        let (name, empty) = if self.message.is_some() {
            let message = PyDict::new(py);
            message.set_item(intern!(py, "role"), intern!(py, "assistant"))?;
            message.set_item(intern!(py, "content"), "")?;
            (intern!(py, "message"), message.into_any())
        } else if line.contains(intern!(py, "image"))? {
            return Ok(());
        } else {
            (intern!(py, "response"), PyString::new(py, "").into_any())
        };
        match line.get_item(name)? {
            Some(value) if !value.is_none() => Ok(()),
            _ => line.set_item(name, empty),
        }
    }

    /// Puts `text` in the place of the parts that it came in.
    pub fn join(&self, line: &Bound<'_, PyAny>, text: &str) -> PyResult<()> {
        let py = line.py();
        let line = line.cast::<PyDict>()?;
        let (holder, name) = if self.message.is_some() {
            (line.get_item(intern!(py, "message"))?, "content")
        } else {
            (Some(line.clone().into_any()), "response")
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

    /// The object of an ordinary line; `None` if the class is of another shape.
    pub fn cast<'py>(
        &self,
        py: Python<'py>,
        shared: &Known,
        created_at: &Timestamp,
        text: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if shared.of.shape != self.shape {
            return Ok(None);
        }
        let item = allocate(self.class.bind(py))?;
        let text = PyString::new(py, text).into_any();
        if let Some((class, content)) = &self.message {
            let message = allocate(class.bind(py))?;
            content.fill(&message, &text)?;
            self.text.fill(&item, &message)?;
        } else {
            self.text.fill(&item, &text)?;
        }
        self.model.fill(&item, shared.model.bind(py))?;
        self.created_at
            .fill(&item, &PyString::new(py, created_at.as_str()))?;
        self.done.fill(&item, &PyBool::new(py, false))?;
        Ok(Some(item))
    }
}

/// The fields that content lines share, with the model as a str.
pub struct Known {
    of: Arc<SharedFields>,
    model: Py<PyString>,
}

impl Known {
    /// The str of the model of `shared`, kept in `place` for the next line.
    pub fn of<'a>(
        place: &'a mut Option<Self>,
        py: Python<'_>,
        shared: &Arc<SharedFields>,
    ) -> &'a Self {
        match place {
            Some(known) if Arc::ptr_eq(&known.of, shared) => {}
            _ => *place = None,
        }
        place.get_or_insert_with(|| Self {
            of: Arc::clone(shared),
            model: PyString::new(py, &shared.model).unbind(),
        })
    }
}

/// Whether nothing but an allocation is needed to make an instance of `class`.
fn is_plain(class: &Bound<'_, PyType>) -> bool {
    let py = class.py();
    let new = intern!(py, "__new__");
    let object = py.get_type::<PyAny>().getattr(new);
    matches!((class.getattr(new), object), (Ok(own), Ok(object)) if own.is(&object))
}

/// An instance of `class` with nothing in it.
fn allocate<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the `__new__` of the class is that of `object` (see `is_plain`), which does nothing but this.
    // The result is a new reference or null.
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
    set: Option<ffi::descrsetfunc>,
}

impl Slot {
    fn of(class: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> Option<Self> {
        let py = class.py();
        let descriptor = class.getattr(name).ok()?;
        let kind = descriptor.get_type().as_type_ptr();
        if kind != &raw mut ffi::PyMemberDescr_Type {
            return None;
        }
        // SAFETY: `kind` is a type. Where a function comes back it is the slot's, whose signature is this.
        let set = unsafe {
            let set = ffi::PyType_GetSlot(kind, ffi::Py_tp_descr_set);
            std::mem::transmute::<*mut std::ffi::c_void, Option<ffi::descrsetfunc>>(set)
        };
        if set.is_none() {
            drop(PyErr::take(py));
        }
        Some(Self {
            name: name.clone().unbind(),
            descriptor: descriptor.unbind(),
            set,
        })
    }

    /// Sets the slot of `instance`, past any `__setattr__`.
    fn fill(&self, instance: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (object, value) = (instance.as_ptr(), value.as_ptr());
        // SAFETY: all are live objects; the descriptor checks the type of `instance` itself.
        let result = unsafe {
            match self.set {
                Some(set) => set(self.descriptor.as_ptr(), object, value),
                None => ffi::PyObject_GenericSetAttr(object, self.name.as_ptr(), value),
            }
        };
        checked(instance.py(), result)
    }
}

fn checked(py: Python<'_>, result: std::ffi::c_int) -> PyResult<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(py))
    }
}

/// Makes `data`, which says the same as the slots `names` of `record`, the dict of it, and empties the slots.
/// If another thread was faster, that one's dict is what comes back.
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
    let truth = intern!(py, "_data");
    let empty = |name: &Bound<'_, PyAny>| {
        // SAFETY: both are live objects; a null value deletes the attribute.
        let result = unsafe {
            ffi::PyObject_GenericSetAttr(record.as_ptr(), name.as_ptr(), std::ptr::null_mut())
        };
        match checked(py, result) {
            Err(error) if error.is_instance_of::<PyAttributeError>(py) => Ok(false),
            other => other.map(|()| true),
        }
    };
    let mut names = names.iter();
    let first = match names.next() {
        Some(name) => empty(&name)?,
        None => false,
    };
    if !first {
        // SAFETY: both are live objects; the result is a new reference or null.
        return unsafe {
            let known = ffi::PyObject_GenericGetAttr(record.as_ptr(), truth.as_ptr());
            Bound::from_owned_ptr_or_err(py, known)
        };
    }
    // SAFETY: all three are live objects.
    let result =
        unsafe { ffi::PyObject_GenericSetAttr(record.as_ptr(), truth.as_ptr(), data.as_ptr()) };
    checked(py, result)?;
    for name in names {
        empty(&name)?;
    }
    Ok(data.clone().into_any())
}
