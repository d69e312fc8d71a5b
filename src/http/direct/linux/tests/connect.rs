//! New connections: which of the addresses of a name is used, and that nothing blocks.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::super::connect::{connect, connect_any, interleave_families};
use super::super::error::DirectError;
use super::super::reactor::Reactor;
use super::{DeafListener, block_on, tcp};

/// An address where nothing listens.
fn dead() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn port_after_connecting(addresses: impl Into<VecDeque<SocketAddr>>) -> Result<u16, DirectError> {
    let reactor = Reactor::new().unwrap();
    let (handle, addresses) = (reactor.handle(), addresses.into());
    block_on(&reactor, async move {
        let connected = connect_any(&handle, addresses).await?;
        Ok(tcp(&connected).peer_addr().unwrap().port())
    })
}

#[test]
fn a_dead_address_beside_a_live_one_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap();
    let none = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], dead().port()));
    for addresses in [
        vec![dead(), live],
        vec![live, dead()],
        vec![none, dead(), live, dead()],
    ] {
        assert_eq!(port_after_connecting(addresses).unwrap(), live.port());
    }
    let refused = port_after_connecting(vec![dead(), dead()]).unwrap_err();
    assert!(
        matches!(&refused, DirectError::Unreachable(error) if error.kind() == ErrorKind::ConnectionRefused),
        "{refused:?}"
    );
    assert!(matches!(
        port_after_connecting(vec![]),
        Err(DirectError::Unreachable(_))
    ));
}

#[test]
fn an_address_that_does_not_answer_does_not_keep_from_the_next() {
    let deaf = DeafListener::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap();
    assert_eq!(
        port_after_connecting(vec![deaf.listener.local_addr().unwrap(), live]).unwrap(),
        live.port()
    );
}

#[test]
fn names_are_looked_up_without_blocking_the_iteration() {
    let reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = reactor.handle();
    let connected = block_on(&reactor, async move {
        connect(&handle, "localhost", port).await.is_ok()
    });
    assert!(connected);
    let handle = reactor.handle();
    let unknown = block_on(&reactor, async move {
        connect(&handle, "no-such-name.invalid", port).await.err()
    });
    assert!(
        matches!(unknown, Some(DirectError::UnknownName(_))),
        "{unknown:?}"
    );
}

#[test]
fn the_families_of_a_name_take_turns() {
    let parse = |addresses: &[&str]| -> Vec<SocketAddr> {
        addresses
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 80))
            .collect()
    };
    for (found, expected) in [
        (
            &["::1", "::2", "::3", "1.1.1.1"][..],
            &["::1", "1.1.1.1", "::2", "::3"][..],
        ),
        (&["1.1.1.1", "::1", "::2"], &["1.1.1.1", "::1", "::2"]),
        (&["1.1.1.1", "2.2.2.2"], &["1.1.1.1", "2.2.2.2"]),
        (&[], &[]),
    ] {
        assert_eq!(interleave_families(parse(found)), parse(expected));
    }
}
