//! JSON text: its strings, its numbers, and values of any shape.
//!
//! Each file uses those above it only: `cursor` (a place in a text), `plain_run` and `string` (the inside of strings),
//! `utf32` (long texts in Chinese), `number`, `lenient` (what simd-json refuses, and the source of nested values),
//! `value` (any text to values that the user of the module builds).
//!
//! `utf32` and `value` are public, and not `pub(crate)` as the rest, for the tests in `tests/wire`: they compare the one
//! with the standard library and the other with `serde_json`.

pub(crate) mod cursor;
pub(crate) mod lenient;
pub(crate) mod number;
pub(crate) mod plain_run;
pub(crate) mod string;
pub mod utf32;
pub mod value;
