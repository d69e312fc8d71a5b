//! Bytes of a reply in, deltas and answers out. No I/O, no runtime, no Python.
//!
//! A [`Decoder`] takes the body of a reply in pieces of any size and appends what each complete line says to a
//! [`Batch`]. Lines are split at the byte 0x0A only (never at the line separators of Unicode), the events of an event
//! stream are unwrapped, and content lines take a fast path that is equal to the strict path. A [`Fold`] adds the items
//! of batches up to the final [`Answer`], and knows whether the stream was complete.
//!
//! ```
//! use metagpt_ollama_rs::wire::{Batch, Decoder, Fold, MAX_LINE, Outcome, StreamFormat};
//!
//! let body = br#"{"model":"m","created_at":"2026-08-21T17:00:05.1Z","response":"Hel","done":false}
//! {"model":"m","created_at":"2026-08-21T17:00:05.2Z","response":"lo","done":false}
//! {"model":"m","created_at":"2026-08-21T17:00:05.3Z","response":"","done":true,"eval_count":3}
//! "#;
//! let mut decoder = Decoder::new(StreamFormat::Auto, MAX_LINE);
//! let (mut batch, mut fold) = (Batch::default(), Fold::new());
//! for piece in body.chunks(100) {
//!     batch.clear();
//!     decoder.feed(piece, &mut batch).unwrap();
//!     fold.add_batch(&batch);
//! }
//! let answer = fold.finish();
//! assert_eq!((answer.content.as_str(), answer.outcome), ("Hello", Outcome::Complete));
//! assert_eq!(answer.counters.eval_count, Some(3));
//! ```
//!
//! Each file or folder uses those above it only:
//!
//! | file | what it does |
//! |---|---|
//! | `counters` | the table of counters and durations |
//! | `error_text` | the text of a server's error |
//! | `excerpt` | the beginning of a line, for error messages |
//! | `json/` | JSON text: its strings, its numbers, values of any shape |
//! | `stream/` | a body in pieces to deltas, and deltas to an answer |
//! | `vectors` | a reply with vectors to one block of f32 |
//! | `repetition` | whether a text ends with one block over and over |
//! | `scripts` | the bytes of a text by script |
//! | `last_value` | the lines of a whole body from its end, for `decode` |

pub(crate) mod counters;
mod error_text;
mod excerpt;
pub mod json;
pub mod last_value;
pub mod repetition;
pub mod scripts;
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
