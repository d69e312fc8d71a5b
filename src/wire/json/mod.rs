//! JSON text: its strings, its numbers, and values of any shape.

pub(crate) mod cursor;
pub(crate) mod lenient;
pub(crate) mod number;
pub(crate) mod string;
pub mod utf32;
pub mod value;
