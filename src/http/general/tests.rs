//! The general lane alone: no client, no time limits, no retries, only a prepared request and an attempt.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use crate::error::Cause;
use crate::http::base::{AddressSetting, BaseUrl};
use crate::http::endpoint::{Endpoint, Method};
use crate::http::proxy::ProxyRule;
use crate::http::request::{Heads, Request};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const PATIENCE: Duration = Duration::from_secs(30);

/// A lane to `address`, and a request that it can send.
fn lane(address: &str) -> (General, Prepared) {
    let config = Config::new(BaseUrl::parse(address, AddressSetting::BaseUrl).unwrap());
    let proxy = ProxyRule::Direct.resolve(&config.base).unwrap();
    let mut request = Request::to(Endpoint::unknown(Method::Post, "/api/chat"));
    request.body = Some(b"{}".to_vec());
    let mut prepared = Heads::new(&config).unwrap().prepare(request).unwrap();
    // Such a request may be sent twice.
    prepared.changing = false;
    (General::new(&config, proxy).unwrap(), prepared)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads the head and the body `{}` of one request.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n{}") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

/// The whole body, and the length that its head has promised.
async fn body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let take = |piece: &[u8], body: &mut Vec<u8>| {
        body.extend_from_slice(piece);
        true
    };
    while !response.pull(|piece| take(piece, &mut body)).await? {}
    Ok(body)
}

#[test]
fn a_prepared_request_is_sent_and_its_response_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        let request = read_request(&mut stream);
        stream.write_all(OK).unwrap();
        request
    });
    let (general, prepared) = lane(&address.to_string());
    run(async {
        let attempt = Attempt::new(PATIENCE, None);
        let response = general.send(&prepared, &attempt).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.content_length(), Some(2));
        assert_eq!(body(response).await.unwrap(), b"{}");
        assert!(attempt.used_new_connection(None));
    });
    let request = server.join().unwrap();
    assert!(request.starts_with("POST /api/chat HTTP/1.1\r\n"));
    assert!(request.contains(&format!("host: {address}\r\n")));
}

#[test]
fn failures_are_values_and_have_a_source() {
    use std::error::Error as _;

    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (general, prepared) = lane(&address.to_string());
    let sent = run(async { general.send(&prepared, &Attempt::new(PATIENCE, None)).await });
    let error = sent.err().unwrap();
    assert_eq!(error.kind, Kind::Connect);
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<reqwest::Error>());
    assert!(source.is_some_and(|source| source.is_connect() && source.url().is_none()));

    let (general, prepared) = lane("http://ollama.invalid");
    let attempt = Attempt::new(PATIENCE, None);
    let sent = run(async { general.send(&prepared, &attempt).await });
    assert_eq!(sent.err().unwrap().cause, Some(Cause::UnknownName));
    assert_eq!(
        attempt.unresolved().map(|name| name.name.as_str()),
        Some("ollama.invalid")
    );
}

/// A server of three connections. The first answers a request, whose body ends when it is told so, and closes upon the next
/// one; the second gets no request; the third answers one.
fn server_that_closes_a_pooled_connection() -> (String, Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (finish, finished) = channel();
    let server = std::thread::spawn(move || {
        let mut first = accept(&listener);
        read_request(&mut first);
        first.write_all(&OK[..OK.len() - 1]).unwrap();
        finished.recv_timeout(PATIENCE).unwrap();
        first.write_all(&OK[OK.len() - 1..]).unwrap();
        let _second = accept(&listener);
        read_request(&mut first);
        drop(first);
        // A dead pooled connection is replaced by a new one, not by another one of the pool.
        let mut third = accept(&listener);
        read_request(&mut third);
        third.write_all(OK).unwrap();
    });
    (address, finish, server)
}

#[test]
fn a_pooled_connection_is_stale_also_if_another_one_was_being_made() {
    let (address, finish, server) = server_that_closes_a_pooled_connection();
    let (general, prepared) = lane(&address);
    run(async {
        let response = general
            .send(&prepared, &Attempt::new(PATIENCE, None))
            .await
            .unwrap();
        // The first connection is in use, so the second request has one made. Nobody looks at that one once it stands,
        // until the first connection is back in the pool: hyper sends the request there.
        let attempt = Attempt::new(PATIENCE, None);
        let mut second = pin!(general.send(&prepared, &attempt));
        poll_fn(|context| {
            assert!(second.as_mut().poll(context).is_pending());
            if attempt.used_new_connection(None) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        finish.send(()).unwrap();
        assert_eq!(body(response).await.unwrap(), b"{}");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let response = second.await.unwrap();
        assert_eq!(body(response).await.unwrap(), b"{}");
    });
    server.join().unwrap();
}
