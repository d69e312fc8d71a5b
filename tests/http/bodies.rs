//! Large requests: to a server that takes its time, and to one that has seen enough.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use metagpt_ollama_rs::error::Kind;

use crate::server::{Do, Server, block_on, get, is_direct, post, reply, runtime};

const LARGE: usize = 64 << 20;

/// Reads the head of a request and gives back the length of its body, and how much of that came along.
fn read_head(stream: &mut impl Read) -> (usize, usize) {
    let mut seen = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the client closed instead of asking");
        seen.extend_from_slice(&buffer[..count]);
        if let Some(end) = memchr::memmem::find(&seen, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length = length.lines().next().unwrap().parse().unwrap();
            return (length, seen.len() - end - 4);
        }
    }
}

#[test]
fn a_large_request_reaches_a_server_that_reads_slowly() {
    let server = Server::start(vec![vec![
        Do::Call(Box::new(|stream| {
            let (length, mut read) = read_head(stream);
            assert_eq!(length, LARGE);
            let mut piece = vec![0; 1 << 20];
            let mut sum = 0;
            while read < length {
                std::thread::sleep(Duration::from_millis(2));
                let count = stream.read(&mut piece).unwrap();
                assert!(count > 0, "the client closed after {read} bytes");
                sum += piece[..count].iter().filter(|byte| **byte != b'x').count();
                read += count;
            }
            assert_eq!((read, sum), (LARGE, 0));
            stream
                .write_all(reply("200 OK", "application/json", "{}").as_bytes())
                .unwrap();
        })),
        Do::Read,
        Do::send(reply("200 OK", "application/json", "{}")),
    ]]);
    let (client, runtime) = (server.client(), runtime());
    let request = post("/api/chat", "x".repeat(LARGE));
    let answer = block_on(&runtime, client.call(request)).unwrap();
    assert_eq!(answer.body, b"{}");
    // The connection is as good as before.
    block_on(&runtime, client.call(get("/api/version"))).unwrap();
    server.seen();
}

#[test]
fn a_refusal_before_the_request_was_read_is_the_answer() {
    let refusal = || reply("413 Payload Too Large", "text/plain", "no more than 1 MB");
    let closing: [fn(&mut std::net::TcpStream); 2] = [
        // Closed with bytes unread, so the connection is reset. The general lane may see that before it reads the answer.
        |_| {},
        // As a careful server does: the rest is read and thrown away.
        |stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = vec![0; 1 << 16];
            while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
        },
    ];
    for close in closing.into_iter().skip(usize::from(!is_direct())) {
        let server = Server::start(vec![vec![Do::Call(Box::new(move |stream| {
            read_head(stream);
            stream.write_all(refusal().as_bytes()).unwrap();
            close(stream);
        }))]]);
        let client = server.client();
        let request = post("/api/chat", "x".repeat(LARGE));
        let error = block_on(&runtime(), client.call(request)).unwrap_err();
        assert_eq!(
            (error.kind, error.status),
            (Kind::Status, Some(413)),
            "{error}"
        );
        server.seen();
    }
}
