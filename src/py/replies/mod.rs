//! Replies of a server as Python sees them, whole or as they arrive, and the records of calls.

pub mod observed_call;
pub mod reply_format;
pub mod stats;
pub mod stream_reader;
