//! Deltas to the answer, and whether the answer is complete.
//!
//! The texts `Hel` and `lo` of two content lines and the delta of `{"response":"","done":true,"eval_count":3}` are an
//! answer with the content `Hello`, the outcome `Complete` and three tokens.

use std::collections::HashMap;

use super::answer::{Answer, Outcome};
use super::batch::{Batch, Item};
use super::content_line::Timestamp;
use super::decoder::Decoder;
use super::delta::{Delta, Shape, TextMember, ToolCall};
use super::error::WireError;
use super::format::{MAX_LINE, StreamFormat};

/// Adds up what a stream says. After `done: true` only an error still counts, and after an error nothing does.
///
/// ```
/// use metagpt_ollama_rs::wire::{Delta, Fold, Outcome};
///
/// let mut fold = Fold::new();
/// fold.add_text("Hel");
/// fold.add_delta(&Delta { content: "lo".to_owned(), done: true, ..Delta::default() });
/// assert_eq!(fold.content(), "Hello");
/// assert_eq!(fold.finish().outcome, Outcome::Complete);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Fold {
    answer: Answer,
    /// Where in `answer.tool_calls` the last call with each index stands.
    calls: HashMap<u64, usize>,
}

impl Fold {
    /// An answer of which nothing has come.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Fold;
    ///
    /// assert_eq!(Fold::new().content(), "");
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of a content line.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Fold;
    ///
    /// let mut fold = Fold::new();
    /// fold.add_text("Hel");
    /// fold.add_text("lo");
    /// assert_eq!(fold.content(), "Hello");
    /// ```
    pub fn add_text(&mut self, text: &str) {
        if self.is_open() {
            self.answer.content.push_str(text);
        }
    }

    /// Adds a line that is no content line.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Delta, Fold, Outcome};
    ///
    /// let mut fold = Fold::new();
    /// fold.add_delta(&Delta { error: Some("out of memory".to_owned()), ..Delta::default() });
    /// assert_eq!(fold.finish().outcome, Outcome::Failed("out of memory".to_owned()));
    /// ```
    pub fn add_delta(&mut self, delta: &Delta) {
        if matches!(self.answer.outcome, Outcome::Failed(_)) {
            return;
        }
        if let Some(error) = &delta.error {
            self.answer.outcome = Outcome::Failed(error.clone());
            self.answer.last_line.clone_from(&delta.line);
            return;
        }
        if !self.is_open() {
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
        // A server that loses an error sends an empty model name on its last line.
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
            self.add_call(call);
        }
        let answer = &mut self.answer;
        if !delta.line.is_empty() {
            answer.last_line.clone_from(&delta.line);
        }
        if delta.done {
            answer.outcome = Outcome::Complete;
        }
    }

    /// Adds all items of a batch.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta, Fold};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta { content: "Hello".to_owned(), ..Delta::default() });
    /// let mut fold = Fold::new();
    /// fold.add_batch(&batch);
    /// assert_eq!(fold.content(), "Hello");
    /// ```
    pub fn add_batch(&mut self, batch: &Batch) {
        let mut last: Option<&Timestamp> = None;
        let mut start = 0;
        for item in &batch.items {
            match item {
                Item::Content { end, created_at } => {
                    self.add_text(batch.text.get(start..*end).unwrap_or_default());
                    start = *end;
                    if self.is_open() {
                        last = Some(created_at);
                    }
                }
                Item::Delta(delta) => {
                    self.add_fields_of_content_lines(batch, last.take());
                    self.add_delta(delta);
                }
            }
        }
        self.add_fields_of_content_lines(batch, last);
    }

    /// Adds what content lines say beside their text; `last` is the time of the last of them.
    fn add_fields_of_content_lines(&mut self, batch: &Batch, last: Option<&Timestamp>) {
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
    fn add_call(&mut self, call: &ToolCall) {
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

    /// The text that has come.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Fold;
    ///
    /// let mut fold = Fold::new();
    /// fold.add_text("Hel");
    /// assert_eq!(fold.content(), "Hel");
    /// ```
    pub fn content(&self) -> &str {
        &self.answer.content
    }

    /// Whether neither an end nor an error has come.
    fn is_open(&self) -> bool {
        self.answer.outcome == Outcome::Truncated
    }

    /// The answer.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Fold, Outcome};
    ///
    /// assert_eq!(Fold::new().finish().outcome, Outcome::Truncated);
    /// ```
    pub fn finish(self) -> Answer {
        self.answer
    }
}

fn replace(old: &mut Option<String>, new: Option<&String>) {
    if new.is_some() {
        *old = new.cloned();
    }
}

/// Folds a whole body, streamed or not. The error, if there is one, is why the reading stopped; the answer holds what
/// came before it.
///
/// ```
/// use metagpt_ollama_rs::wire::fold_body;
///
/// let (answer, result) = fold_body(br#"{"message":{"role":"assistant","content":"Hello"},"done":true}"#);
/// assert_eq!((answer.content.as_str(), result), ("Hello", Ok(())));
/// ```
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
    fold.add_batch(&batch);
    (fold.finish(), result)
}
