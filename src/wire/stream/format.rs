//! The format of a body, found by its first bytes where it is not known: JSON lines or server-sent events.
//!
//! `{"model":"m",…}` begins JSON lines; `data: {"choices":[…]}` and `: a comment` begin an event stream.

use std::borrow::Cow;

/// How the lines of a body hold JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// `Sse` if the first bytes that are not blank are a field of an event stream (`data:`, `:`), else `Ndjson`.
    Auto,
    /// One JSON object a line, as `/api/chat` and its neighbours write; also a whole reply, which is one line.
    Ndjson,
    /// Server-sent events, as the endpoints below `/v1/` write.
    Sse,
}

/// The longest line that is read unless told otherwise, in bytes.
pub const MAX_LINE: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a line of an event stream can begin.
const SSE_FIELDS: [&[u8]; 5] = [b"data:", b":", b"event:", b"id:", b"retry:"];

/// Finds the format of one body, which may come in pieces of any size, and drops one byte order mark before it.
pub(super) struct FormatDetector {
    expected: StreamFormat,
    /// The bytes that did not suffice: a part of a byte order mark or of a field's name.
    held: Vec<u8>,
    is_past_mark: bool,
    /// How many line feeds came before anything else, and were dropped.
    pub blank_lines: u64,
}

impl FormatDetector {
    /// `expected` is the format, or `Auto` where the first bytes tell.
    pub fn new(expected: StreamFormat) -> Self {
        Self {
            expected,
            held: Vec::new(),
            is_past_mark: false,
            blank_lines: 0,
        }
    }

    /// The format, once it is known, and the bytes of the body that are to be read by it.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Option<(StreamFormat, Cow<'a, [u8]>)> {
        if self.held.is_empty() {
            let (format, dropped) = self.detect(bytes);
            let rest = bytes.get(dropped..).unwrap_or_default();
            if format.is_none() {
                self.held = rest.to_vec();
            }
            return Some((format?, rest.into()));
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let (format, dropped) = self.detect(&all);
        all.drain(..dropped);
        if format.is_none() {
            self.held = all;
            return None;
        }
        Some((format?, all.into()))
    }

    /// The format of a body that has ended before its format was known, and the bytes of it that were held back.
    pub fn finish(&mut self) -> (StreamFormat, Vec<u8>) {
        let format = if self.expected == StreamFormat::Sse {
            StreamFormat::Sse
        } else {
            StreamFormat::Ndjson
        };
        (format, std::mem::take(&mut self.held))
    }

    /// The format, if `bytes` tell it, and how many of them are to be dropped.
    fn detect(&mut self, bytes: &[u8]) -> (Option<StreamFormat>, usize) {
        let mut rest = bytes;
        if !self.is_past_mark {
            if rest.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(rest) {
                return (None, 0);
            }
            rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
            self.is_past_mark = true;
        }
        if self.expected != StreamFormat::Auto {
            return (Some(self.expected), bytes.len() - rest.len());
        }
        while let Some((first, tail)) = rest.split_first() {
            match first {
                b'\n' => self.blank_lines += 1,
                b' ' | b'\t' | b'\r' => {}
                _ => break,
            }
            rest = tail;
        }
        let format = if SSE_FIELDS.iter().any(|field| rest.starts_with(field)) {
            Some(StreamFormat::Sse)
        } else if SSE_FIELDS.iter().any(|field| field.starts_with(rest)) {
            None
        } else {
            Some(StreamFormat::Ndjson)
        };
        (format, bytes.len() - rest.len())
    }
}
