//! `metagpt_ollama_rs`: an Ollama client, made first for MetaGPT.
//!
//! The crate is layered, and the folders are the layers; of the layers, each may use those to its left only:
//!
//! ```text
//! wire (bytes only)  <-  http (adds tokio, reqwest)  <-  py (adds the GIL, asyncio)
//! ```
//!
//! Beside the layers stand the files that they share. All use `excerpt`; `http` and `py` use [`error`], [`inbox`], [`stats`],
//! `sync` and `per_process`. Of the layers these use `wire` at most.
//!
//! * [`wire`] turns the bytes of a reply into deltas and deltas into an answer. It does no I/O.
//! * [`http`] talks to a server and pumps a reply through `wire` into an [`inbox`].
//! * [`inbox`] is the bounded queue between the I/O thread and whoever reads a stream.
//! * [`error`] is the one error type of the crate, [`excerpt`] what its messages show of other texts; [`stats`] keeps a
//!   record of each call; `per_process` is what a forked child has anew, `sync` takes locks.
//! * `py` (feature `python`) is the extension module: the bridge to asyncio, the clients, `decode` and `get_choice`.
//!
//! Unsafe code is denied here and allowed in a few modules by name, each with its reason.

#![deny(unsafe_code)]

pub mod error;
pub mod excerpt;
pub mod http;
pub mod inbox;
mod per_process;
#[cfg(feature = "python")]
mod py;
pub mod stats;
mod sync;
pub mod wire;
