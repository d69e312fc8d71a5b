//! The strings of the keys of JSON objects, kept from reply to reply: most keys have been there before.
//!
//! `{"model": "m", "done": true}` takes the strings `"model"` and `"done"` from here.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::text;
use crate::py::interpreter::pending_exception::NoObject;
use crate::wire::{Counters, JsonString};

/// As many keys are kept at most: each has one slot, and takes it from the key that was there.
const SLOTS: usize = 256;
/// Longer keys are made anew each time.
const LONGEST: usize = 48;

/// The keys of the usual replies, beside those of the counters. They are kept as the interpreter's own strings, so that
/// `reply["message"]` compares addresses only. Interning every key that a server sends would keep it forever on some
/// versions of Python.
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

/// The strings of keys that have been there, found by a hash of their text and compared in full.
pub struct KeyCache {
    slots: Vec<Option<KeySlot>>,
}

struct KeySlot {
    fingerprint: Fingerprint,
    text: Box<[u8]>,
    string: Py<PyString>,
}

/// The first and the last bytes of a text, and its length: the whole of it up to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    first: u64,
    last: u64,
    length: usize,
}

impl Fingerprint {
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

    /// A number below `SLOTS`.
    #[inline]
    fn slot(self) -> usize {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let sum = self.first ^ self.last.rotate_left(25);
        usize::try_from(sum.wrapping_mul(SPREAD) >> 32).unwrap_or_default() % SLOTS
    }
}

impl KeyCache {
    pub fn new(py: Python<'_>) -> Self {
        let mut keys = Self {
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
        };
        for key in USUAL.iter().chain(Counters::NAMES) {
            keys.insert(key.as_bytes(), &PyString::intern(py, key));
        }
        keys
    }

    fn insert(&mut self, key: &[u8], string: &Bound<'_, PyString>) {
        let fingerprint = Fingerprint::of(key);
        let new = KeySlot {
            fingerprint,
            text: key.into(),
            string: string.clone().unbind(),
        };
        if let Some(slot) = self.slots.get_mut(fingerprint.slot())
            && let Some(old) = slot.replace(new)
        {
            // Here, because a `Py` is dropped later where pyo3 does not know that the thread is attached.
            drop(old.string.into_bound(string.py()));
        }
    }

    /// The string of `key`; what is not UTF-8 is declined, or a `UnicodeDecodeError`.
    #[inline]
    pub fn get<'py>(
        &mut self,
        py: Python<'py>,
        key: JsonString<'_>,
    ) -> Result<Bound<'py, PyString>, NoObject> {
        let fingerprint = Fingerprint::of(key.bytes);
        if let Some(Some(slot)) = self.slots.get(fingerprint.slot())
            && slot.fingerprint == fingerprint
            && (fingerprint.length <= 16 || *slot.text == *key.bytes)
        {
            return Ok(slot.string.bind(py).clone());
        }
        let made = text::to_str(py, key)?;
        if fingerprint.length <= LONGEST {
            self.insert(key.bytes, &made);
        }
        Ok(made)
    }
}
