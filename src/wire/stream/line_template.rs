//! The fast path of the decoder: a content line read by what the lines before it looked like.
//!
//! In a stream of content lines only the time and the text change. [`LineTemplate`] is the rest: for the line
//!
//! ```json
//! {"model":"m","created_at":"2026-08-21T17:00:05.1Z","message":{"role":"assistant","content":"Hel"},"done":false}
//! ```
//!
//! it keeps the bytes `{"model":"m","created_at":"` and the shape `Chat`, which fixes all bytes between the time and
//! the text and all bytes after the text. A line that matches the template byte for byte needs no JSON parser. Any
//! other line is left to the strict path; for lines that both paths can read, both give the same item.

use std::sync::Arc;

use super::content_line::{
    AFTER_CHAT_TEXT, AFTER_GENERATE_TEXT, BEFORE_CHAT_TEXT, BEFORE_CREATED_AT,
    BEFORE_GENERATE_TEXT, BEFORE_MODEL, SharedFields, Timestamp,
};
use super::delta::Shape;
use crate::wire::json::plain_run::plain_run;
use crate::wire::json::string::{JsonString, push_string, read_string};

/// What the content lines of one stream have in common.
#[derive(Debug)]
pub struct LineTemplate {
    /// Everything up to the opening quote of the time.
    prefix: Vec<u8>,
    pub(super) shared: Arc<SharedFields>,
}

/// What a content line says beyond its template. The text is not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaryingFields<'a> {
    /// ASCII, without escapes.
    pub created_at: &'a [u8],
    pub text: JsonString<'a>,
}

impl LineTemplate {
    /// The template of `line`, which the strict path has read as a content line with the fields `shared`. `None` if its
    /// members stand in another order, or with white space between them.
    pub(super) fn learn(line: &[u8], shared: &Arc<SharedFields>) -> Option<Self> {
        let (prefix, model) = split_prefix(line)?;
        (model == shared.model).then(|| Self {
            prefix: prefix.to_vec(),
            shared: Arc::clone(shared),
        })
    }

    /// The template of `line`, if it is a content line and nothing else. The template fixes each byte between the
    /// strings, so a line that matches it is JSON, and no parser is needed to find that out.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{LineTemplate, Shape};
    ///
    /// let line = br#"{"model":"m","created_at":"2026-08-21T17:00:05Z","response":"Hel","done":false}"#;
    /// let template = LineTemplate::of(line).unwrap();
    /// assert_eq!(template.shared().shape, Shape::Generate);
    /// assert!(LineTemplate::of(br#"{"model":"m","response":"","done":true}"#).is_none());
    /// ```
    pub fn of(line: &[u8]) -> Option<Self> {
        let shape = shape_by_end(line)?;
        let (prefix, model) = split_prefix(line)?;
        Some(Self {
            prefix: prefix.to_vec(),
            shared: Arc::new(SharedFields { shape, model }),
        })
        .filter(|template| template.match_line(line, &mut Vec::new()).is_some())
    }

    /// The fields that all lines of this template have in common.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::LineTemplate;
    ///
    /// let line = br#"{"model":"m","created_at":"2026","response":"Hel","done":false}"#;
    /// assert_eq!(LineTemplate::of(line).unwrap().shared().model, "m");
    /// ```
    pub fn shared(&self) -> &SharedFields {
        &self.shared
    }

    /// What `line` says, if it matches the template to its last byte. `scratch` is memory for a text with escapes.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::LineTemplate;
    ///
    /// let line = |text| format!(r#"{{"model":"m","created_at":"2026","response":"{text}","done":false}}"#);
    /// let template = LineTemplate::of(line("Hel").as_bytes()).unwrap();
    /// let (next, mut scratch) = (line(r"lo\n"), Vec::new());
    /// let varying = template.match_line(next.as_bytes(), &mut scratch).unwrap();
    /// assert_eq!((varying.created_at, varying.text.bytes), (&b"2026"[..], &b"lo\n"[..]));
    /// ```
    #[inline]
    pub fn match_line<'a>(
        &self,
        line: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Option<VaryingFields<'a>> {
        let (created_at, rest) = self.match_before_text(line)?;
        let (text, length) = read_string(rest, scratch)?;
        let end = self.match_after_text(rest.get(length..)?)?;
        end.is_empty().then_some(VaryingFields { created_at, text })
    }

    /// Reads the line at the start of `bytes`: appends its text to `out`, and returns its length and time.
    /// When it returns `None`, `out` may have grown.
    #[inline]
    pub(super) fn read(&self, bytes: &[u8], out: &mut String) -> Option<(usize, Timestamp)> {
        let (time, rest) = self.match_before_text(bytes)?;
        let created_at = Timestamp::from_plain(time)?;
        let rest = self.match_after_text(rest.get(push_string(rest, out)?..)?)?;
        Some((bytes.len() - rest.len(), created_at))
    }

    /// The time of the line at the start of `bytes`, and everything from its text on.
    #[inline]
    fn match_before_text<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let time = bytes.strip_prefix(self.prefix.as_slice())?;
        let (length, ascii) = plain_run(time.get(..=Timestamp::MAX).unwrap_or(time));
        let (time, rest) = time.split_at_checked(length)?;
        if !ascii || length > Timestamp::MAX {
            return None;
        }
        let rest = match self.shared.shape {
            Shape::Chat => rest.strip_prefix(BEFORE_CHAT_TEXT)?,
            Shape::Generate => rest.strip_prefix(BEFORE_GENERATE_TEXT)?,
            Shape::OpenAi | Shape::Other => return None,
        };
        Some((time, rest))
    }

    /// What follows the line; `rest` begins with the closing quote of its text.
    #[inline]
    fn match_after_text<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        match self.shared.shape {
            Shape::Chat => rest.strip_prefix(AFTER_CHAT_TEXT),
            Shape::Generate => rest.strip_prefix(AFTER_GENERATE_TEXT),
            Shape::OpenAi | Shape::Other => None,
        }
    }
}

/// The only shape that `line` can have if it is a content line, by its end.
fn shape_by_end(line: &[u8]) -> Option<Shape> {
    if line.ends_with(AFTER_CHAT_TEXT) {
        Some(Shape::Chat)
    } else if line.ends_with(AFTER_GENERATE_TEXT) {
        Some(Shape::Generate)
    } else {
        None
    }
}

/// Everything up to the opening quote of the time, and the model.
fn split_prefix(line: &[u8]) -> Option<(&[u8], String)> {
    let mut model = String::new();
    let end = BEFORE_MODEL.len() + push_string(line.strip_prefix(BEFORE_MODEL)?, &mut model)?;
    line.get(end..)?.strip_prefix(BEFORE_CREATED_AT)?;
    Some((line.get(..end + BEFORE_CREATED_AT.len())?, model))
}
