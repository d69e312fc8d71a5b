//! The extension's client, the arguments that it is made from, and the endpoints that it asks.

pub mod endpoint;
pub mod native_client;
pub mod options;
