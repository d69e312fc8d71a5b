//! What one line of a stream says, decoded: a delta of the answer.
//!
//! ```text
//! {"message":{"role":"assistant","content":"Hi"},"done":false}  ->  Shape::Chat, content "Hi", not done
//! {"status":"success"}                                          ->  Shape::Other, a report of progress
//! ```

use crate::wire::counters::Counters;
use crate::wire::excerpt::excerpt;
use crate::wire::json::lenient;

/// Which endpoint's shape a line had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// `message.content`: `/api/chat`.
    Chat,
    /// `response`, or what stands for it where an image is made: `/api/generate`.
    Generate,
    /// `choices[0].delta` or `choices[0].text`: `/v1/chat/completions` and `/v1/completions`.
    OpenAi,
    /// Anything else that is a JSON object (progress of a pull, for one).
    #[default]
    Other,
}

/// What a line has in the place of its text: `message.content`, `response`, or the member of a choice that stands for
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextMember {
    /// No such member, or null.
    #[default]
    Absent,
    /// A text, or a list of texts.
    Text,
    /// A number, an object, a list with something else in it.
    NotText,
}

/// What one line says that is no content line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub shape: Shape,
    pub model: Option<String>,
    pub created_at: Option<String>,
    pub role: Option<String>,
    /// Where `content` comes from; it is empty unless that was a text.
    pub text_member: TextMember,
    pub content: String,
    pub thinking: String,
    /// One entry a call, or a piece of a call. Whoever needs the exact arguments takes them from `line`.
    pub tool_calls: Vec<ToolCall>,
    pub done: bool,
    pub done_reason: Option<String>,
    pub counters: Counters,
    /// The text of a top-level `error` that says something: not null, false, zero or empty. JSON inside the text is
    /// unwrapped (docs/wire.md#10-bodies-of-refusals).
    pub error: Option<String>,
    /// The JSON of the line as it came, so that every field stays reachable. Empty for `[DONE]`.
    pub line: Vec<u8>,
}

impl Delta {
    /// Whether the line is part of an answer of the `wanted` shape (of any, if `None`), or ends one. The last line of
    /// an answer may say no more than that it is the last.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Delta, Shape};
    ///
    /// let delta = Delta { shape: Shape::Chat, ..Delta::default() };
    /// assert!(delta.is_answer(None) && delta.is_answer(Some(Shape::Chat)));
    /// assert!(!delta.is_answer(Some(Shape::Generate)));
    /// ```
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
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Delta;
    ///
    /// let line = br#"{"status":"pulling manifest"}"#.to_vec();
    /// assert!(Delta { line, ..Delta::default() }.is_progress());
    /// ```
    pub fn is_progress(&self) -> bool {
        self.shape == Shape::Other && self.member("status").is_some_and(|status| status != "null")
    }

    /// Whether the line says that it is the last one, or that it is not: with `done`, or in `OpenAI`'s form.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Delta;
    ///
    /// let delta = |line: &str| Delta { line: line.as_bytes().to_vec(), ..Delta::default() };
    /// assert!(delta(r#"{"response":"Hi","done":false}"#).says_done());
    /// assert!(!delta(r#"{"response":"Hi"}"#).says_done());
    /// ```
    pub fn says_done(&self) -> bool {
        self.done || self.member("done").is_some() || self.member("choices").is_some()
    }

    /// The source of a top-level member of the line.
    fn member(&self, name: &str) -> Option<&str> {
        lenient::member(std::str::from_utf8(&self.line).ok()?, name)
    }

    /// The message of the error for a line that is no part of the answer.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Delta;
    ///
    /// let delta = Delta { line: b"{\"a\":1}".to_vec(), ..Delta::default() };
    /// assert!(delta.refusal().ends_with("neither part of the answer nor an error: {\"a\":1}"));
    /// ```
    pub fn refusal(&self) -> String {
        format!(
            "a line of the reply is neither part of the answer nor an error: {}",
            excerpt(&self.line)
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
