//! The extension's client, and the endpoints that it asks.

pub mod endpoint;
pub mod native_client;
