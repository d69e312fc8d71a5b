//! The decoder against recorded replies, against an oracle, and against itself by its other path.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

mod counters;
mod cuts;
mod formats;
mod meaning;
mod paths;
mod scripts;
mod strings;
mod utf32;
mod value;
mod vectors;
