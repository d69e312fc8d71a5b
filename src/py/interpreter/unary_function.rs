//! Functions of one positional argument, without pyo3's way to their arguments.
//!
//! The stable ABI of 3.9 has neither fast nor vector calls for a module's functions, so pyo3 makes a tuple for each call
//! and takes it apart; where the function itself takes a fraction of a microsecond, that is a third of the call. The
//! interpreter hands the one argument of a `METH_O` function over as it is.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use pyo3::Borrowed;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::exit::enter;

type Argument<'a, 'py> = &'a Bound<'py, PyAny>;
/// The answer if it is cheap to tell; otherwise there may be an exception, which is ignored. It drops no `Py`: pyo3 puts
/// that off, because it is not told that the thread is attached.
pub type Quick = for<'py> fn(Argument<'_, 'py>) -> Option<Bound<'py, PyAny>>;
/// The answer in any case.
pub type Careful = for<'py> fn(Argument<'_, 'py>) -> PyResult<Bound<'py, PyAny>>;
type Entry = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// Adds a function to `module`. `entry` calls [`run`]; `doc` begins with the signature, as `inspect` wants it.
pub fn add(
    module: &Bound<'_, PyModule>,
    name: &'static CStr,
    doc: &'static CStr,
    entry: Entry,
) -> PyResult<()> {
    let definition = ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: entry },
        ml_flags: ffi::METH_O as c_int,
        ml_doc: doc.as_ptr(),
    };
    // The interpreter refers to it as long as the function lives.
    let definition = Box::leak(Box::new(definition));
    // SAFETY: the definition lives forever, and its flags are those of the signature of `entry`. The name of the module
    // is a live object. The result is a new reference, or null with an exception.
    let function = unsafe {
        let function = ffi::PyCFunction_NewEx(definition, null_mut(), module.name()?.as_ptr());
        Bound::from_owned_ptr_or_err(module.py(), function)?
    };
    module.add(name.to_string_lossy().as_ref(), function)
}

/// The body of an entry: `quick`, and where that has no answer `careful`. A panic becomes an exception.
///
/// # Safety
/// The thread is attached to the interpreter, and `argument` is a live object.
#[inline]
pub unsafe fn run(
    argument: *mut ffi::PyObject,
    quick: Quick,
    careful: Careful,
) -> *mut ffi::PyObject {
    let work = || {
        enter();
        // SAFETY: the caller's.
        let known = unsafe {
            let py = Python::assume_attached();
            quick(&Borrowed::from_ptr(py, argument))
        };
        match known {
            Some(value) => value.into_ptr(),
            None => Python::attach(|py| {
                // SAFETY: the thread is attached.
                unsafe { ffi::PyErr_Clear() };
                // SAFETY: the caller's.
                let argument = unsafe { Borrowed::from_ptr(py, argument) };
                answer(py, careful(&argument))
            }),
        }
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let text = "the compiled core panicked; please report this";
        Python::attach(|py| answer(py, Err(PyRuntimeError::new_err(text))))
    })
}

fn answer(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> *mut ffi::PyObject {
    match result {
        Ok(value) => value.into_ptr(),
        Err(error) => {
            error.restore(py);
            null_mut()
        }
    }
}
