//! Time limits, aborts and backpressure, seen from both ends.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use metagpt_ollama_rs::error::{Error, Kind, Phase};
use metagpt_ollama_rs::http::{AddressSetting, BaseUrl, Config, PumpMode, Request, Timeouts};
use metagpt_ollama_rs::inbox::{CAPACITY, Received};
use metagpt_ollama_rs::wire::{Batch, Fold};

use crate::server::{
    DONE, Do, PATIENCE, STREAM, Server, block_on, chunk, get, line, made, post, pump, read_all,
    runtime, streamed, take,
};

const SHORT: Duration = Duration::from_millis(150);

fn limits(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts {
        connect: PATIENCE,
        first_token: PATIENCE,
        idle: PATIENCE,
        total: None,
    };
    change(&mut timeouts);
    timeouts
}

/// Streams from a server with this script, whose limits are the client's in one run and the request's in the other.
fn time_out(script: fn() -> Vec<Do>, timeouts: Timeouts) -> [(String, Error); 2] {
    [true, false].map(|of_client| {
        let server = Server::start(vec![script()]);
        let mut config = server.config();
        let mut request = post("/api/chat", "{}");
        if of_client {
            config.timeouts = timeouts;
        } else {
            request.timeouts = Some(timeouts);
        }
        let (runtime, client) = (runtime(), made(config).unwrap());
        let (answer, end) = read_all(&pump(&runtime, &client, request, PumpMode::Deltas));
        server.seen();
        (answer.content, end.unwrap_err())
    })
}

fn check(results: [(String, Error); 2], text: &str, phase: Phase, began: bool) {
    for (content, error) in results {
        assert_eq!(content, text, "{error}");
        assert_eq!(
            (error.kind, error.phase, error.status.is_some()),
            (Kind::Timeout, Some(phase), began),
            "{error}"
        );
        assert_eq!(error.seconds, Some(0.15));
        assert!(
            error.message.contains(phase.name()) && error.message.contains("0.15 s"),
            "{error}"
        );
    }
}

#[test]
fn first_token_runs_out_before_the_head() {
    let script = || vec![Do::Read, Do::SeeEnd];
    check(
        time_out(script, limits(|limits| limits.first_token = SHORT)),
        "",
        Phase::FirstToken,
        false,
    );
}

#[test]
fn first_token_runs_out_after_the_head() {
    let script = || vec![Do::Read, Do::send(STREAM), Do::SeeEnd];
    check(
        time_out(script, limits(|limits| limits.first_token = SHORT)),
        "",
        Phase::FirstToken,
        true,
    );
}

#[test]
fn idle_runs_out_between_lines() {
    let script = || {
        vec![
            Do::Read,
            Do::send(format!("{STREAM}{}", chunk(&line("Hi")))),
            Do::SeeEnd,
        ]
    };
    check(
        time_out(script, limits(|limits| limits.idle = SHORT)),
        "Hi",
        Phase::Idle,
        true,
    );
}

/// What a server may send for ever without saying anything; each piece comes alone.
const NOTHINGS: [(&str, &str, &[u8]); 10] = [
    ("interim responses", "", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ("empty lines before the head", "", b"\r\n"),
    ("a head without end", "HTTP/1.1 200 OK\r\nA: ", b"a"),
    ("zeros of a size", STREAM, b"0"),
    (
        "an extension",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"x",
    ),
    ("blank chunks", STREAM, b"1\r\n\n\r\n"),
    (
        "comments",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        b": ping\n\n",
    ),
    (
        "events without data",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        b"event: ping\nid: 1\nretry: 5\ndata:\n\n",
    ),
    ("white space", "HTTP/1.1 200 OK\r\n\r\n", b" "),
    (
        "white space of a length",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
        b"\r\n",
    ),
];

/// The limit that runs out of a server that sends `before`, and then `nothing` every few milliseconds.
fn nothing(before: &str, nothing: &'static [u8], whole: bool, timeouts: Timeouts) -> Error {
    let script = vec![
        Do::Read,
        Do::send(before),
        Do::SendForEver(nothing.to_vec(), Duration::from_millis(20)),
    ];
    let server = Server::start(vec![script]);
    let (runtime, client) = (runtime(), server.client());
    let request = Request {
        timeouts: Some(timeouts),
        ..post("/api/chat", "{}")
    };
    let end = if whole {
        block_on(&runtime, client.call(request)).map(drop)
    } else {
        read_all(&pump(&runtime, &client, request, PumpMode::Deltas)).1
    };
    server.seen();
    end.unwrap_err()
}

#[test]
fn what_says_nothing_does_not_put_off_the_first_token() {
    let timeouts = limits(|limits| limits.first_token = SHORT);
    for (name, before, piece) in NOTHINGS {
        for whole in [true, false] {
            let error = nothing(before, piece, whole, timeouts);
            assert_eq!(error.phase, Some(Phase::FirstToken), "{name}: {error}");
        }
    }
}

#[test]
fn what_says_nothing_does_not_put_off_the_idle_limit() {
    let timeouts = limits(|limits| limits.idle = SHORT);
    let begun = format!("{STREAM}{}", chunk(&line("Hi")));
    let events = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n",
        line("Hi")
    );
    let rows: [(&str, String, &'static [u8]); 8] = [
        ("zeros of a size", begun.clone(), b"0"),
        ("spaces after a size", format!("{begun}5"), b" "),
        ("an extension", format!("{begun}5;"), b"x"),
        ("blank chunks", begun.clone(), b"1\r\n\n\r\n"),
        ("comments", events.clone(), b": ping\n\n"),
        ("events without data", events, b"event: ping\n\n"),
        ("a trailer", format!("{begun}0\r\nA: "), b"a"),
        ("trailers", format!("{begun}0\r\n"), b"A: b\r\n"),
    ];
    for (name, before, piece) in rows {
        for whole in [true, false] {
            let error = nothing(&before, piece, whole, timeouts);
            assert_eq!(error.phase, Some(Phase::Idle), "{name}: {error}");
        }
    }
}

#[test]
fn total_runs_out_of_a_healthy_stream() {
    let script = || {
        vec![
            Do::Read,
            Do::send(STREAM),
            Do::SendForEver(chunk(&line("")).into_bytes(), Duration::from_millis(5)),
        ]
    };
    check(
        time_out(script, limits(|limits| limits.total = Some(SHORT))),
        "",
        Phase::Total,
        true,
    );
}

#[test]
fn total_counts_from_the_start() {
    let script = || vec![Do::Read, Do::SeeEnd];
    check(
        time_out(script, limits(|limits| limits.total = Some(SHORT))),
        "",
        Phase::Total,
        false,
    );
}

#[test]
fn connect_runs_out_in_a_tls_handshake() {
    let server = Server::start(vec![vec![
        Do::Peek,
        Do::Call(Box::new(|stream| {
            drop(std::io::copy(stream, &mut std::io::sink()));
        })),
    ]]);
    let base = BaseUrl::parse(
        &format!("https://{}", server.address),
        AddressSetting::BaseUrl,
    )
    .unwrap();
    let mut config = Config::new(base);
    // The limit that runs out first is not the one that counts while a connection is being made.
    config.timeouts = limits(|limits| {
        limits.connect = SHORT;
        limits.first_token = SHORT / 2;
    });
    // A machine without certificates cannot make such a client; there is nothing to time then.
    let Ok(client) = made(config) else {
        return;
    };
    let error = block_on(&runtime(), client.call(get("/"))).unwrap_err();
    assert_eq!(
        (error.kind, error.phase, error.status),
        (Kind::Timeout, Some(Phase::Connect), None),
        "{error}"
    );
    assert_eq!(error.seconds, Some(0.15));
    server.seen();
}

#[test]
fn a_long_stream_outlives_every_limit_but_total() {
    let lines = 40;
    let script: Vec<Do> = [Do::Read, Do::send(STREAM)]
        .into_iter()
        .chain((0..lines).flat_map(|_| {
            let pause = Do::Call(Box::new(|_: &mut _| {
                std::thread::sleep(Duration::from_millis(20));
            }));
            [pause, Do::send(chunk(&line("a")))]
        }))
        .chain([Do::send(format!("{}0\r\n\r\n", chunk(DONE)))])
        .collect();
    let server = Server::start(vec![script]);
    let mut config = server.config();
    config.timeouts = limits(|limits| {
        limits.first_token = Duration::from_millis(400);
        limits.idle = Duration::from_millis(400);
    });
    let (runtime, client) = (runtime(), made(config).unwrap());
    let (answer, end) = read_all(&pump(
        &runtime,
        &client,
        post("/api/chat", "{}"),
        PumpMode::Deltas,
    ));
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(answer.content.len(), lines);
    server.seen();
}

#[test]
fn endless_limits_are_no_limits() {
    let server = Server::answering(streamed("Hi"));
    let mut config = server.config();
    let never = Duration::MAX;
    config.timeouts = Timeouts {
        connect: never,
        first_token: never,
        idle: never,
        total: Some(never),
    };
    let (runtime, client) = (runtime(), made(config).unwrap());
    let (_, end) = read_all(&pump(
        &runtime,
        &client,
        post("/api/chat", "{}"),
        PumpMode::Deltas,
    ));
    assert!(end.is_ok(), "{end:?}");
    server.seen();
}

#[test]
fn the_server_sees_an_abort_at_every_stage() {
    type Stage = (&'static str, fn() -> Vec<Do>, bool);
    let stages: [Stage; 3] = [
        ("before the head", || vec![Do::Read], false),
        ("after the head", || vec![Do::Read, Do::send(STREAM)], false),
        (
            "in the body",
            || {
                vec![
                    Do::Read,
                    Do::send(format!("{STREAM}{}", chunk(&line("Hi")))),
                ]
            },
            true,
        ),
    ];
    for (name, script, text) in stages {
        let (reached, arrived) = mpsc::channel();
        let mut script = script();
        script.push(Do::Call(Box::new(move |_| reached.send(()).unwrap())));
        script.push(Do::SeeEnd);
        let server = Server::start(vec![script]);
        let (runtime, client) = (runtime(), server.client());
        let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
        arrived.recv_timeout(PATIENCE).unwrap();
        let mut batch = Batch::default();
        if text {
            assert!(
                matches!(take(&inbox, &mut batch), Received::Items),
                "{name}"
            );
        }
        inbox.abort();
        server.seen();
        let Received::Closed(Err(error)) = take(&inbox, &mut batch) else {
            panic!("{name}")
        };
        assert_eq!(error.kind, Kind::Closed, "{name}");
    }
}

#[test]
fn the_server_sees_a_dropped_call() {
    let (reached, arrived) = mpsc::channel();
    let server = Server::start(vec![vec![
        Do::Read,
        Do::Call(Box::new(move |_| reached.send(()).unwrap())),
        Do::SeeEnd,
    ]]);
    let (runtime, client) = (runtime(), server.client());
    let task = runtime.spawn(async move { client.call(get("/")).await });
    arrived.recv_timeout(PATIENCE).unwrap();
    task.abort();
    server.seen();
}

#[test]
fn a_pump_that_is_dropped_ends_its_stream() {
    let server = Server::start(vec![vec![
        Do::Read,
        Do::send(format!("{STREAM}{}", chunk(&line("Hi")))),
        Do::SeeEnd,
    ]]);
    let (runtime, client) = (runtime(), server.client());
    let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
    let mut batch = Batch::default();
    assert!(matches!(take(&inbox, &mut batch), Received::Items));
    runtime.shutdown_background();
    let Received::Closed(Err(error)) = take(&inbox, &mut batch) else {
        panic!("no end")
    };
    assert_eq!(error.kind, Kind::Closed);
    server.seen();
}

#[test]
fn a_slow_reader_stops_the_server_and_loses_nothing() {
    let total = 64 << 20;
    let text = "x".repeat(8000);
    let piece = chunk(&line(&text)).into_bytes();
    let count = total / piece.len();
    let written = Arc::new(AtomicUsize::new(0));
    let (stalled, stall) = mpsc::channel();
    let progress = Arc::clone(&written);
    let script = vec![
        Do::Read,
        Do::send(STREAM),
        Do::Call(Box::new(move |stream| {
            stream
                .set_write_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            for _ in 0..count {
                let mut rest = piece.as_slice();
                while !rest.is_empty() {
                    match stream.write(rest) {
                        Ok(sent) => {
                            rest = &rest[sent..];
                            progress.fetch_add(sent, Ordering::Relaxed);
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            let _ = stalled.send(());
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })),
        Do::send(format!("{}0\r\n\r\n", chunk(DONE))),
    ];
    let server = Server::start(vec![script]);
    let (runtime, client) = (runtime(), server.client());
    let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
    stall
        .recv_timeout(PATIENCE)
        .expect("the server was never stopped");
    let queued = inbox.queued_bytes();
    assert!(
        queued > CAPACITY && queued < 2 * CAPACITY,
        "{queued} bytes are queued"
    );
    assert!(
        written.load(Ordering::Relaxed) < total / 2,
        "the sockets' buffers are not that large"
    );
    let (mut batch, mut fold, mut largest) = (Batch::default(), Fold::new(), 0);
    let end = loop {
        match take(&inbox, &mut batch) {
            Received::Items => fold.add_batch(&batch),
            Received::Closed(end) => break end,
            Received::Empty => panic!("woken for nothing"),
        }
        largest = largest.max(batch.bytes());
        batch.clear();
    };
    assert!(end.is_ok(), "{end:?}");
    assert!(largest < 2 * CAPACITY, "{largest} bytes at once");
    assert_eq!(fold.finish().content.len(), count * text.len());
    server.seen();
}

#[test]
fn a_reader_that_takes_its_time_does_not_run_into_the_idle_limit() {
    let text = "x".repeat(100_000);
    let pieces = 60;
    let mut reply = STREAM.to_owned();
    for _ in 0..pieces {
        reply.push_str(&chunk(&line(&text)));
    }
    reply.push_str(&chunk(DONE));
    reply.push_str("0\r\n\r\n");
    let server = Server::start(vec![vec![Do::Read, Do::send(reply)]]);
    let mut config = server.config();
    config.timeouts.idle = Duration::from_millis(200);
    let (runtime, client) = (runtime(), made(config).unwrap());
    let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
    while inbox.queued_bytes() <= CAPACITY {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(500));
    let (answer, end) = read_all(&inbox);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(answer.content.len(), pieces * text.len());
    server.seen();
}

#[test]
fn data_without_end_after_the_last_line_is_cut_off() {
    let server = Server::start(vec![vec![
        Do::Read,
        Do::send(format!("{STREAM}{}{}", chunk(&line("Hi")), chunk(DONE))),
        Do::SendForEver(chunk(&line("more")).into_bytes(), Duration::ZERO),
    ]]);
    let (answer, end) = crate::server::chat(&server.client());
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(answer.content, "Hi");
    server.seen();
}

#[test]
fn what_has_arrived_is_not_held_back() {
    let (go, signal) = mpsc::channel();
    let server = Server::start(vec![vec![
        Do::Read,
        Do::send(format!("{STREAM}{}", chunk(&line("first")))),
        Do::Wait(signal),
        Do::send(format!("{}0\r\n\r\n", chunk(DONE))),
    ]]);
    let (runtime, client) = (runtime(), server.client());
    let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
    let mut batch = Batch::default();
    assert!(matches!(take(&inbox, &mut batch), Received::Items));
    assert_eq!(batch.text, "first");
    go.send(()).unwrap();
    assert!(read_all(&inbox).1.is_ok());
    server.seen();
}
