//! Functions of the C API that make or change objects, for hot paths: what they return is a value or a
//! [`PendingException`], and no `PyErr` is made of a failure that is going to be discarded.
//!
//! All of them take a `Python` token or an object that is bound to one, so that the thread is attached.

#![allow(
    unsafe_code,
    reason = "pyo3's safe functions make a PyErr of each failure, or go through traits"
)]

use std::ffi::c_char;
use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::pending_exception::{PendingException, check_status, new_reference};

/// `int(number)`.
#[inline]
pub fn new_int(py: Python<'_>, number: i64) -> Result<Bound<'_, PyAny>, PendingException> {
    // SAFETY: the thread is attached (`py`). `PyLong_FromLongLong` returns a new reference or null with an exception,
    // as `new_reference` requires.
    unsafe { new_reference(py, ffi::PyLong_FromLongLong(number)) }
}

/// `float(number)`.
#[inline]
pub fn new_float(py: Python<'_>, number: f64) -> Result<Bound<'_, PyAny>, PendingException> {
    // SAFETY: the thread is attached (`py`). `PyFloat_FromDouble` returns a new reference or null with an exception, as
    // `new_reference` requires.
    unsafe { new_reference(py, ffi::PyFloat_FromDouble(number)) }
}

/// `text.decode("utf-8")`: what is not UTF-8 is a `UnicodeDecodeError`.
#[inline]
pub fn new_str<'py>(
    py: Python<'py>,
    text: &[u8],
) -> Result<Bound<'py, PyString>, PendingException> {
    let size = py_size(py, text.len())?;
    // SAFETY: the thread is attached (`py`). `PyUnicode_FromStringAndSize` requires a pointer to `size` bytes, which
    // are those of `text`; it returns a new reference to a str, so that the cast holds, or null with an exception.
    unsafe {
        let start = text.as_ptr().cast::<c_char>();
        let text = new_reference(py, ffi::PyUnicode_FromStringAndSize(start, size))?;
        Ok(text.cast_into_unchecked())
    }
}

/// The str of `characters`, on platforms where [`has_wide_characters`].
pub fn new_str_of_characters<'py>(
    py: Python<'py>,
    characters: &[u32],
) -> Result<Bound<'py, PyString>, PendingException> {
    debug_assert!(has_wide_characters());
    let size = py_size(py, characters.len())?;
    // SAFETY: the thread is attached (`py`). `PyUnicode_FromWideChar` requires a pointer to `size` elements of the type
    // `wchar_t`, which is no larger than the elements of `characters`, of which there are as many. It returns a new
    // reference to a str, so that the cast holds, or null with an exception.
    unsafe {
        let start = characters.as_ptr().cast::<libc::wchar_t>();
        let text = new_reference(py, ffi::PyUnicode_FromWideChar(start, size))?;
        Ok(text.cast_into_unchecked())
    }
}

/// Whether C's `wchar_t` holds any character.
pub const fn has_wide_characters() -> bool {
    size_of::<libc::wchar_t>() == size_of::<u32>()
}

/// `[*items]`.
pub fn new_list<'py>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>, PendingException> {
    let length = py_size(py, items.len())?;
    // SAFETY: the thread is attached (`py`). `PyList_New` returns a new reference or null with an exception, as
    // `new_reference` requires. `PyList_SetItem` requires an index of the list, of which there are `length`, and takes
    // over the reference that `into_ptr` gives up. No other code sees the list before each of its places is filled.
    unsafe {
        let list = new_reference(py, ffi::PyList_New(length))?;
        for (index, item) in (0..length).zip(items) {
            check_status(ffi::PyList_SetItem(list.as_ptr(), index, item.into_ptr()))?;
        }
        Ok(list)
    }
}

/// `{}`.
#[inline]
pub fn new_dict(py: Python<'_>) -> Result<Bound<'_, PyDict>, PendingException> {
    // SAFETY: the thread is attached (`py`). `PyDict_New` returns a new reference to a dict, so that the cast holds, or
    // null with an exception.
    unsafe { Ok(new_reference(py, ffi::PyDict_New())?.cast_into_unchecked()) }
}

/// `dict.copy()`.
#[inline]
pub fn copy_dict<'py>(dict: &Bound<'py, PyDict>) -> Result<Bound<'py, PyDict>, PendingException> {
    // SAFETY: the thread is attached and `dict` a live dict (both by its type). `PyDict_Copy` returns a new reference
    // to a dict, so that the cast holds, or null with an exception.
    unsafe {
        let copy = new_reference(dict.py(), ffi::PyDict_Copy(dict.as_ptr()))?;
        Ok(copy.cast_into_unchecked())
    }
}

/// `dict[key] = value`.
#[inline]
pub fn set_item(
    dict: &Bound<'_, PyDict>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> Result<(), PendingException> {
    // SAFETY: the thread is attached and all three objects are alive, the first of which is a dict (all by their
    // types). `PyDict_SetItem` takes over no reference, and returns 0 or -1 with an exception, as `check_status`
    // requires.
    unsafe {
        check_status(ffi::PyDict_SetItem(
            dict.as_ptr(),
            key.as_ptr(),
            value.as_ptr(),
        ))
    }
}

/// `object.__getattribute__(instance, name)`.
pub fn generic_getattr<'py>(
    instance: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> Result<Bound<'py, PyAny>, PendingException> {
    // SAFETY: the thread is attached and both objects are alive, the second of which is a str (all by their types).
    // `PyObject_GenericGetAttr` returns a new reference or null with an exception, as `new_reference` requires.
    unsafe {
        let value = ffi::PyObject_GenericGetAttr(instance.as_ptr(), name.as_ptr());
        new_reference(instance.py(), value)
    }
}

/// `object.__setattr__(instance, name, value)`; without a value `object.__delattr__(instance, name)`.
pub fn generic_setattr(
    instance: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> Result<(), PendingException> {
    let value = value.map_or_else(null_mut, Bound::as_ptr);
    // SAFETY: the thread is attached and the objects are alive, the second of which is a str (all by their types). A
    // null in the place of the value deletes the attribute. `PyObject_GenericSetAttr` takes over no reference, and
    // returns 0 or -1 with an exception, as `check_status` requires.
    unsafe {
        let status = ffi::PyObject_GenericSetAttr(instance.as_ptr(), name.as_ptr(), value);
        check_status(status)
    }
}

/// How many of the first items are floats, no instances of a subclass, and finite.
pub fn count_finite_floats(list: &Bound<'_, PyList>) -> usize {
    let mut count = 0;
    loop {
        let Ok(index) = ffi::Py_ssize_t::try_from(count) else {
            return count;
        };
        if count == list.len() {
            return count;
        }
        // SAFETY: the thread is attached and `list` a live list (both by its type). `PyList_GetItem` requires an index
        // below its length, which was compared right above. The reference is borrowed from the list, which does not
        // change until its last use: checking and reading a float runs no Python code.
        let is_finite = unsafe {
            let number = ffi::PyList_GetItem(list.as_ptr(), index);
            !number.is_null()
                && ffi::PyFloat_CheckExact(number) != 0
                && ffi::PyFloat_AsDouble(number).is_finite()
        };
        if !is_finite {
            return count;
        }
        count += 1;
    }
}

/// The number of the interpreter to which the thread is attached.
pub fn interpreter_id(_py: Python<'_>) -> i64 {
    // SAFETY: the thread is attached, so there is a current interpreter, as `PyInterpreterState_Get` requires; that is
    // what `PyInterpreterState_GetID` gets.
    unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) }
}

/// `length` as the C API has it. No slice is longer than that can say.
#[inline]
fn py_size(py: Python<'_>, length: usize) -> Result<ffi::Py_ssize_t, PendingException> {
    ffi::Py_ssize_t::try_from(length).map_err(|_| PendingException::memory_error(py))
}
