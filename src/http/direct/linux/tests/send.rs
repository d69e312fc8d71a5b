//! Requests and responses, over the lane alone: no client, no retries, no time limits but the one for connecting.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HOST, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::super::error::DirectError;
use super::super::reactor::{Reactor, ReactorHandle};
use super::super::request_bytes::RequestBytes;
use super::super::send::send;
use super::{DeafListener, PATIENCE, block_on};
use crate::http::attempt::Attempt;
use crate::http::request::{Head, Prepared};

/// A request as the client would prepare it: `POST /api/chat?x=1` with `body`.
fn prepared(listener: &TcpListener, body: &[u8]) -> Prepared {
    let address = listener.local_addr().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("ollama.lan"));
    Prepared {
        head: Arc::new(Head {
            method: Method::POST,
            url: Url::parse(&format!("http://{address}/api/chat?x=1")).unwrap(),
            headers,
            of_call: Vec::new(),
            body_type: None,
            socket: None,
        }),
        body: Some(Bytes::copy_from_slice(body)),
        upload: None,
        changing: false,
    }
}

/// Sends `request` and reads its response: the status and the body.
async fn exchange(
    reactor: ReactorHandle,
    request: Prepared,
) -> Result<(u16, Vec<u8>), DirectError> {
    let mut response = send(&reactor, 7, &request, &Attempt::new(PATIENCE, None)).await?;
    let mut body = Vec::new();
    let status = response.head().status.as_u16();
    let mut read = |piece: &[u8]| {
        body.extend_from_slice(piece);
        true
    };
    while !response.pull(&mut read).await? {}
    Ok((status, body))
}

/// Reads from `stream` until it has sent `expected`.
fn expect(stream: &mut TcpStream, expected: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(
        received.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

/// For each connection the responses that are sent on it, before it is closed.
type Scripts = &'static [&'static [&'static [u8]]];

/// Scripts, and what their failure has to be.
type Case = (Scripts, fn(&DirectError) -> bool);

/// Accepts connections on a thread, one after the other. Each response follows a `request`.
fn serve(listener: TcpListener, request: &'static [u8], scripts: Scripts) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for responses in scripts {
            let (mut stream, _) = listener.accept().unwrap();
            for response in *responses {
                expect(&mut stream, request);
                stream.write_all(response).unwrap();
            }
        }
    })
}

const REQUEST: &[u8] =
    b"POST /api/chat?x=1 HTTP/1.1\r\nhost: ollama.lan\r\ncontent-length: 2\r\n\r\n{}";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

#[test]
fn two_requests_take_one_connection() {
    let reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let request = prepared(&listener, b"{}");
    let server = serve(listener, REQUEST, &[&[CHUNKED, CHUNKED]]);
    for _ in 0..2 {
        let done = block_on(&reactor, exchange(reactor.handle(), request.clone()));
        assert_eq!(done.unwrap(), (200, b"hi".to_vec()));
    }
    server.join().unwrap();
}

/// The server closes the first connection behind its response, without a word about it in the head.
#[test]
fn a_request_on_a_dead_connection_is_sent_on_a_new_one() {
    let reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let request = prepared(&listener, b"{}");
    let server = serve(listener, REQUEST, &[&[CHUNKED], &[CHUNKED]]);
    for _ in 0..2 {
        let done = block_on(&reactor, exchange(reactor.handle(), request.clone()));
        assert_eq!(done.unwrap(), (200, b"hi".to_vec()));
    }
    server.join().unwrap();
}

#[test]
fn each_failure_says_how_far_the_request_came() {
    let cases: [Case; 5] = [
        (&[&[b""]], |error| {
            matches!(
                error,
                DirectError::Closed {
                    began: false,
                    written: true,
                    ..
                }
            )
        }),
        (&[&[b"HTTP/1.1 200 O"]], |error| {
            matches!(
                error,
                DirectError::Closed {
                    began: true,
                    written: true,
                    ..
                }
            )
        }),
        (&[&[b"SSH-2.0\r\n"]], |error| {
            matches!(error, DirectError::Head(_))
        }),
        (
            &[&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx"]],
            |error| matches!(error, DirectError::Body(_)),
        ),
        (
            &[&[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"]],
            |error| matches!(error, DirectError::Interrupted(None)),
        ),
    ];
    for (scripts, expected) in cases {
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let request = prepared(&listener, b"{}");
        let server = serve(listener, REQUEST, scripts);
        let failed = block_on(&reactor, exchange(reactor.handle(), request)).unwrap_err();
        assert!(expected(&failed), "{failed:?}");
        server.join().unwrap();
    }
}

#[test]
fn a_connection_may_take_so_long_and_no_longer() {
    let reactor = Reactor::new().unwrap();
    let deaf = DeafListener::new();
    let request = prepared(&deaf.listener, b"{}");
    let handle = reactor.handle();
    let failed = block_on(&reactor, async move {
        let attempt = Attempt::new(Duration::from_millis(10), None);
        send(&handle, 7, &request, &attempt).await.err()
    });
    assert!(
        matches!(failed, Some(DirectError::Timeout(_))),
        "{failed:?}"
    );
}

#[test]
fn a_long_body_is_written_from_where_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (length, long) in [((64 << 10) - 1, false), (64 << 10, true)] {
        let request = prepared(&listener, &vec![b' '; length]);
        let bytes = RequestBytes::new(&request);
        let body = request.body.as_deref().unwrap();
        assert_eq!(std::ptr::eq(bytes.long_body, body), long);
        assert_eq!(bytes.head.ends_with(b"\r\n\r\n"), long);
        let whole = [&bytes.head[..], bytes.long_body].concat();
        assert!(whole.ends_with(&[b"\r\n\r\n", body].concat()));
    }
}
