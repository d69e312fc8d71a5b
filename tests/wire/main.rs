//! The decoder against recorded replies, against an oracle, and against itself by its other path.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

mod cuts;
mod floats;
mod framing;
mod meaning;
mod paths;
mod strings;
mod value;
mod widen;
