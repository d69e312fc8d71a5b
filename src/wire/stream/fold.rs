//! Deltas to the answer, and whether it is one.

use std::collections::HashMap;

use super::answer::{Answer, Outcome};
use super::batch::{Batch, Item};
use super::content_line::Timestamp;
use super::decoder::Decoder;
use super::delta::{Delta, Shape, TextMember, ToolCall};
use super::error::WireError;
use super::format::{MAX_LINE, StreamFormat};

/// Adds up what a stream says. What comes after `done: true` is ignored, unless it is an error; after an error
/// everything is.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    answer: Answer,
    /// The place of the last call with each index.
    calls: HashMap<u64, usize>,
}

impl Fold {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of a content line.
    pub fn text(&mut self, text: &str) {
        if self.open() {
            self.answer.content.push_str(text);
        }
    }

    /// Adds a line that is more than that.
    pub fn delta(&mut self, delta: &Delta) {
        if matches!(self.answer.outcome, Outcome::Failed(_)) {
            return;
        }
        if let Some(error) = &delta.error {
            self.answer.outcome = Outcome::Failed(error.clone());
            self.answer.last_line.clone_from(&delta.line);
            return;
        }
        if !self.open() {
            return;
        }
        let answer = &mut self.answer;
        answer.has_text |= delta.text_member == TextMember::Text;
        if delta.text_member == TextMember::NotText && answer.non_text_line.is_empty() {
            answer.non_text_line.clone_from(&delta.line);
        }
        answer.content.push_str(&delta.content);
        answer.thinking.push_str(&delta.thinking);
        if answer.shape == Shape::Other {
            answer.shape = delta.shape;
        }
        // A server that loses an error sends an empty model name on its last chunk.
        replace(
            &mut answer.model,
            delta.model.as_ref().filter(|model| !model.is_empty()),
        );
        replace(&mut answer.role, delta.role.as_ref());
        replace(&mut answer.created_at, delta.created_at.as_ref());
        replace(&mut answer.done_reason, delta.done_reason.as_ref());
        answer.counters.update(&delta.counters);
        if !delta.tool_calls.is_empty() {
            answer.tool_lines.push(delta.line.clone());
        }
        for call in &delta.tool_calls {
            self.call(call);
        }
        let answer = &mut self.answer;
        if !delta.line.is_empty() {
            answer.last_line.clone_from(&delta.line);
        }
        if delta.done {
            answer.outcome = Outcome::Complete;
        }
    }

    /// Adds all of a batch.
    pub fn batch(&mut self, batch: &Batch) {
        let mut last: Option<&Timestamp> = None;
        let mut start = 0;
        for item in &batch.items {
            match item {
                Item::Content { end, created_at } => {
                    self.text(batch.text.get(start..*end).unwrap_or_default());
                    start = *end;
                    if self.open() {
                        last = Some(created_at);
                    }
                }
                Item::Delta(delta) => {
                    self.content_lines(batch, last.take());
                    self.delta(delta);
                }
            }
        }
        self.content_lines(batch, last);
    }

    /// What content lines say beside their text; the time is that of the last of them.
    fn content_lines(&mut self, batch: &Batch, last: Option<&Timestamp>) {
        let (Some(created_at), Some(shared)) = (last, &batch.shared) else {
            return;
        };
        let answer = &mut self.answer;
        answer.has_text = true;
        if answer.shape == Shape::Other {
            answer.shape = shared.shape;
        }
        if shared.shape == Shape::Chat && answer.role.is_none() {
            answer.role = Some("assistant".to_owned());
        }
        if !shared.model.is_empty() && answer.model.as_ref() != Some(&shared.model) {
            answer.model = Some(shared.model.clone());
        }
        answer.created_at = Some(created_at.as_str().to_owned());
    }

    /// Adds a call. Ollama sends whole calls; other servers send the arguments in pieces, where a piece after the first
    /// has the call's index but no name.
    fn call(&mut self, call: &ToolCall) {
        let calls = &mut self.answer.tool_calls;
        let begun = match call.index {
            _ if !call.name.is_empty() => None,
            None => calls.last_mut(),
            Some(index) => self.calls.get(&index).and_then(|at| calls.get_mut(*at)),
        };
        if let Some(begun) = begun {
            begun.arguments.push_str(&call.arguments);
            return;
        }
        if let Some(index) = call.index {
            self.calls.insert(index, calls.len());
        }
        calls.push(call.clone());
    }

    /// The text so far.
    pub fn content(&self) -> &str {
        &self.answer.content
    }

    fn open(&self) -> bool {
        self.answer.outcome == Outcome::Truncated
    }

    pub fn finish(self) -> Answer {
        self.answer
    }
}

fn replace(old: &mut Option<String>, new: Option<&String>) {
    if new.is_some() {
        *old = new.cloned();
    }
}

/// Folds a whole body, streamed or not. The error, if any, is why reading stopped; the answer holds what came before.
pub fn fold_body(body: &[u8]) -> (Answer, Result<(), WireError>) {
    let (answer, result) = fold_lines(body);
    if !matches!(result, Err(WireError::NotJson { .. })) || answer != Answer::default() {
        return (answer, result);
    }
    // A proxy may have indented the object of a reply over many lines: without line ends it is one line.
    let joined: Vec<u8> = body
        .iter()
        .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
        .collect();
    match fold_lines(&joined) {
        (whole, Ok(())) => (whole, Ok(())),
        _ => (answer, result),
    }
}

fn fold_lines(body: &[u8]) -> (Answer, Result<(), WireError>) {
    let mut decoder = Decoder::new(StreamFormat::Auto, MAX_LINE.max(body.len()));
    let mut batch = Batch::default();
    let result = decoder
        .feed(body, &mut batch)
        .and_then(|()| decoder.finish(&mut batch));
    let mut fold = Fold::new();
    fold.batch(&batch);
    (fold.finish(), result)
}
