//! Why a body cannot be read on.

/// Why a body cannot be read on. The items before the error are good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("line {line_number} of the reply is longer than {limit} bytes")]
    LineTooLong { line_number: u64, limit: usize },
    #[error("line {line_number} of the reply is no JSON (at byte {position}): {excerpt}")]
    NotJson {
        line_number: u64,
        position: usize,
        excerpt: String,
    },
    #[error("line {line_number} of the reply is not UTF-8 (at byte {position})")]
    NotUtf8 { line_number: u64, position: usize },
    #[error("line {line_number} of the reply is JSON but no object: {excerpt}")]
    NotObject { line_number: u64, excerpt: String },
}
