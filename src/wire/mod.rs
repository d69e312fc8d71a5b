//! Bytes of a reply in, deltas and answers out. No I/O, no runtime, no Python.
//!
//! A [`Decoder`] takes the body of a reply in pieces of any size and appends what each complete line says to a
//! [`Batch`]. Lines are split on the byte 0x0A only (never on Unicode line separators), SSE frames are unwrapped,
//! and an ordinary content line takes a fast path that is equal to the strict one. A [`Fold`] turns deltas into the
//! final [`Answer`] and knows whether the stream was complete.

pub mod last;

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
    /// `response`: `/api/generate`.
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

/// What one line says when it is more than an ordinary piece of content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub shape: Shape,
    pub model: Option<String>,
    pub created_at: Option<String>,
    pub role: Option<String>,
    pub content: String,
    pub thinking: String,
    /// One entry a call; the raw `line` is the authority on arguments.
    pub tool_calls: Vec<ToolCall>,
    pub done: bool,
    pub done_reason: Option<String>,
    pub counters: Counters,
    /// The text of a top-level `error` that is neither null nor empty (nested JSON unwrapped, ollama-wire.md 5.1).
    pub error: Option<String>,
    /// The JSON of the line as it came, so that every field stays reachable. Empty for `[DONE]`.
    pub line: Vec<u8>,
}

/// A complete tool call. `arguments` is JSON text, whether it came as an object or as a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    pub id: Option<String>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub template: Option<std::sync::Arc<Template>>,
}
