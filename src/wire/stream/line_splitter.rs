//! Bytes to lines, whatever the cuts: each line is handed over once, whole, without its end.
//!
//! The pieces `{"a":1}\n{"b"` and `:2}\n` are the lines `{"a":1}` and `{"b":2}`. A line inside one piece is lent from
//! that piece. Only a line that is split between pieces is copied, into the one carry buffer, and the bytes in there
//! are never searched again.

use memchr::{memchr, memchr2};

use super::error::WireError;

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// 0x0A and nothing else: JSON lines. A string in them may hold U+0085 or U+2028.
    Lf,
    /// 0x0A, 0x0D, or both in this order: event streams.
    LfOrCr,
}

/// Takes the lines of a splitter.
pub(super) trait LineHandler {
    /// May take a whole line from the start of `bytes`, before its end has been searched for. Returns how many bytes it
    /// took, the end of the line among them.
    fn take_line_from(&mut self, bytes: &[u8]) -> Option<usize>;
    /// Takes a line, which has no line end.
    fn line(&mut self, line: &[u8]) -> Result<(), WireError>;
    /// The error for a line of more than `limit` bytes.
    fn too_long(&self, limit: usize) -> WireError;
}

/// Cuts a body into lines of at most `limit` bytes.
pub(super) struct LineSplitter {
    ends: LineEnds,
    limit: usize,
    /// The beginning of a line whose end has not come.
    carry: Vec<u8>,
    /// The last byte was a 0x0D that ended a line, so a 0x0A next belongs to it.
    after_cr: bool,
}

/// A larger carry buffer, which only a giant line needs, is given back after that line.
const MAX_KEPT: usize = 1 << 20;

impl LineSplitter {
    /// A splitter for one body.
    pub fn new(ends: LineEnds, limit: usize) -> Self {
        Self {
            ends,
            limit,
            carry: Vec::new(),
            after_cr: false,
        }
    }

    /// Hands over each line that `bytes` completes.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        handler: &mut impl LineHandler,
    ) -> Result<(), WireError> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            if self.carry.is_empty()
                && let Some((_, rest)) = handler
                    .take_line_from(bytes)
                    .and_then(|length| bytes.split_at_checked(length))
            {
                bytes = rest;
                continue;
            }
            let end = match self.ends {
                LineEnds::Lf => memchr(b'\n', bytes),
                LineEnds::LfOrCr => memchr2(b'\n', b'\r', bytes),
            };
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.carry.len() + line.len() > self.limit {
                return Err(handler.too_long(self.limit));
            }
            let Some((end, rest)) = rest.split_first() else {
                self.carry.extend_from_slice(line);
                return Ok(());
            };
            self.after_cr = *end == b'\r';
            bytes = rest;
            if self.carry.is_empty() {
                handler.line(line)?;
            } else {
                self.carry.extend_from_slice(line);
                self.flush(handler)?;
            }
        }
        Ok(())
    }

    /// Hands over the last line, if it has no end.
    pub fn finish(&mut self, handler: &mut impl LineHandler) -> Result<(), WireError> {
        if self.carry.is_empty() {
            Ok(())
        } else {
            self.flush(handler)
        }
    }

    fn flush(&mut self, handler: &mut impl LineHandler) -> Result<(), WireError> {
        let result = handler.line(&self.carry);
        self.carry.clear();
        self.carry.shrink_to(MAX_KEPT);
        result
    }
}
