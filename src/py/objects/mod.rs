//! Python objects: of JSON text, of the decoder's values, and back.
//!
//! * `json`, `json_builder`, `key_cache`, `text`: JSON text to objects; `json_writer`: objects to JSON text;
//!   `bytes_like`: the bytes that callers hand over.
//! * `content_line`, `slot_layout`: the objects of content lines; `answer`: the object of a whole answer.
//! * `tool_calls`, `vectors`: checks and repairs of what a reply holds; `counters`: its counters and durations.
//! * `scripts`: the bytes of a text by script.
//! * `decode`: `decode` and `get_choice`; `stream_decoder`, `delta`: `StreamDecoder` and `Delta`.

pub mod answer;
mod bytes_like;
pub mod content_line;
pub mod counters;
pub mod decode;
pub mod delta;
pub mod json;
mod json_builder;
pub mod json_writer;
mod key_cache;
pub mod scripts;
pub mod slot_layout;
pub mod stream_decoder;
mod text;
pub mod tool_calls;
pub mod vectors;
