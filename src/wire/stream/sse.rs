//! The lines of an event stream to the JSON texts in it.
//!
//! ```text
//! : a comment
//! data: {"choices":[{"delta":{"content":"Hel"}}]}
//!
//! data: [DONE]
//!
//! ```
//!
//! holds one JSON text, and then says that it is complete. The `data` of an event is a JSON text or `[DONE]`; comments
//! and the other fields have no meaning here. A data line that is a JSON object by itself is delivered at once. One
//! that is not waits for the other data lines of its event, and they are tried together.

use super::error::WireError;

/// Reads the lines of one event stream.
#[derive(Default)]
pub(super) struct EventParser {
    /// The data lines of an event that did not parse alone, joined by newlines.
    pending: Vec<u8>,
    /// Why the first of them did not parse.
    refusal: Option<WireError>,
}

/// Takes what an [`EventParser`] finds.
pub(super) trait EventTextHandler {
    /// Takes a JSON text.
    fn json(&mut self, text: &[u8]) -> Result<(), WireError>;
    /// `[DONE]`: the stream is complete.
    fn done(&mut self);
    /// The error for an event whose data have more than `limit` bytes.
    fn too_long(&self, limit: usize) -> WireError;
}

impl EventParser {
    /// Reads a line without its end. An event of more than `limit` bytes is an error.
    pub fn line(
        &mut self,
        line: &[u8],
        limit: usize,
        handler: &mut impl EventTextHandler,
    ) -> Result<(), WireError> {
        if line.is_empty() {
            return self.end_event(handler);
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            return self.data(data.strip_prefix(b" ").unwrap_or(data), limit, handler);
        }
        // No field begins with a brace: this is an error object that a server or proxy put into the stream bare.
        if line.starts_with(b"{") {
            return handler.json(line);
        }
        Ok(())
    }

    fn data(
        &mut self,
        data: &[u8],
        limit: usize,
        handler: &mut impl EventTextHandler,
    ) -> Result<(), WireError> {
        if self.refusal.is_some() {
            if self.pending.len() + 1 + data.len() > limit {
                return Err(handler.too_long(limit));
            }
            self.pending.push(b'\n');
            self.pending.extend_from_slice(data);
        } else if data.trim_ascii() == b"[DONE]" {
            handler.done();
        } else if let Err(error) = handler.json(data) {
            if !matches!(error, WireError::NotJson { .. }) {
                return Err(error);
            }
            self.pending.extend_from_slice(data);
            self.refusal = Some(error);
        }
        Ok(())
    }

    /// Reads the end of an event, or of the body.
    pub fn end_event(&mut self, handler: &mut impl EventTextHandler) -> Result<(), WireError> {
        let Some(refusal) = self.refusal.take() else {
            return Ok(());
        };
        let result = handler.json(&self.pending);
        self.pending = Vec::new();
        match result {
            Err(WireError::NotJson { .. }) => Err(refusal),
            other => other,
        }
    }
}
