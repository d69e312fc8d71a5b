//! Python objects for the reader of JSON text (`wire::json::value`), equal to those of `json.loads`.
//!
//! A step that fails leaves either a Python exception or none; `json` looks at that once, at the end.

use std::cell::Cell;
use std::ffi::c_char;
use std::vec::Drain;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::wire::json::utf32;
use crate::wire::json::value::ValueBuilder;
use crate::wire::{Counters, JsonString};

/// As many keys are kept; each has one place.
const PLACES: usize = 256;
/// Longer keys are made anew each time.
const LONGEST: usize = 48;
/// From this size on it pays to look at a text before it is decoded.
const LONG: usize = 4096;
/// As many characters are kept room for.
const KEEP: usize = 1 << 18;

thread_local! {
    // Fresh memory for the characters of a long text would cost more than writing them.
    static WIDE: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// The keys of the usual replies, beside those of the counters. They are kept as the interpreter's own strings, so that `reply["message"]` compares
/// addresses only. Interning every key that a server sends would keep it forever on some versions of Python.
const USUAL: [&str; 16] = [
    "model",
    "created_at",
    "message",
    "role",
    "content",
    "thinking",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "response",
    "done",
    "done_reason",
    "embeddings",
    "embedding",
    "error",
];

/// The strings of keys that have been seen, by a hash of their text and compared in full.
pub struct Keys {
    places: Vec<Option<Place>>,
}

struct Place {
    ends: Ends,
    text: Box<[u8]>,
    string: Py<PyString>,
}

/// The first and the last bytes of a text, and its length: the whole of it up to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    length: usize,
}

impl Ends {
    #[inline]
    fn of(text: &[u8]) -> Self {
        let long = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let short = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let length = text.len();
        let (first, last) = match length {
            8.. => (
                text.first_chunk().map_or(0, long),
                text.last_chunk().map_or(0, long),
            ),
            4.. => (
                text.first_chunk().map_or(0, short),
                text.last_chunk().map_or(0, short),
            ),
            _ => {
                let all = text.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
                (all, 0)
            }
        };
        Self {
            first,
            last,
            length,
        }
    }

    /// A number below `PLACES`.
    #[inline]
    fn place(self) -> usize {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let sum = self.first ^ self.last.rotate_left(25);
        usize::try_from(sum.wrapping_mul(SPREAD) >> 32).unwrap_or_default() % PLACES
    }
}

impl Keys {
    pub fn new(py: Python<'_>) -> Self {
        let mut keys = Self {
            places: std::iter::repeat_with(|| None).take(PLACES).collect(),
        };
        for key in USUAL.iter().chain(Counters::NAMES) {
            keys.keep(key.as_bytes(), &PyString::intern(py, key));
        }
        keys
    }

    fn keep(&mut self, key: &[u8], string: &Bound<'_, PyString>) {
        let ends = Ends::of(key);
        let new = Place {
            ends,
            text: key.into(),
            string: string.clone().unbind(),
        };
        if let Some(place) = self.places.get_mut(ends.place())
            && let Some(old) = place.replace(new)
        {
            // Here, because a `Py` is dropped later where pyo3 does not know that the thread is attached.
            drop(old.string.into_bound(string.py()));
        }
    }

    #[inline]
    fn get<'py>(&mut self, py: Python<'py>, key: JsonString<'_>) -> Option<Bound<'py, PyString>> {
        let ends = Ends::of(key.bytes);
        if let Some(Some(place)) = self.places.get(ends.place())
            && place.ends == ends
            && (ends.length <= 16 || *place.text == *key.bytes)
        {
            return Some(place.string.bind(py).clone());
        }
        let made = string(py, key)?;
        if ends.length <= LONGEST {
            self.keep(key.bytes, &made);
        }
        Some(made)
    }
}

/// The str of a text; None, perhaps with an exception set, if it is not UTF-8.
#[inline]
pub fn string<'py>(py: Python<'py>, text: JsonString<'_>) -> Option<Bound<'py, PyString>> {
    let size = ffi::Py_ssize_t::try_from(text.bytes.len()).ok()?;
    if !text.ascii && text.bytes.len() >= LONG && is_mostly_wide(text.bytes) {
        return wide(py, text.bytes);
    }
    // SAFETY: the pointer and the size are those of a slice; the result is a new str, or null with an exception.
    unsafe {
        let start = text.bytes.as_ptr().cast::<c_char>();
        let string = ffi::PyUnicode_FromStringAndSize(start, size);
        Some(Bound::from_owned_ptr_or_opt(py, string)?.cast_into_unchecked())
    }
}

/// Python's own decoder takes two nanoseconds for a character of three bytes. Where these are most of a long text, and
/// `wchar_t` holds any character, `wide` does it in half of that. A sample tells.
fn is_mostly_wide(text: &[u8]) -> bool {
    const STEP: usize = 61;
    let sample = text.iter().step_by(STEP);
    let others = sample.filter(|byte| **byte >= 0x80).count();
    size_of::<libc::wchar_t>() == size_of::<u32>()
        && utf32::is_fast()
        && others > text.len() / STEP * 2 / 3
}

#[cold]
fn wide<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyString>> {
    let mut characters = WIDE.take();
    let size = utf32::from_utf8(text, &mut characters)
        .and_then(|()| ffi::Py_ssize_t::try_from(characters.len()).ok())?;
    // SAFETY: the pointer and the size are those of the vector, whose elements have the size of `wchar_t` (see
    // `is_mostly_wide`); the result is a new str, or null with an exception.
    unsafe {
        let start = characters.as_ptr().cast::<libc::wchar_t>();
        let string = ffi::PyUnicode_FromWideChar(start, size);
        characters.shrink_to(KEEP);
        WIDE.set(characters);
        Some(Bound::from_owned_ptr_or_opt(py, string)?.cast_into_unchecked())
    }
}

/// Makes Python objects.
pub struct Builder<'py, 'k> {
    pub py: Python<'py>,
    pub keys: &'k mut Keys,
}

impl<'py> Builder<'py, '_> {
    /// The object that a function of the C API has returned: a new reference, or null with an exception set.
    ///
    /// # Safety
    /// As said.
    #[inline]
    unsafe fn owned(&self, object: *mut ffi::PyObject) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the caller's.
        unsafe { Bound::from_owned_ptr_or_opt(self.py, object) }
    }
}

impl<'py> ValueBuilder for Builder<'py, '_> {
    type Value = Bound<'py, PyAny>;
    type Object = Bound<'py, PyDict>;
    type Key = Bound<'py, PyString>;

    fn null(&mut self) -> Option<Self::Value> {
        Some(self.py.None().into_bound(self.py))
    }

    fn boolean(&mut self, truth: bool) -> Option<Self::Value> {
        Some(PyBool::new(self.py, truth).to_owned().into_any())
    }

    #[inline]
    fn integer(&mut self, number: i64) -> Option<Self::Value> {
        // SAFETY: returns a new reference or null.
        unsafe { self.owned(ffi::PyLong_FromLongLong(number)) }
    }

    #[inline]
    fn float(&mut self, number: f64) -> Option<Self::Value> {
        // SAFETY: returns a new reference or null.
        unsafe { self.owned(ffi::PyFloat_FromDouble(number)) }
    }

    #[inline]
    fn string(&mut self, text: JsonString<'_>) -> Option<Self::Value> {
        string(self.py, text).map(Bound::into_any)
    }

    fn array(&mut self, items: Drain<'_, Self::Value>) -> Option<Self::Value> {
        let length = ffi::Py_ssize_t::try_from(items.len()).ok()?;
        // SAFETY: `PyList_New` returns a new reference or null. `PyList_SetItem` takes over the reference that
        // `into_ptr` gives up, and no code but this sees the list before each of its places is filled.
        unsafe {
            let list = self.owned(ffi::PyList_New(length))?;
            for (index, item) in (0..length).zip(items) {
                if ffi::PyList_SetItem(list.as_ptr(), index, item.into_ptr()) != 0 {
                    return None;
                }
            }
            Some(list)
        }
    }

    #[inline]
    fn object(&mut self) -> Option<Self::Object> {
        // SAFETY: returns a new dict or null.
        unsafe { Some(self.owned(ffi::PyDict_New())?.cast_into_unchecked()) }
    }

    #[inline]
    fn key(&mut self, text: JsonString<'_>) -> Option<Self::Key> {
        self.keys.get(self.py, text)
    }

    #[inline]
    fn member(
        &mut self,
        object: &mut Self::Object,
        key: Self::Key,
        value: Self::Value,
    ) -> Option<()> {
        // As with json.loads, a repeated key keeps its first place and takes the last value.
        // SAFETY: all three are live objects, and the first is a dict.
        let done = unsafe { ffi::PyDict_SetItem(object.as_ptr(), key.as_ptr(), value.as_ptr()) };
        (done == 0).then_some(())
    }

    #[inline]
    fn close(&mut self, object: Self::Object) -> Option<Self::Value> {
        Some(object.into_any())
    }
}
