//! A line to the JSON object in it, for any legal JSON: the strict path of the decoder.
//!
//! ```text
//! {"response":"a\tb","done":false}  ->  tape: Object(2), "response", "a<tab>b", "done", false
//! [1,2]                             ->  ObjectError::NotObject
//! ```
//!
//! simd-json makes a flat tape of the line, in buffers that are used again and again; nothing here recurses, so depth
//! is harmless. Some legal JSON simd-json refuses (a number of 400 digits, half of a surrogate pair, 2,000 arrays
//! inside each other); such a line is rewritten by `json::lenient` and parsed once more. Only a line that is no JSON
//! object is refused.

use simd_json::{Buffers, Node, Tape};

use super::tape::TapeValue;
use crate::wire::json::lenient;

/// Why a line holds no JSON object. Positions count bytes of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectError {
    NotUtf8 { position: usize },
    NotJson { position: usize },
    NotObject,
}

/// Parses one line after the other, in buffers that it keeps.
pub(super) struct LineParser {
    /// A copy of the line, because simd-json unescapes strings in place.
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

/// Buffers that a giant line has blown up beyond this are given back.
const MAX_KEPT: usize = 1 << 20;

impl Default for LineParser {
    fn default() -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::default(),
            tape: Tape(Vec::new()),
        }
    }
}

impl LineParser {
    /// Parses `line` and calls `read` with the object in it. Where there is none, `read` is not called.
    pub fn parse_object(
        &mut self,
        line: &[u8],
        read: &mut dyn FnMut(TapeValue<'_, '_>),
    ) -> Result<(), ObjectError> {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        self.scratch.clear();
        self.scratch.extend_from_slice(line);
        let parsed = fill_tape(&mut self.scratch, &mut self.buffers, &mut tape);
        let result = if parsed {
            read_object(&tape, read)
        } else {
            Ok(())
        };
        self.tape = tape.reset();
        let result = if parsed {
            result
        } else {
            self.parse_leniently(line, read)
        };
        if self.scratch.capacity() > MAX_KEPT {
            *self = Self::default();
        }
        result
    }

    /// Reads a line that simd-json has refused: it may be legal all the same.
    fn parse_leniently(
        &mut self,
        line: &[u8],
        read: &mut dyn FnMut(TapeValue<'_, '_>),
    ) -> Result<(), ObjectError> {
        let line = std::str::from_utf8(line).map_err(|error| ObjectError::NotUtf8 {
            position: error.valid_up_to(),
        })?;
        self.scratch.clear();
        lenient::rewrite(line, &mut self.scratch).map_err(|error| ObjectError::NotJson {
            position: error.position,
        })?;
        let mut tape = Tape(Vec::new());
        let mut buffers = Buffers::with_max_depth(self.scratch.len(), usize::MAX);
        if !fill_tape(&mut self.scratch, &mut buffers, &mut tape) {
            return Err(ObjectError::NotJson { position: 0 });
        }
        read_object(&tape, read)
    }
}

/// Parses what is in `scratch`; `false` if simd-json refuses it.
fn fill_tape<'a>(scratch: &'a mut Vec<u8>, buffers: &mut Buffers, tape: &mut Tape<'a>) -> bool {
    let length = scratch.len();
    scratch.resize(length + simd_json::INPUT_PADDING, b' ');
    simd_json::fill_tape_padded(scratch, length, buffers, tape).is_ok()
}

fn read_object(
    tape: &Tape<'_>,
    read: &mut dyn FnMut(TapeValue<'_, '_>),
) -> Result<(), ObjectError> {
    let top = TapeValue {
        nodes: &tape.0,
        at: 0,
    };
    if !matches!(top.node(), Some(Node::Object { .. })) {
        return Err(ObjectError::NotObject);
    }
    read(top);
    Ok(())
}
