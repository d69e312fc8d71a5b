//! How much of a body is read in one iteration.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::error::DirectError;
use super::super::poll_evented::PollEvented;
use super::super::reactor::{Reactor, ReactorHandle};
use super::super::response::Response;
use super::{Count, PATIENCE, drive, pair, wait_and_run};
use crate::http::direct::body_decoder::BodyDecoder;
use crate::http::direct::head_parser::HeadParser;

/// A response with its head read and a body until the end of the connection.
fn response(reactor: ReactorHandle, connection: PollEvented) -> Response {
    let (head, unread) = HeadParser::default()
        .feed(b"HTTP/1.1 200 OK\r\n\r\n")
        .unwrap()
        .unwrap();
    Response {
        reactor,
        connection: Some(connection),
        client: 7,
        head,
        body: BodyDecoder::Eof(false),
        unread,
        reusable: false,
        yield_first: false,
    }
}

#[test]
fn a_flood_leaves_room_for_a_trickle_in_every_iteration() {
    const ENOUGH: usize = 64 << 20;
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (flood, mut flooding) = pair(&handle);
    let (trickle, mut trickling) = pair(&handle);
    let flooder = std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        while flooding.write_all(&piece).is_ok() {}
    });
    let count = |connection, sum: &Count| {
        let (sum, reactor) = (Arc::clone(&sum.0), handle.clone());
        async move {
            let mut response = response(reactor, connection);
            loop {
                let ended = response
                    .pull(|piece| {
                        sum.fetch_add(piece.len(), Ordering::SeqCst);
                        true
                    })
                    .await;
                if !matches!(ended, Ok(false)) {
                    assert!(matches!(ended, Ok(true) | Err(DirectError::Interrupted(_))));
                    return;
                }
            }
        }
    };
    let (much, little) = (Count::default(), Count::default());
    let reading = reactor.spawn(count(flood, &much));
    reactor.spawn(count(trickle, &little));
    let (mut sent, mut most) = (0, 0);
    while much.get() < ENOUGH || sent < 200 {
        if little.get() == sent {
            trickling.write_all(b"y").unwrap();
            sent += 1;
        }
        let before = much.get();
        wait_and_run(&reactor, PATIENCE);
        most = most.max(much.get() - before);
    }
    assert!(most <= 256 << 10, "{most} bytes in one iteration");
    drive(&reactor, || little.get() == sent);
    reading.abort();
    flooder.join().unwrap();
}
