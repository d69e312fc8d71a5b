//! What becomes of the pieces of a body: decoded items, or raw lines.
//!
//! ```text
//! piece:            {"response":"He","done":false}\n\n{"response":"
//! piece:            y","done":false}\n
//! DeltaSink makes:  a delta with the text "He", a delta with the text "y"
//! RawLineSink:      {"response":"He","done":false}  {"response":"y","done":false}
//! ```

use std::mem;

use memchr::memchr_iter;

use super::refusal;
use super::repetition::repetition_error;
use super::resumption::Completed;
use crate::error::{Cause, Error, Kind};
use crate::inbox::Inbox;
use crate::stats::ReplyEnd;
use crate::wire::repetition::RepetitionGuard;
use crate::wire::{
    Batch, Decoder, Delta, Item, Shape, StreamFormat, TextMember, WireError, fold_body,
};

/// What a pump puts into the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpMode {
    /// The pump puts decoded items into the inbox.
    Deltas,
    /// The pump puts decoded items into the inbox. A line of an answer of another shape is an error, because the reader can
    /// make nothing of it.
    Records(Shape),
    /// The pump puts raw lines without their newline into the inbox, blank ones left out. Nothing is decoded or checked:
    /// the reader brings its own decoder.
    RawLines,
}

/// Takes the pieces of a body, and hands what becomes of them to the reader of an inbox.
pub(super) trait Sink {
    /// Takes the next piece. After an error no more pieces may come; what was made of those before it is good.
    fn feed(&mut self, piece: &[u8]) -> Result<(), Error>;

    /// The body has ended: what stands after the last newline is a line, too.
    fn finish(&mut self) -> Result<(), Error>;

    /// Pushes what has become of the pieces into `inbox`.
    fn flush(&mut self, inbox: &Inbox);

    /// Whether the reply's last line has come.
    fn is_done(&self) -> bool;

    /// Whether the last line that has come may only be followed by the end of the body.
    fn has_succeeded(&self) -> bool;

    /// What the last lines say about the reply.
    fn reply_end(&self) -> ReplyEnd;

    /// The error of a body that ends here too early, if it does.
    fn check_complete(&self) -> Result<(), Error>;
}

/// Which lines a stream may have. Any other line is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedLines {
    /// The stream may have whatever lines the server sends.
    Any,
    /// The lines must be parts of an answer: of this shape, or of any.
    Answer(Option<Shape>),
    /// The lines must be reports of progress, whose last line has the status `success` instead of `done`.
    Progress,
}

/// Turns the pieces of a body into decoded items.
pub(super) struct DeltaSink {
    decoder: Decoder,
    batch: Batch,
    expected: ExpectedLines,
    done: bool,
    /// Whether any line says that it is the last one or that it is not; `None` before the first line. Ollama's all do.
    says_done: Option<bool>,
    /// Whether the last line of a report of progress has the status `success`.
    succeeded: bool,
    /// How far each blob has come, by the reports of progress.
    completed: Completed,
    end: ReplyEnd,
    repetition_guard: Option<Box<RepetitionGuard>>,
}

impl DeltaSink {
    pub(super) fn new(max_line: usize, expected: ExpectedLines, guarded: bool) -> Self {
        let decoder = Decoder::new(StreamFormat::Auto, max_line);
        Self {
            decoder,
            batch: Batch::default(),
            expected,
            done: false,
            says_done: None,
            succeeded: false,
            completed: Completed::new(),
            end: ReplyEnd::default(),
            repetition_guard: guarded.then(Box::default),
        }
    }

    /// How far each blob has come, by the reports of progress.
    pub(super) fn into_completed(self) -> Completed {
        self.completed
    }

    /// Decodes, then looks for the last line and for error lines among what is new.
    fn decode(
        &mut self,
        work: impl FnOnce(&mut Decoder, &mut Batch) -> Result<(), WireError>,
    ) -> Result<(), Error> {
        let (before, text_before) = (self.batch.items.len(), self.batch.text.len());
        let result = work(&mut self.decoder, &mut self.batch);
        let mut keep = self.batch.items.len();
        let mut failure = None;
        for (at, item) in self.batch.items.iter().enumerate().skip(before) {
            let Item::Delta(delta) = item else {
                self.says_done = Some(true);
                if self.done {
                    keep = keep.min(at);
                }
                continue;
            };
            if let Some(text) = &delta.error {
                keep = keep.min(at);
                failure = Some(error_line(text, &delta.line));
                break;
            }
            if self.done {
                keep = keep.min(at);
            } else if let ExpectedLines::Answer(shape) = self.expected
                // A record has a text or none; a whole answer as one object has whatever is in its place.
                && (!delta.is_answer(shape) || (shape.is_some() && delta.text_member == TextMember::NotText))
            {
                keep = keep.min(at);
                let error = Error::new(Kind::Protocol, delta.refusal());
                failure = Some(error.with_cause(Cause::ForeignLine));
                break;
            }
            self.done |= delta.done;
            if self.says_done != Some(true) {
                self.says_done = Some(delta.says_done());
            }
            self.end.counters.update(&delta.counters);
            if delta.done_reason.is_some() {
                self.end.done_reason.clone_from(&delta.done_reason);
            }
            if delta.model.is_some() && (delta.done || delta.done_reason.is_some()) {
                self.end.model.clone_from(&delta.model);
            }
            if self.expected == ExpectedLines::Progress {
                self.succeeded = note_progress(&delta.line, &mut self.completed);
            }
        }
        if keep < self.batch.items.len() {
            // What stands after the last line, or is an error, is no item.
            self.batch.truncate(keep);
        }
        let repetition = self
            .repetition_guard
            .as_mut()
            .and_then(|guard| guard.feed_batch(&self.batch, before, text_before, self.done));
        match (failure, result) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) if !self.done => Err(undecodable(&error)),
            _ => repetition.map_or(Ok(()), |(thinking, repetition)| {
                Err(repetition_error(thinking, &repetition))
            }),
        }
    }
}

impl Sink for DeltaSink {
    fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.decode(|decoder, batch| decoder.feed(piece, batch))
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.decode(Decoder::finish)
    }

    fn flush(&mut self, inbox: &Inbox) {
        inbox.push(&mut self.batch);
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn has_succeeded(&self) -> bool {
        self.succeeded
    }

    fn reply_end(&self) -> ReplyEnd {
        self.end.clone()
    }

    fn check_complete(&self) -> Result<(), Error> {
        if self.done || self.succeeded {
            return Ok(());
        }
        // A server that imitates Ollama may leave the member out of all lines. Then the end of the body is the end.
        if matches!(self.expected, ExpectedLines::Answer(Some(_))) && self.says_done == Some(false)
        {
            return Ok(());
        }
        let last = if self.expected == ExpectedLines::Progress {
            "`status: success`"
        } else {
            "`done: true`"
        };
        Err(Error::new(
            Kind::Incomplete,
            format!("The reply ended without a last line ({last}): it is cut short."),
        ))
    }
}

/// Turns the pieces of a body into raw lines, as items that hold nothing else.
pub(super) struct RawLineSink {
    max_line: usize,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    batch: Batch,
    /// The last line that was pushed into the inbox.
    last: Vec<u8>,
}

impl RawLineSink {
    pub(super) fn new(max_line: usize) -> Self {
        Self {
            max_line,
            partial: Vec::new(),
            batch: Batch::default(),
            last: Vec::new(),
        }
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.partial.len() + bytes.len() > self.max_line {
            let message = format!(
                "A line of the reply is longer than {} bytes.",
                self.max_line
            );
            return Err(Error::new(Kind::Decode, message));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) {
        if self.partial.iter().all(u8::is_ascii_whitespace) {
            self.partial.clear();
        } else {
            let line = mem::take(&mut self.partial);
            self.batch.push_delta(Delta {
                line,
                ..Delta::default()
            });
        }
    }
}

impl Sink for RawLineSink {
    fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        let mut start = 0;
        for end in memchr_iter(b'\n', piece) {
            self.extend_line(piece.get(start..end).unwrap_or_default())?;
            self.end_line();
            start = end + 1;
        }
        self.extend_line(piece.get(start..).unwrap_or_default())
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.end_line();
        Ok(())
    }

    fn flush(&mut self, inbox: &Inbox) {
        if let Some(Item::Delta(delta)) = self.batch.items.last() {
            self.last.clear();
            self.last.extend_from_slice(&delta.line);
        }
        inbox.push(&mut self.batch);
    }

    /// Always false, because the reader of raw lines judges which is the last one.
    fn is_done(&self) -> bool {
        false
    }

    /// Always false, for the same reason.
    fn has_succeeded(&self) -> bool {
        false
    }

    fn reply_end(&self) -> ReplyEnd {
        let last = match self.batch.items.last() {
            Some(Item::Delta(delta)) => &delta.line,
            _ => &self.last,
        };
        let (answer, _) = fold_body(last);
        ReplyEnd {
            counters: answer.counters,
            done_reason: answer.done_reason,
            model: answer.model,
        }
    }

    fn check_complete(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn error_line(text: &str, line: &[u8]) -> Error {
    Error::new(
        Kind::MidStream,
        format!(
            "The server reported an error in the stream: {}",
            refusal::shortened(text)
        ),
    )
    .with_server_text(Some(text.to_owned()), line.to_vec())
}

fn undecodable(error: &WireError) -> Error {
    Error::new(
        Kind::Decode,
        format!("The reply cannot be decoded: {error}."),
    )
}

/// Notes in `completed` how far a blob has come by a report of progress. True: it is the last report.
fn note_progress(line: &[u8], completed: &mut Completed) -> bool {
    let Ok(report) = serde_json::from_slice::<serde_json::Value>(line) else {
        return false;
    };
    let text = |name| report.get(name).and_then(serde_json::Value::as_str);
    let bytes = report.get("completed").and_then(serde_json::Value::as_u64);
    if let (Some(digest), Some(bytes)) = (text("digest"), bytes) {
        match completed.get_mut(digest) {
            Some(known) => *known = bytes.max(*known),
            None => {
                completed.insert(digest.to_owned(), bytes);
            }
        }
    }
    text("status") == Some("success")
}
