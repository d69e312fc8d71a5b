//! What a whole reply said: the sum of its deltas.
//!
//! ```text
//! {"response":"Hel","done":false}
//! {"response":"lo","done":true,"done_reason":"stop"}  ->  content "Hello", done_reason "stop", Outcome::Complete
//! ```

use super::delta::{Shape, ToolCall};
use crate::wire::counters::Counters;

/// What a whole reply said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub shape: Shape,
    /// Whether any line had a text, be it empty.
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
    /// The JSON of the last line that was no content line: the `done: true` line of a complete native reply, the last
    /// line before `[DONE]`, the error line of a failed reply.
    pub last_line: Vec<u8>,
    /// The JSON of the first line that had a number or an object where its text belongs.
    pub non_text_line: Vec<u8>,
    /// The JSON of each line with tool calls.
    pub tool_lines: Vec<Vec<u8>>,
}

/// How a reply ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// `done: true`, or `[DONE]`.
    Complete,
    /// Neither of them, and no error.
    #[default]
    Truncated,
    /// With an error line, whose text this is.
    Failed(String),
}
