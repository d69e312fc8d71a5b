//! Server-sent events to JSON texts.
//!
//! The `data` of an event is a JSON text or `[DONE]`; comments and the other fields say nothing to us. A data line
//! that is a JSON object by itself is delivered at once. One that is not waits for the other data lines of its event,
//! and they are tried together.

use super::error::WireError;

/// What a line of an event stream means so far.
#[derive(Default)]
pub(super) struct EventParser {
    /// The data lines of an event that did not parse alone, joined by newlines.
    pending: Vec<u8>,
    /// Why the first of them did not.
    refusal: Option<WireError>,
}

/// Reads JSON texts for [`EventParser`].
pub(super) trait EventHandler {
    fn json(&mut self, text: &[u8]) -> Result<(), WireError>;
    /// `[DONE]`: the stream is complete.
    fn done(&mut self);
    fn too_long(&self, limit: usize) -> WireError;
}

impl EventParser {
    pub fn line(
        &mut self,
        line: &[u8],
        limit: usize,
        handler: &mut impl EventHandler,
    ) -> Result<(), WireError> {
        if line.is_empty() {
            return self.end(handler);
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
        handler: &mut impl EventHandler,
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

    /// The end of an event, or of the body.
    pub fn end(&mut self, handler: &mut impl EventHandler) -> Result<(), WireError> {
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
