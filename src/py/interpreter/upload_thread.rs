//! The thread of an upload: it reads the file and writes it to the socket, and neither an event loop nor the I/O thread
//! waits for the disk.
//!
//! Only for plain `http://` and Unix sockets, on systems with the direct lane. Elsewhere the I/O thread sends the file, with
//! a thread that reads it. hyper, which sends it there, has two faults that the direct lane does not: where a server refuses a
//! file before it has read it and closes the connection at once, the refusal may be lost; and where a server reads nothing
//! any more, a connection that was given up stays open until the server closes it.

use std::future::Future;
use std::thread::Builder;

use pyo3::prelude::*;

use super::exit::enter;
use super::runtime::{from_any_thread, handle};
use crate::http::Client;
use crate::http::direct::Reactor;

/// Does `work` with `client`, which sends a file. `allow_direct` allows the direct lane.
pub fn spawn<F>(
    py: Python<'_>,
    client: Client,
    allow_direct: bool,
    work: impl FnOnce(Client) -> F,
) -> PyResult<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let reactor = (allow_direct && client.is_plain())
        .then(Reactor::new)
        .and_then(Result::ok);
    let on_thread = reactor.and_then(|reactor| {
        let client = client.on_own_thread(&reactor, from_any_thread)?;
        Some((reactor, client))
    });
    let Some((reactor, client)) = on_thread else {
        handle(py)?.spawn(Box::pin(work(client)));
        return Ok(());
    };
    let work = Box::pin(work(client));
    Builder::new()
        .name("ollama-upload".to_owned())
        .spawn(move || {
            enter();
            reactor.run_until_done(work);
        })
        .map(drop)
        .map_err(PyErr::from)
}
