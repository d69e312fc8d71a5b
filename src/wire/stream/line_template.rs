//! The fast path: an ordinary content line read by what the lines before it looked like.
//!
//! In a stream of content lines only the time and the text change. What comes before the time is learned from the
//! first ordinary line that the strict path has read; the rest of the form is fixed. A line that matches all of it
//! byte for byte needs no JSON parser. Whatever does not match is none of this module's business: the strict path
//! reads it, and for lines that both can read, both give the same item.

use std::sync::Arc;

use super::batch::{SharedFields, Timestamp};
use super::delta::Shape;
use super::line_parser::ContentLine;
use crate::wire::json::string::{self as text, JsonString};

const TIME: &[u8] = b"\",\"created_at\":\"";
const CHAT: &[u8] = b"\",\"message\":{\"role\":\"assistant\",\"content\":\"";
const CHAT_END: &[u8; 16] = b"\"},\"done\":false}";
const GENERATE: &[u8] = b"\",\"response\":\"";
const GENERATE_END: &[u8; 15] = b"\",\"done\":false}";

/// The form that ordinary lines of one stream have.
#[derive(Debug)]
pub struct LineTemplate {
    /// Everything up to the opening quote of the time.
    prefix: Vec<u8>,
    pub(super) shared: Arc<SharedFields>,
}

/// What a line says beyond its form. The text is not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaryingFields<'a> {
    /// ASCII, without escapes.
    pub time: &'a [u8],
    pub text: JsonString<'a>,
}

impl LineTemplate {
    /// The form of `line`, which the strict path has read as an content line with the fields `shared`.
    pub(super) fn learn(line: &[u8], shared: &Arc<SharedFields>) -> Option<Self> {
        let (prefix, model) = beginning(line)?;
        (model == shared.model).then(|| Self {
            prefix: prefix.to_vec(),
            shared: Arc::clone(shared),
        })
    }

    /// The form of `line`, if it is an ordinary line and nothing else. The form fixes each byte between the strings, so
    /// what fits it needs no JSON parser to be known for one.
    pub fn of(line: &[u8]) -> Option<Self> {
        let shape = shape(line)?;
        let (prefix, model) = beginning(line)?;
        Some(Self {
            prefix: prefix.to_vec(),
            shared: Arc::new(SharedFields { shape, model }),
        })
        .filter(|form| form.whole(line, &mut Vec::new()).is_some())
    }

    /// The parts that all lines of this form have in common.
    pub fn template(&self) -> &SharedFields {
        &self.shared
    }

    /// What `line` says, if it is of this form to its last byte. `scratch` holds the text where it has escapes.
    #[inline]
    pub fn whole<'a>(&self, line: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<VaryingFields<'a>> {
        let (time, rest) = self.open(line)?;
        let (text, length) = text::content(rest, scratch)?;
        let end = self.close(rest.get(length..)?)?;
        end.is_empty().then_some(VaryingFields { time, text })
    }

    /// Reads the line at the start of `bytes`: appends its text to `out`, and returns its length and time.
    /// When it returns `None`, `out` may have grown.
    #[inline]
    pub(super) fn read(&self, bytes: &[u8], out: &mut String) -> Option<(usize, Timestamp)> {
        let (time, rest) = self.open(bytes)?;
        let created_at = Timestamp::from_plain(time)?;
        let rest = self.close(rest.get(text::push_string(rest, out)?..)?)?;
        Some((bytes.len() - rest.len(), created_at))
    }

    /// The time of the line at the start of `bytes`, and everything from its text on.
    #[inline]
    fn open<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let time = bytes.strip_prefix(self.prefix.as_slice())?;
        let (length, ascii) = text::plain_run(time.get(..=Timestamp::MAX).unwrap_or(time));
        let (time, rest) = time.split_at_checked(length)?;
        if !ascii || length > Timestamp::MAX {
            return None;
        }
        let rest = match self.shared.shape {
            Shape::Chat => rest.strip_prefix(CHAT)?,
            Shape::Generate => rest.strip_prefix(GENERATE)?,
            Shape::OpenAi | Shape::Other => return None,
        };
        Some((time, rest))
    }

    /// What follows the line; `rest` begins with the closing quote of its text.
    #[inline]
    fn close<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        match self.shared.shape {
            Shape::Chat => rest.strip_prefix(CHAT_END),
            Shape::Generate => rest.strip_prefix(GENERATE_END),
            Shape::OpenAi | Shape::Other => None,
        }
    }
}

/// The only shape that an ordinary `line` can have, by its end.
fn shape(line: &[u8]) -> Option<Shape> {
    if line.ends_with(CHAT_END) {
        Some(Shape::Chat)
    } else if line.ends_with(GENERATE_END) {
        Some(Shape::Generate)
    } else {
        None
    }
}

/// Everything up to the opening quote of the time, and the model.
fn beginning(line: &[u8]) -> Option<(&[u8], String)> {
    let start = b"{\"model\":\"";
    let mut model = String::new();
    let end = start.len() + text::push_string(line.strip_prefix(start)?, &mut model)?;
    line.get(end..)?.strip_prefix(TIME)?;
    Some((line.get(..end + TIME.len())?, model))
}

impl ContentLine<'_> {
    /// Whether the line has the fields `shared`.
    pub(super) fn fits(&self, shared: &SharedFields) -> bool {
        self.shape == shared.shape && self.model == shared.model
    }
}
