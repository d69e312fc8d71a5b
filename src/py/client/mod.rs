//! The extension's client, and the arguments that it is made from.

pub mod native_client;
mod options;
