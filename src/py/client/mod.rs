//! The extension's client.

pub mod native_client;
