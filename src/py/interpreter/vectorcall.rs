//! Calls on hot paths, without a tuple for the arguments.
//!
//! The stable ABI of 3.9 has no vector call of its own, so pyo3 makes a tuple for each call there. Two functions of the
//! C API take their arguments one by one and vector-call inside, which saves a third of a short call.

#![allow(unsafe_code, reason = "pyo3 has no safe form of these two functions")]

use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

/// `callable(argument)`.
pub fn call<'py>(
    callable: &Bound<'py, PyAny>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let end = null_mut::<ffi::PyObject>();
    // SAFETY: the thread is attached and both objects are alive (both by their types). `PyObject_CallFunctionObjArgs`
    // requires a null after the last argument. It returns a new reference or null with an exception, as
    // `from_owned_ptr_or_err` requires.
    unsafe {
        let result = ffi::PyObject_CallFunctionObjArgs(callable.as_ptr(), argument.as_ptr(), end);
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// `object.name(argument)`.
pub fn call_method<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let end = null_mut::<ffi::PyObject>();
    // SAFETY: the thread is attached and all three objects are alive, the second of which is a str (all by their
    // types). `PyObject_CallMethodObjArgs` requires a null after the last argument. It returns a new reference or null
    // with an exception, as `from_owned_ptr_or_err` requires.
    unsafe {
        let result =
            ffi::PyObject_CallMethodObjArgs(object.as_ptr(), name.as_ptr(), argument.as_ptr(), end);
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// `hasattr(object, name)`: the builtin, because `PyObject_HasAttr` makes and drops an exception where the answer is
/// no.
pub fn has_attribute(object: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    static HASATTR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let hasattr = HASATTR.import(object.py(), "builtins", "hasattr")?;
    let end = null_mut::<ffi::PyObject>();
    // SAFETY: the thread is attached and all three objects are alive (all by their types).
    // `PyObject_CallFunctionObjArgs` requires a null after the last argument. It returns a new reference or null with
    // an exception, as `from_owned_ptr_or_err` requires.
    let result = unsafe {
        let result = ffi::PyObject_CallFunctionObjArgs(
            hasattr.as_ptr(),
            object.as_ptr(),
            name.as_ptr(),
            end,
        );
        Bound::from_owned_ptr_or_err(object.py(), result)?
    };
    result.is_truthy()
}
