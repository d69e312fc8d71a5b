//! Functions of one positional argument, without pyo3's way to their arguments.
//!
//! The stable ABI of 3.9 has neither fast nor vector calls for a module's functions, so pyo3 makes a tuple for each
//! call and takes it apart; where the function itself takes a fraction of a microsecond, that is a third of the call.
//! The interpreter passes the one argument of a `METH_O` function as it is.

#![allow(unsafe_code, reason = "pyo3 makes no METH_O functions")]

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use pyo3::Borrowed;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::exit::enter;
use super::pending_exception::NoObject;

/// A function for Python.
pub trait UnaryFunction {
    const NAME: &'static CStr;
    /// Begins with the signature, as `inspect` wants it.
    const DOC: &'static CStr;

    /// The result if it is cheap to tell. Drops no `Py`: pyo3 puts that off, because it is not told that the thread is
    /// attached.
    fn try_quickly<'py>(argument: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, NoObject>;

    /// The result in any case.
    fn call<'py>(argument: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;
}

/// Adds the function to `module`.
pub fn add<F: UnaryFunction>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let definition = ffi::PyMethodDef {
        ml_name: F::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: call_entry::<F>,
        },
        ml_flags: ffi::METH_O as c_int,
        ml_doc: F::DOC.as_ptr(),
    };
    // The interpreter refers to it as long as the function lives.
    let definition = Box::leak(Box::new(definition));
    // SAFETY: the thread is attached (`module`). `PyCFunction_NewEx` requires a definition that outlives the function,
    // which a leaked one does, and whose flags are those of the signature of its function: METH_O is that of
    // `call_entry`. The name of the module is a live object. The result is a new reference or null with an exception,
    // as `from_owned_ptr_or_err` requires.
    let function = unsafe {
        let function = ffi::PyCFunction_NewEx(definition, null_mut(), module.name()?.as_ptr());
        Bound::from_owned_ptr_or_err(module.py(), function)?
    };
    module.add(F::NAME.to_string_lossy().as_ref(), function)
}

/// What the interpreter calls: `try_quickly`, and where that has no result `call`. A panic becomes an exception.
unsafe extern "C" fn call_entry<F: UnaryFunction>(
    _module: *mut ffi::PyObject,
    argument: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let work = || {
        enter();
        // SAFETY: the interpreter calls a function with the thread attached, as `assume_attached` requires, and with an
        // argument that lives until the function returns, as `Borrowed` does.
        let quick = unsafe {
            let py = Python::assume_attached();
            F::try_quickly(&Borrowed::from_ptr(py, argument))
        };
        match quick {
            Ok(value) => value.into_ptr(),
            Err(why) => Python::attach(|py| {
                why.discard(py);
                // SAFETY: as above, the argument lives until the function returns.
                let argument = unsafe { Borrowed::from_ptr(py, argument) };
                into_pointer(py, F::call(&argument))
            }),
        }
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let text = "the compiled core panicked; please report this";
        Python::attach(|py| into_pointer(py, Err(PyRuntimeError::new_err(text))))
    })
}

/// What a function returns to the interpreter: a new reference, or null with an exception set.
fn into_pointer(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> *mut ffi::PyObject {
    match result {
        Ok(value) => value.into_ptr(),
        Err(error) => {
            error.restore(py);
            null_mut()
        }
    }
}
