//! The bytes that callers hand over: of a bytes, a bytearray or a memoryview. The stable ABI of Python 3.9 has no
//! buffer protocol, which would serve any object.
//!
//! ```text
//! b"{}", memoryview(b"{}")  ->  BytesLike::Shared
//! bytearray(b"{}")          ->  BytesLike::Copied, because Python code may change it meanwhile
//! "{}"                      ->  None: a str holds no bytes
//! ```

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

/// Bytes that stay as they are while Python code runs.
pub enum BytesLike<'py> {
    /// Immutable by itself.
    Shared(Bound<'py, PyBytes>),
    /// A copy of something mutable.
    Copied(Vec<u8>),
}

impl BytesLike<'_> {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes.as_bytes(),
            Self::Copied(bytes) => bytes,
        }
    }
}

impl<'py> BytesLike<'py> {
    /// What `value` holds if it is bytes, bytearray or memoryview.
    pub fn of(value: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            Ok(Some(Self::Shared(bytes.clone())))
        } else if let Ok(array) = value.cast::<PyByteArray>() {
            Ok(Some(Self::Copied(array.to_vec())))
        } else if value.cast::<PyMemoryView>().is_ok() {
            let bytes = value.call_method0(intern!(value.py(), "tobytes"))?;
            Ok(Some(Self::Shared(bytes.cast_into::<PyBytes>()?)))
        } else {
            Ok(None)
        }
    }
}
