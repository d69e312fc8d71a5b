//! The str of a JSON string, whose escapes have been resolved: of the bytes `caf\xc3\xa9` the str `café`.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::py::interpreter::c_api;
use crate::py::interpreter::pending_exception::NoObject;
use crate::wire::JsonString;
use crate::wire::json::utf32;

/// From this many bytes on it pays to look at a text before it is decoded.
const LONG: usize = 4096;
/// Memory for so many characters is kept for the next long text.
const KEPT_CHARACTERS: usize = 1 << 18;

thread_local! {
    // Fresh memory for the characters of a long text would cost more than writing them.
    static CHARACTERS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// The str of `text`; what is not UTF-8 is declined, or a `UnicodeDecodeError`.
#[inline]
pub fn to_str<'py>(
    py: Python<'py>,
    text: JsonString<'_>,
) -> Result<Bound<'py, PyString>, NoObject> {
    if !text.ascii && text.bytes.len() >= LONG && is_mostly_wide(text.bytes) {
        return wide_to_str(py, text.bytes);
    }
    Ok(c_api::new_str(py, text.bytes)?)
}

/// Whether `wide_to_str` is faster: Python's own decoder takes two nanoseconds for a character of three bytes, and
/// where these are most of a long text, that takes half as long. A sample of the bytes tells.
fn is_mostly_wide(text: &[u8]) -> bool {
    const STEP: usize = 61;
    let sample = text.iter().step_by(STEP);
    let others = sample.filter(|byte| **byte >= 0x80).count();
    c_api::has_wide_characters() && utf32::is_fast() && others > text.len() / STEP * 2 / 3
}

#[cold]
fn wide_to_str<'py>(py: Python<'py>, text: &[u8]) -> Result<Bound<'py, PyString>, NoObject> {
    let mut characters = CHARACTERS.take();
    let made = match utf32::from_utf8(text, &mut characters) {
        Some(()) => c_api::new_str_of_characters(py, &characters).map_err(NoObject::from),
        None => Err(NoObject::declined_or_raised()),
    };
    characters.shrink_to(KEPT_CHARACTERS);
    CHARACTERS.set(characters);
    made
}
