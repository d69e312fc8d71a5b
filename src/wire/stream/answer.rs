//! What a whole reply said.

use super::delta::{Shape, ToolCall};
use crate::wire::counters::Counters;

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
    pub non_text_line: Vec<u8>,
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
