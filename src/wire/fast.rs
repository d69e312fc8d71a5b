//! The fast path: an ordinary content line read by what the lines before it looked like.
//!
//! In a stream of content lines only the time and the text change. What comes before the time is learned from the
//! first ordinary line that the strict path has read; the rest of the form is fixed. A line that matches all of it
//! byte for byte needs no JSON parser. Whatever does not match is none of this module's business: the strict path
//! reads it, and for lines that both can read, both give the same item.

use std::sync::Arc;

use super::chunk::Ordinary;
use super::text::{self, Content};
use super::{Shape, Stamp, Template};

const TIME: &[u8] = b"\",\"created_at\":\"";
const CHAT: &[u8] = b"\",\"message\":{\"role\":\"assistant\",\"content\":\"";
const CHAT_END: &[u8; 16] = b"\"},\"done\":false}";
const GENERATE: &[u8] = b"\",\"response\":\"";
const GENERATE_END: &[u8; 15] = b"\",\"done\":false}";

/// The form that ordinary lines of one stream have.
#[derive(Debug)]
pub struct Form {
    /// Everything up to the opening quote of the time.
    prefix: Vec<u8>,
    pub(super) template: Arc<Template>,
}

/// What a line says beyond its form. The text is not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varying<'a> {
    /// ASCII, without escapes.
    pub time: &'a [u8],
    pub text: Content<'a>,
}

impl Form {
    /// The form of `line`, which the strict path has read as an ordinary line of `template`.
    pub(super) fn learn(line: &[u8], template: &Arc<Template>) -> Option<Self> {
        let (prefix, model) = beginning(line)?;
        (model == template.model).then(|| Self {
            prefix: prefix.to_vec(),
            template: Arc::clone(template),
        })
    }

    /// The form of `line`, if it is an ordinary line and nothing else. The form fixes each byte between the strings, so
    /// what fits it needs no JSON parser to be known for one.
    pub fn of(line: &[u8]) -> Option<Self> {
        let shape = shape(line)?;
        let (prefix, model) = beginning(line)?;
        Some(Self {
            prefix: prefix.to_vec(),
            template: Arc::new(Template { shape, model }),
        })
        .filter(|form| form.whole(line, &mut Vec::new()).is_some())
    }

    /// The parts that all lines of this form have in common.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// What `line` says, if it is of this form to its last byte. `scratch` holds the text where it has escapes.
    #[inline]
    pub fn whole<'a>(&self, line: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<Varying<'a>> {
        let (time, rest) = self.open(line)?;
        let (text, length) = text::content(rest, scratch)?;
        let end = self.close(rest.get(length..)?)?;
        end.is_empty().then_some(Varying { time, text })
    }

    /// Reads the line at the start of `bytes`: appends its text to `out`, and returns its length and time.
    /// When it returns `None`, `out` may have grown.
    #[inline]
    pub(super) fn read(&self, bytes: &[u8], out: &mut String) -> Option<(usize, Stamp)> {
        let (time, rest) = self.open(bytes)?;
        let stamp = Stamp::from_plain(time)?;
        let rest = self.close(rest.get(text::push_string(rest, out)?..)?)?;
        Some((bytes.len() - rest.len(), stamp))
    }

    /// The time of the line at the start of `bytes`, and everything from its text on.
    #[inline]
    fn open<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let time = bytes.strip_prefix(self.prefix.as_slice())?;
        let (length, ascii) = text::plain_run(time.get(..=Stamp::MAX).unwrap_or(time));
        let (time, rest) = time.split_at_checked(length)?;
        if !ascii || length > Stamp::MAX {
            return None;
        }
        let rest = match self.template.shape {
            Shape::Chat => rest.strip_prefix(CHAT)?,
            Shape::Generate => rest.strip_prefix(GENERATE)?,
            Shape::OpenAi | Shape::Other => return None,
        };
        Some((time, rest))
    }

    /// What follows the line; `rest` begins with the closing quote of its text.
    #[inline]
    fn close<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        match self.template.shape {
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

impl Stamp {
    /// The longest time that is stored in place.
    pub const MAX: usize = 40;

    /// `time` as a stamp if it is short enough and needs no escape in JSON; `None` sends its line to a full delta.
    pub(super) fn new(time: &str) -> Option<Self> {
        let plain = text::plain_run(time.as_bytes()) == (time.len(), true);
        if plain {
            Self::from_plain(time.as_bytes())
        } else {
            None
        }
    }

    #[inline]
    fn from_plain(time: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..time.len())?.copy_from_slice(time);
        Some(Self {
            len: u8::try_from(time.len()).ok()?,
            bytes,
        })
    }

    /// The time as the server wrote it.
    pub fn as_str(&self) -> &str {
        let time = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(time).unwrap_or_default()
    }
}

impl Ordinary<'_> {
    /// Whether the line is one of `template`.
    pub(super) fn fits(&self, template: &Template) -> bool {
        self.shape == template.shape && self.model == template.model
    }
}
