//! How the lines of a body are told apart.

/// How the body is framed. `Auto` decides by the first non-blank bytes (`data:` or `:` means SSE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    Auto,
    Ndjson,
    Sse,
}

/// The default cap on one line, in bytes.
pub const MAX_LINE: usize = 64 << 20;
