//! New connections. Names are looked up on other threads, and the addresses of a name are tried side by side ("happy
//! eyeballs", RFC 8305), so that one which does not answer costs a quarter of a second and not the whole time limit.

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
use super::socket::Socket;
use crate::http::names;
use crate::http::unix_socket::UnixSocket;

/// How long one address is tried before the next is tried as well (RFC 8305's Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

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

/// A connection to the server that listens on `socket`.
pub(super) async fn connect_to_socket(
    reactor: &ReactorHandle,
    socket: &UnixSocket,
) -> Result<PollEvented, DirectError> {
    let failed = |error| DirectError::Socket(socket.clone(), error);
    let stream = mio::net::UnixStream::connect(socket.path()).map_err(failed)?;
    let connection = PollEvented::new(reactor.io(), Socket::Unix(stream)).map_err(failed)?;
    poll_fn(|context| connection.poll_ready(context, WRITABLE)).await;
    connect_result(&connection).map_err(failed)?;
    connection.scheduled.clear_waker();
    Ok(connection)
}

/// A connection to the first of `addresses` that answers.
pub(super) async fn connect_any(
    reactor: &ReactorHandle,
    mut addresses: VecDeque<SocketAddr>,
) -> Result<PollEvented, DirectError> {
    let mut connecting: Vec<PollEvented> = Vec::new();
    let mut first_error = None;
    loop {
        if let Some(address) = addresses.pop_front() {
            match start_connecting(reactor, address) {
                Ok(socket) => connecting.push(socket),
                Err(error) => {
                    first_error.get_or_insert(error);
                    continue;
                }
            }
        }
        let timer = (!addresses.is_empty()).then(|| reactor.timer(Instant::now() + ATTEMPT_DELAY));
        let mut timer = pin!(timer);
        // A connection, or `None` when the next address is to be tried.
        let connected = poll_fn(|context| {
            let mut index = 0;
            while let Some(socket) = connecting.get(index) {
                if socket.poll_ready(context, WRITABLE).is_pending() {
                    index += 1;
                    continue;
                }
                let socket = connecting.swap_remove(index);
                match connect_result(&socket) {
                    Ok(()) => return Poll::Ready(Some(socket)),
                    Err(error) => {
                        first_error.get_or_insert(error);
                        return Poll::Ready(None);
                    }
                }
            }
            match timer.as_mut().as_pin_mut() {
                Some(timer) => timer.poll(context).map(|()| None),
                None if connecting.is_empty() => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await;
        if let Some(connection) = connected {
            connection.scheduled.clear_waker();
            // Without TCP_NODELAY a request may wait for the acknowledgement of the one before.
            connection.stream.set_nodelay();
            return Ok(connection);
        }
        if connecting.is_empty() && addresses.is_empty() {
            return Err(DirectError::Unreachable(first_error.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "the name has no address")
            })));
        }
    }
}

fn start_connecting(reactor: &ReactorHandle, address: SocketAddr) -> io::Result<PollEvented> {
    let stream = mio::net::TcpStream::connect(address)?;
    PollEvented::new(reactor.io(), Socket::Tcp(stream))
}

/// Whether `socket` is connected; it has to be writable.
fn connect_result(socket: &PollEvented) -> io::Result<()> {
    match socket.stream.take_error()? {
        Some(error) => Err(error),
        None => socket.stream.check_connected(),
    }
}

/// The addresses of `host`, in the order in which they are to be tried.
async fn resolve(host: &str, port: u16) -> io::Result<VecDeque<SocketAddr>> {
    let mut found = names::resolve(host).await?;
    for address in &mut found {
        address.set_port(port);
    }
    Ok(interleave_families(found))
}

/// Orders `addresses` so that IPv6 and IPv4 take turns, beginning with the family of the first: of two IPv6 addresses
/// and then one IPv4 address, the IPv4 address becomes the second.
pub(super) fn interleave_families(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut first_family, mut other_family): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut interleaved = VecDeque::with_capacity(first_family.len() + other_family.len());
    while !first_family.is_empty() || !other_family.is_empty() {
        interleaved.extend(first_family.pop_front());
        interleaved.extend(other_family.pop_front());
    }
    interleaved
}
