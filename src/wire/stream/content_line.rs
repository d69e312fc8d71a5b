//! The shape of a content line: a line of a stream that has a piece of the answer's text, and nothing else to say.
//!
//! Nearly all lines of a stream are content lines. `/api/chat` and `/api/generate` write them so:
//!
//! ```json
//! {"model":"m","created_at":"2026-08-21T17:00:05.1Z","message":{"role":"assistant","content":"Hel"},"done":false}
//! {"model":"m","created_at":"2026-08-21T17:00:05.1Z","response":"Hel","done":false}
//! ```
//!
//! The shape is known here and nowhere else in `wire`: as the bytes between the strings, for [`LineTemplate`], which
//! needs no parser, and as the members of a parsed object, in any order. The Python objects of such lines are made in
//! `src/py/objects/content_line.rs` (dicts) and `slot_layout.rs` (objects with slots).
//!
//! [`LineTemplate`]: super::line_template::LineTemplate

use super::delta::Shape;
use super::tape::TapeValue;
use crate::wire::json::plain_run::plain_run;

/// The bytes up to the model, which begin every content line.
pub(super) const BEFORE_MODEL: &[u8] = b"{\"model\":\"";
/// The bytes between the model and the time.
pub(super) const BEFORE_CREATED_AT: &[u8] = b"\",\"created_at\":\"";
/// The bytes between the time and the text in a line of `/api/chat`, and the bytes after the text.
pub(super) const BEFORE_CHAT_TEXT: &[u8] = b"\",\"message\":{\"role\":\"assistant\",\"content\":\"";
pub(super) const AFTER_CHAT_TEXT: &[u8; 16] = b"\"},\"done\":false}";
/// The same of a line of `/api/generate`.
pub(super) const BEFORE_GENERATE_TEXT: &[u8] = b"\",\"response\":\"";
pub(super) const AFTER_GENERATE_TEXT: &[u8; 15] = b"\",\"done\":false}";

/// The fields of content lines that are the same on all lines of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedFields {
    /// `Chat` or `Generate`: where the text stands, in `message.content` or in `response`.
    pub shape: Shape,
    pub model: String,
}

/// An RFC 3339 time of at most 40 bytes, stored in place so that an item owns no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    pub len: u8,
    pub bytes: [u8; Timestamp::MAX],
}

impl Timestamp {
    /// The longest time that is stored in place.
    pub const MAX: usize = 40;

    /// `time` if it is short enough and needs no escape in JSON. A line with any other time is no content line.
    pub(super) fn new(time: &str) -> Option<Self> {
        let plain = plain_run(time.as_bytes()) == (time.len(), true);
        if plain {
            Self::from_plain(time.as_bytes())
        } else {
            None
        }
    }

    /// `time`, which is ASCII without characters that JSON escapes, if it is short enough.
    #[inline]
    pub(super) fn from_plain(time: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..time.len())?.copy_from_slice(time);
        Some(Self {
            len: u8::try_from(time.len()).ok()?,
            bytes,
        })
    }

    /// The time as the server wrote it.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Decoder, ItemRef, MAX_LINE, StreamFormat};
    ///
    /// let line = b"{\"model\":\"m\",\"created_at\":\"2026\",\"response\":\"Hel\",\"done\":false}\n";
    /// let mut batch = Batch::default();
    /// Decoder::new(StreamFormat::Auto, MAX_LINE).feed(line, &mut batch).unwrap();
    /// let Some(ItemRef::Content { created_at, .. }) = batch.iter().next() else {
    ///     panic!("no content line");
    /// };
    /// assert_eq!(created_at.as_str(), "2026");
    /// ```
    pub fn as_str(&self) -> &str {
        let time = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(time).unwrap_or_default()
    }
}

/// What a content line says.
pub(super) struct ContentLine<'a> {
    pub shape: Shape,
    pub model: &'a str,
    pub content: &'a str,
    pub created_at: Timestamp,
}

impl<'i> ContentLine<'i> {
    /// The parsed `line` as a content line, if it is one.
    pub fn of(line: TapeValue<'_, 'i>) -> Option<Self> {
        if line.size() != 4 {
            return None;
        }
        let (mut model, mut created_at, mut shape, mut content, mut open) =
            (None, None, Shape::Other, None, false);
        for (key, value) in line.members() {
            match key {
                "model" => model = value.str(),
                "created_at" => created_at = value.str().and_then(Timestamp::new),
                "message" => {
                    shape = Shape::Chat;
                    let plain = value.size() == 2
                        && value.get("role").and_then(TapeValue::str) == Some("assistant");
                    content = if plain {
                        value.get("content").and_then(TapeValue::str)
                    } else {
                        None
                    };
                }
                "response" => {
                    shape = Shape::Generate;
                    content = value.str();
                }
                "done" => open = value.is_false(),
                _ => return None,
            }
        }
        // Four members and all four of them found: no key came twice.
        let line = Self {
            shape,
            model: model?,
            content: content?,
            created_at: created_at?,
        };
        open.then_some(line)
    }

    /// Whether the line has the fields `shared`.
    pub fn has(&self, shared: &SharedFields) -> bool {
        self.shape == shared.shape && self.model == shared.model
    }
}
