//! Bytes of a reply in, deltas and answers out. No I/O, no runtime, no Python.

pub(crate) mod counters;
mod error_text;
mod excerpt;
pub mod json;
pub mod last_value;
pub mod repetition;
pub mod stream;
pub mod vectors;

pub use counters::Counters;
pub use error_text::error_text;
pub use json::string::JsonString;
pub use stream::{
    Answer, Batch, Decoder, Delta, Fold, Item, ItemRef, LineTemplate, MAX_LINE, Outcome, Shape,
    SharedFields, StreamFormat, TextMember, Timestamp, ToolCall, VaryingFields, WireError,
    fold_body,
};
