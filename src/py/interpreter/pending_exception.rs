//! A value, or an exception that is pending in the interpreter: what functions of the C API return, as a type.
//!
//! pyo3 takes an exception out of the interpreter at once and makes a `PyErr` of it. Where an object cannot be built,
//! and another way is tried then, that would be most of the work.

#![allow(
    unsafe_code,
    reason = "what the C API returns is a value or not by its documentation only"
)]

use std::ffi::c_int;
use std::marker::PhantomData;

use pyo3::ffi;
use pyo3::prelude::*;

/// Says that an exception is set in the interpreter for this thread. The exception is to be taken out (`take`),
/// discarded (`discard`), or left for the interpreter by returning null to it.
#[derive(Debug)]
#[must_use]
pub struct PendingException {
    /// An exception is pending for one thread.
    thread: PhantomData<*mut ()>,
}

#[expect(
    clippy::unused_self,
    reason = "the value is the proof that there is an exception"
)]
impl PendingException {
    /// # Safety
    /// An exception is set in the interpreter for this thread.
    const unsafe fn assume() -> Self {
        let thread = PhantomData;
        Self { thread }
    }

    /// Sets `MemoryError`.
    #[cold]
    pub fn memory_error(_py: Python<'_>) -> Self {
        // SAFETY: the thread is attached (`_py`), as `PyErr_NoMemory` requires. It sets an exception, as `assume`
        // requires.
        unsafe {
            ffi::PyErr_NoMemory();
            Self::assume()
        }
    }

    /// The exception, which is pending no longer.
    #[cold]
    pub fn take(self, py: Python<'_>) -> PyErr {
        PyErr::fetch(py)
    }

    /// Forgets the exception, without making a `PyErr`.
    #[cold]
    pub fn discard(self, _py: Python<'_>) {
        // SAFETY: the thread is attached (`_py`), as `PyErr_Clear` requires.
        unsafe { ffi::PyErr_Clear() }
    }
}

/// Says that a reader which takes the quick way has no object. Either it declines the input, which is left to a reader
/// that takes its time, or Python has raised an exception, which is pending: [`NoObject::exception`] tells. That is not
/// in the value, so that a `Result` with this error is as small as a pointer.
#[derive(Debug)]
#[must_use]
pub struct NoObject {
    /// An exception is pending for one thread.
    thread: PhantomData<*mut ()>,
}

impl From<PendingException> for NoObject {
    fn from(exception: PendingException) -> Self {
        let PendingException { thread } = exception;
        Self { thread }
    }
}

#[expect(
    clippy::unused_self,
    reason = "the value is the proof that there may be an exception"
)]
impl NoObject {
    /// For one of the two reasons there is no object.
    pub const fn declined_or_raised() -> Self {
        let thread = PhantomData;
        Self { thread }
    }

    /// The exception, if that is why.
    pub fn exception(self, _py: Python<'_>) -> Option<PendingException> {
        // SAFETY: the thread is attached (`_py`), as `PyErr_Occurred` requires. It returns null where no exception is
        // set; elsewhere one is, as `assume` requires.
        unsafe { (!ffi::PyErr_Occurred().is_null()).then(|| PendingException::assume()) }
    }

    /// Forgets the exception, if there is one.
    pub fn discard(self, py: Python<'_>) {
        if let Some(exception) = self.exception(py) {
            exception.discard(py);
        }
    }
}

/// The object to which `object` points.
///
/// # Safety
/// `object` is a new reference, which this takes over, or null with an exception set.
#[inline]
pub unsafe fn new_reference(
    py: Python<'_>,
    object: *mut ffi::PyObject,
) -> Result<Bound<'_, PyAny>, PendingException> {
    // SAFETY: `from_owned_ptr_or_opt` requires a new reference or null, and `assume` an exception where it is null; the
    // caller vouches for both.
    unsafe { Bound::from_owned_ptr_or_opt(py, object).ok_or_else(|| PendingException::assume()) }
}

/// What a function that returns a status has done.
///
/// # Safety
/// `status` is 0, or any other number with an exception set.
#[inline]
pub unsafe fn check_status(status: c_int) -> Result<(), PendingException> {
    if status == 0 {
        Ok(())
    } else {
        // SAFETY: `assume` requires an exception, for which the caller vouches where the status is not 0.
        Err(unsafe { PendingException::assume() })
    }
}

/// Sets `StopIteration(result)`, with which an iterator or awaitable ends. `result` is neither a tuple, which would be
/// taken for the arguments of the exception, nor an exception, which would be set itself.
#[inline]
pub fn set_stop_iteration(result: &Bound<'_, PyAny>) -> PendingException {
    // SAFETY: `PyErr_SetObject` requires an attached thread, of which `result` is the proof, and two live objects: a
    // static class and `result`. It sets an exception, which is what `assume` requires.
    unsafe {
        ffi::PyErr_SetObject(ffi::PyExc_StopIteration, result.as_ptr());
        PendingException::assume()
    }
}
