//! JSON text and the decoder's values as Python objects, and back.

pub mod answer;
pub mod content_line;
pub mod counters;
pub mod decode;
pub mod delta;
pub mod json;
pub mod json_builder;
pub mod slot_layout;
pub mod tool_calls;
pub mod vectors;
