//! A body in pieces to deltas, and deltas to an answer.
//!
//! Each file uses those above it only:
//!
//! | file | what it does |
//! |---|---|
//! | `error`, `delta`, `answer` | what comes out: an error, what one line says, what a whole reply says |
//! | `tape` | a parsed JSON object, as simd-json has it |
//! | `content_line` | the shape of a line with a piece of text and nothing else |
//! | `batch` | what a number of lines say |
//! | `line_template` | the fast path: a content line, read by what the lines before it looked like |
//! | `line_parser`, `delta_parser` | the strict path: any line to an object, any object to a delta |
//! | `line_decoder` | one line, by one of the two paths |
//! | `format`, `line_splitter`, `sse` | the format of a body; bytes to lines; lines of an event stream to JSON texts |
//! | `decoder` | all of these together: a body in pieces to the items of a batch |
//! | `fold` | items to the answer |

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
