//! Making connections without blocking: names are looked up on other threads, and the addresses of a name are
//! tried side by side, a quarter of a second apart ("happy eyeballs", RFC 8305), so that a dead one costs no more.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::error::DirectError;
use super::poll_evented::PollEvented;
use super::reactor::ReactorHandle;
use super::scheduled_io::WRITABLE;
use crate::http::names;

/// How long the next address waits for the one before it.
const STAGGER: Duration = Duration::from_millis(250);

/// A connection to `host`, which is a name or an address.
pub(super) async fn connect(
    reactor: &ReactorHandle,
    host: &str,
    port: u16,
) -> Result<PollEvented, DirectError> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => VecDeque::from([SocketAddr::new(address, port)]),
        Err(_) => resolve(host, port)
            .await
            .map_err(DirectError::UnknownName)?,
    };
    connect_any(reactor, addresses).await
}

/// A connection to the first of `addresses` that answers.
pub(super) async fn connect_any(
    reactor: &ReactorHandle,
    mut addresses: VecDeque<SocketAddr>,
) -> Result<PollEvented, DirectError> {
    let mut attempts: Vec<PollEvented> = Vec::new();
    let mut first_failure = None;
    loop {
        if let Some(address) = addresses.pop_front() {
            match start(reactor, address) {
                Ok(attempt) => attempts.push(attempt),
                Err(error) => {
                    first_failure.get_or_insert(error);
                    continue;
                }
            }
        }
        let timer = (!addresses.is_empty()).then(|| reactor.timer(Instant::now() + STAGGER));
        let mut timer = pin!(timer);
        // A connection, or `None` when it is time for the next address.
        let connected = poll_fn(|context| {
            let mut at = 0;
            while let Some(attempt) = attempts.get(at) {
                if attempt.poll_ready(context, WRITABLE).is_pending() {
                    at += 1;
                    continue;
                }
                let attempt = attempts.swap_remove(at);
                match outcome(&attempt) {
                    Ok(()) => return Poll::Ready(Some(attempt)),
                    Err(error) => {
                        first_failure.get_or_insert(error);
                        return Poll::Ready(None);
                    }
                }
            }
            match timer.as_mut().as_pin_mut() {
                Some(timer) => timer.poll(context).map(|()| None),
                None if attempts.is_empty() => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await;
        if let Some(connection) = connected {
            connection.scheduled.clear_waker();
            let _ = connection.stream.set_nodelay(true);
            return Ok(connection);
        }
        if attempts.is_empty() && addresses.is_empty() {
            return Err(DirectError::Unreachable(first_failure.unwrap_or_else(
                || io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
            )));
        }
    }
}

fn start(reactor: &ReactorHandle, address: SocketAddr) -> io::Result<PollEvented> {
    PollEvented::new(reactor.io(), mio::net::TcpStream::connect(address)?)
}

/// What became of an attempt whose socket is writable.
fn outcome(attempt: &PollEvented) -> io::Result<()> {
    match attempt.stream.take_error()? {
        Some(error) => Err(error),
        None => attempt.stream.peer_addr().map(drop),
    }
}

/// The addresses of a name, the families taking turns.
async fn resolve(host: &str, port: u16) -> io::Result<VecDeque<SocketAddr>> {
    let mut found = names::resolve(host).await?;
    for address in &mut found {
        address.set_port(port);
    }
    let Some(first) = found.first().map(SocketAddr::is_ipv4) else {
        return Ok(VecDeque::new());
    };
    let (mut own, mut other): (VecDeque<_>, VecDeque<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv4() == first);
    let mut addresses = VecDeque::with_capacity(own.len() + other.len());
    while !own.is_empty() || !other.is_empty() {
        addresses.extend(own.pop_front());
        addresses.extend(other.pop_front());
    }
    Ok(addresses)
}
