//! A body in pieces to deltas, and deltas to an answer.

mod answer;
mod batch;
mod content_line;
mod decoder;
mod delta;
mod delta_parser;
mod error;
mod fold;
mod format;
mod line_decoder;
mod line_parser;
mod line_splitter;
mod line_template;
mod sse;
mod tape;

pub use answer::{Answer, Outcome};
pub use batch::{Batch, Item, ItemRef};
pub use content_line::{SharedFields, Timestamp};
pub use decoder::Decoder;
pub use delta::{Delta, Shape, TextMember, ToolCall};
pub use error::WireError;
pub use fold::{Fold, fold_body};
pub use format::{MAX_LINE, StreamFormat};
pub use line_template::{LineTemplate, VaryingFields};
