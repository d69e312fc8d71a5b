//! Bytes of a reply in, deltas and answers out. No I/O, no runtime, no Python.
//!
//! A [`Decoder`] takes the body of a reply in pieces of any size and appends what each complete line says to a
//! [`Batch`]. Lines are split on the byte 0x0A only (never on Unicode line separators), SSE frames are unwrapped,
//! and an ordinary content line takes a fast path that is equal to the strict one. A [`Fold`] turns deltas into the
//! final [`Answer`] and knows whether the stream was complete.
//!
//! | file | what it does |
//! |---|---|
//! | `decoder` | one body, in pieces, to items: framing, then each line |
//! | `lines`, `sse` | bytes to lines; lines of an event stream to JSON texts |
//! | `fast` | an ordinary content line, read by its form |
//! | `chunk` | any other line, read by simd-json: the strict path |
//! | `careful` | what simd-json refuses although it is legal |
//! | `text` | the inside of a JSON string |
//! | `fold` | items to the answer |
//! | `circles` | whether a text ends with one block over and over |
//! | `floats`, `decimal` | a reply with vectors to one block of f32; decimal text to the nearest f32 or f64 |
//! | `value` | any JSON text to values of the caller's making |
//! | `last` | the lines of a whole body from its end, for `decode` |

mod careful;
mod chunk;
pub mod circles;
mod decimal;
mod decoder;
mod fast;
pub mod floats;
mod fold;
pub mod last;
mod lines;
mod sse;
mod text;
pub mod value;

use std::sync::Arc;

pub use decoder::Decoder;
pub use fast::{Form, Varying};
pub use fold::{Fold, fold_body};
pub use text::{Content, widen, widens};

/// How the body is framed. `Auto` decides by the first non-blank bytes (`data:` or `:` means SSE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Auto,
    Ndjson,
    Sse,
}

/// The default cap on one line, in bytes.
pub const MAX_LINE: usize = 64 << 20;

/// Which endpoint's shape a line had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// `message.content`: `/api/chat`.
    Chat,
    /// `response`, or what stands for it where an image is made: `/api/generate`.
    Generate,
    /// `choices[0].delta`: `/v1/chat/completions` and `/v1/completions`.
    OpenAi,
    /// Anything else that is a JSON object (progress of a pull, for one).
    #[default]
    Other,
}

/// Counts and durations (nanoseconds) of a final line; absent ones are `None` (ollama-wire.md 2.4, 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub total_duration: Option<u64>,
    pub load_duration: Option<u64>,
    pub prompt_eval_count: Option<u64>,
    pub prompt_eval_cached_count: Option<u64>,
    pub prompt_eval_duration: Option<u64>,
    pub eval_count: Option<u64>,
    pub eval_duration: Option<u64>,
}

impl Counters {
    /// Takes over what `new` says.
    pub fn update(&mut self, new: &Self) {
        self.total_duration = new.total_duration.or(self.total_duration);
        self.load_duration = new.load_duration.or(self.load_duration);
        self.prompt_eval_count = new.prompt_eval_count.or(self.prompt_eval_count);
        self.prompt_eval_cached_count = new
            .prompt_eval_cached_count
            .or(self.prompt_eval_cached_count);
        self.prompt_eval_duration = new.prompt_eval_duration.or(self.prompt_eval_duration);
        self.eval_count = new.eval_count.or(self.eval_count);
        self.eval_duration = new.eval_duration.or(self.eval_duration);
    }
}

/// What a line has in the place of its text: `message.content`, `response`, or what is `OpenAI`'s word for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// No such member, or null.
    #[default]
    Nothing,
    /// A text, or a list of texts.
    Text,
    /// A number, an object, a list with something else in it.
    Other,
}

/// What one line says when it is more than an ordinary piece of content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub shape: Shape,
    pub model: Option<String>,
    pub created_at: Option<String>,
    pub role: Option<String>,
    /// Where `content` comes from; it is empty unless that was a text.
    pub held: Held,
    pub content: String,
    pub thinking: String,
    /// One entry a call; the raw `line` is the authority on arguments.
    pub tool_calls: Vec<ToolCall>,
    pub done: bool,
    pub done_reason: Option<String>,
    pub counters: Counters,
    /// The text of a top-level `error` that says something: not null, false, zero or empty (nested JSON unwrapped, ollama-wire.md 5.1).
    pub error: Option<String>,
    /// The JSON of the line as it came, so that every field stays reachable. Empty for `[DONE]`.
    pub line: Vec<u8>,
}

impl Delta {
    /// Whether the line is part of an answer of the `wanted` shape (of any, if `None`), or ends one. The last line of an
    /// answer may say no more than that it is the last.
    pub fn is_answer(&self, wanted: Option<Shape>) -> bool {
        let silent =
            self.content.is_empty() && self.thinking.is_empty() && self.tool_calls.is_empty();
        match self.shape {
            shape if shape != Shape::Other && wanted.is_none_or(|wanted| wanted == shape) => true,
            Shape::Other => self.done && matches!(self.member("message"), None | Some("null")),
            _ => self.done && silent,
        }
    }

    /// Whether the line reports the progress of something that is no answer.
    pub fn is_progress(&self) -> bool {
        self.shape == Shape::Other && self.member("status").is_some_and(|status| status != "null")
    }

    /// The source of a top-level member of the line.
    fn member(&self, name: &str) -> Option<&str> {
        careful::member(std::str::from_utf8(&self.line).ok()?, name)
    }

    /// Why a line that is no part of the answer ends its reading, for people.
    pub fn refusal(&self) -> String {
        format!(
            "a line of the reply is neither part of the answer nor an error: {}",
            decoder::excerpt(&self.line)
        )
    }
}

/// A tool call. `arguments` is JSON text, whether it came as an object or as a string; empty if there were none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    pub id: Option<String>,
    /// The call's number within the answer, where the server counts.
    pub index: Option<u64>,
    pub name: String,
    pub arguments: String,
}

/// An RFC 3339 time of at most 40 bytes, stored in place so that an item owns no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub len: u8,
    pub bytes: [u8; 40],
}

/// The parts of an ordinary content line that repeat from line to line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub shape: Shape,
    pub model: String,
}

/// One decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An ordinary content line (`role` assistant, `done` false, nothing else in it): its text is
    /// `batch.text[previous end..end]`; shape and model are the batch's `template`.
    Text { end: usize, stamp: Stamp },
    /// Any other line. Its content is NOT in `batch.text`.
    Full(Box<Delta>),
}

/// What a number of lines said: the reusable output buffer of a [`Decoder`].
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The contents of the `Text` items, one after the other: valid UTF-8.
    pub text: String,
    pub items: Vec<Item>,
    /// Shape and model of the `Text` items; a line that differs is a `Full` item.
    pub template: Option<Arc<Template>>,
    /// Bytes held by the `Full` items.
    full_bytes: usize,
}

/// An item of a [`Batch`] together with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    Text { text: &'a str, stamp: &'a Stamp },
    Full(&'a Delta),
}

impl Batch {
    /// Empties the batch; memory and template stay.
    pub fn clear(&mut self) {
        self.text.clear();
        self.items.clear();
        self.full_bytes = 0;
    }

    /// Empties the batch, and gives back what a burst has blown up: hundreds of streams that wait hold little then.
    pub fn release(&mut self) {
        const ITEMS: usize = 128;
        const TEXT: usize = 8 << 10;
        self.clear();
        if self.items.capacity() > ITEMS {
            self.items = Vec::new();
        }
        if self.text.capacity() > TEXT {
            self.text = String::new();
        }
    }

    /// Drops all items but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.items.truncate(count);
        let text = self.items.iter().rev().find_map(|item| match item {
            Item::Text { end, .. } => Some(*end),
            Item::Full(_) => None,
        });
        self.text.truncate(text.unwrap_or(0));
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Roughly how much memory the items hold.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.items.len() * size_of::<Item>() + self.full_bytes
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut start = 0;
        self.items.iter().map(move |item| match item {
            Item::Text { end, stamp } => {
                let text = self.text.get(start..*end).unwrap_or_default();
                start = *end;
                Entry::Text { text, stamp }
            }
            Item::Full(delta) => Entry::Full(delta),
        })
    }

    /// Moves the items of `other` to the end of this batch. Both keep their memory. The two must come from one decoder,
    /// or hold no `Text` items of different templates.
    pub fn append(&mut self, other: &mut Self) {
        if self.items.is_empty() {
            self.clear();
            std::mem::swap(self, other);
            other.template.clone_from(&self.template);
            return;
        }
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.items
            .extend(other.items.drain(..).map(|item| match item {
                Item::Text { end, stamp } => Item::Text {
                    end: end + shift,
                    stamp,
                },
                full @ Item::Full(_) => full,
            }));
        self.full_bytes += other.full_bytes;
        if self.template.is_none() {
            self.template.clone_from(&other.template);
        }
        other.clear();
    }

    pub fn push_full(&mut self, delta: Delta) {
        self.full_bytes +=
            size_of::<Delta>() + delta.line.len() + delta.content.len() + delta.thinking.len();
        self.items.push(Item::Full(Box::new(delta)));
    }

    /// Whether `Text` items of `template` can go in here; an empty batch takes any.
    #[inline]
    fn takes(&mut self, template: &Arc<Template>) -> bool {
        match &self.template {
            Some(own) if Arc::ptr_eq(own, template) => true,
            Some(own) if !self.items.is_empty() && own != template => false,
            _ => {
                self.template = Some(Arc::clone(template));
                true
            }
        }
    }

    /// Makes an item of what was appended to `text` since the last one.
    #[inline]
    fn end_text(&mut self, stamp: Stamp) {
        self.items.push(Item::Text {
            end: self.text.len(),
            stamp,
        });
    }
}

/// A body that cannot be read on. What came before it is good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("line {line_number} of the reply is longer than {limit} bytes")]
    LineTooLong { line_number: u64, limit: usize },
    #[error("line {line_number} of the reply is no JSON (at byte {position}): {excerpt}")]
    NotJson {
        line_number: u64,
        position: usize,
        excerpt: String,
    },
    #[error("line {line_number} of the reply is not UTF-8 (at byte {position})")]
    NotUtf8 { line_number: u64, position: usize },
    #[error("line {line_number} of the reply is JSON but no object: {excerpt}")]
    NotObject { line_number: u64, excerpt: String },
}

/// What a whole reply said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub shape: Shape,
    /// Whether any line had a text, if only an empty one.
    pub has_text: bool,
    pub content: String,
    pub thinking: String,
    pub tool_calls: Vec<ToolCall>,
    pub role: Option<String>,
    pub model: Option<String>,
    /// The time of the last line that had one.
    pub created_at: Option<String>,
    pub done_reason: Option<String>,
    pub counters: Counters,
    pub outcome: Outcome,
    /// The JSON of the last line that was more than a piece of text: the `done: true` line of a complete native
    /// reply, the last chunk before `[DONE]`, the error line of a failed one.
    pub last_line: Vec<u8>,
    /// The JSON of the first line with something else in the place of its text.
    pub odd_line: Vec<u8>,
    /// The JSON of each line with tool calls.
    pub tool_lines: Vec<Vec<u8>>,
}

/// How a reply ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// `done: true`, or `[DONE]`.
    Complete,
    /// Neither.
    #[default]
    Truncated,
    /// An error line; its text.
    Failed(String),
}
