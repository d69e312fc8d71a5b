//! Connections: made, used again, found dead, closed.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use metagpt_ollama_rs::error::{Cause, Kind};
use metagpt_ollama_rs::http::{AddressSetting, BaseUrl, Config, Method, PumpMode, Request, Retry};

use crate::server::{
    DONE, Do, PATIENCE, STREAM, Server, accept, block_on, chunk, get, kind, line, made, post, pump,
    read_all, read_request, reply, request, runtime, streamed,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn five_calls_use_one_connection() {
    let server = Server::start(vec![
        (0..5).flat_map(|_| [Do::Read, Do::send(OK)]).collect(),
    ]);
    let (runtime, client) = (runtime(), server.client());
    for _ in 0..5 {
        block_on(&runtime, client.clone().call(get("/api/version"))).unwrap();
    }
    assert_eq!(server.seen()[0].len(), 5);
}

#[test]
fn streams_leave_their_connection_to_the_next() {
    let complete = streamed("Hi");
    let late = format!("{STREAM}{}{}", chunk(&line("Hi")), chunk(DONE));
    let refused = reply("404 Not Found", "text/plain", "404 page not found");
    let script = vec![
        Do::Read,
        Do::send(complete.clone()),
        Do::Read,
        Do::send(late),
        Do::send("0\r\n\r\n"),
        Do::Read,
        Do::send(refused),
        Do::Read,
        Do::send(complete),
    ];
    let server = Server::start(vec![script]);
    let (runtime, client) = (runtime(), server.client());
    for expected in [None, None, Some(Kind::Status), None] {
        let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
        assert_eq!(kind(&read_all(&inbox).1), expected);
    }
    assert_eq!(server.seen()[0].len(), 4);
}

#[test]
fn a_stream_whose_end_does_not_come_costs_its_connection_only() {
    let server = Server::start(vec![
        vec![
            Do::Read,
            Do::send(format!("{STREAM}{}", chunk(DONE))),
            Do::SeeEnd,
        ],
        vec![Do::Read, Do::send(OK)],
    ]);
    let (runtime, client) = (runtime(), server.client());
    let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
    assert_eq!(kind(&read_all(&inbox).1), None);
    block_on(&runtime, client.call(get("/api/version"))).unwrap();
    server.seen();
}

#[test]
fn a_stale_connection_is_replaced_once_at_once() {
    let body = "{\"model\":\"m\"}";
    let stale: Vec<(&str, Vec<Do>)> = vec![
        ("closed while idle", vec![]),
        ("closed on the next request", vec![Do::Read]),
        ("reset by the next request", vec![Do::Peek]),
    ];
    for (name, death) in stale {
        let mut first = vec![Do::Read, Do::send(OK)];
        first.extend(death);
        let server = Server::start(vec![first, vec![Do::Read, Do::send(OK)]]);
        let (runtime, client) = (runtime(), server.client());
        for _ in 0..2 {
            let reply = block_on(&runtime, client.call(post("/api/chat", body)));
            assert_eq!(reply.unwrap().body, b"{}", "{name}");
        }
        let seen = server.seen();
        assert_eq!(seen[0][0], seen[1][0], "{name}");
    }
}

/// The next connection of the pool may be dead as well, as all are when a server was started again.
#[test]
fn what_replaces_a_stale_connection_is_new() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let same = listener.try_clone().unwrap();
    let close_when_asked = |stream: TcpStream| {
        thread::spawn(move || {
            let _ = stream.peek(&mut [0]);
            let _ = stream.shutdown(Shutdown::Both);
        });
    };
    // Replies to both requests when both are there, so that the pool has two connections.
    let two = Do::Call(Box::new(move |first| {
        let mut second = accept(&same);
        read_request(&mut second);
        first.write_all(OK.as_bytes()).unwrap();
        second.write_all(OK.as_bytes()).unwrap();
        close_when_asked(first.try_clone().unwrap());
        close_when_asked(second);
    }));
    let scripts = vec![vec![Do::Read, two], vec![Do::Read, Do::send(OK)]];
    let server = Server::listening(listener, scripts);
    let (runtime, client) = (runtime(), server.client());
    let ask = || async {
        let reply = client.clone().call(post("/api/chat", "{}")).await;
        reply.unwrap().body
    };
    block_on(&runtime, async {
        assert_eq!(tokio::join!(ask(), ask()), (b"{}".to_vec(), b"{}".to_vec()));
        assert_eq!(ask().await, b"{}");
    });
    server.seen();
}

/// The server may have done what it was asked before its connection ended, so it is not asked twice; what was never
/// written is.
#[test]
fn what_changes_something_is_sent_once() {
    type Asked = (&'static str, fn() -> Request);
    let delete = || Request {
        body: Some(b"{}".to_vec()),
        ..request(Method::Delete, "/api/delete")
    };
    let asked: [Asked; 8] = [
        ("copy", || post("/api/copy", "{}")),
        ("create", || post("/api/create", "{}")),
        ("push", || post("/api/push", "{}")),
        ("pull", || post("/api/pull", "{}")),
        ("a blob", || post("/api/blobs/sha256:0", "{}")),
        ("what is not known", || post("/api/new", "{}")),
        ("large", || post("/api/copy", vec![b' '; 200_000])),
        ("delete", delete),
    ];
    for (name, request) in asked {
        for retry in [Retry::OFF, Retry::default()] {
            for whole in [true, false] {
                let server = Server::start(vec![vec![Do::Read, Do::send(OK), Do::Read]]);
                let mut config = server.config();
                config.retry = retry;
                let (runtime, client) = (runtime(), made(config).unwrap());
                block_on(&runtime, client.call(get("/api/version"))).unwrap();
                let end = if whole {
                    block_on(&runtime, client.call(request())).map(drop)
                } else {
                    read_all(&pump(&runtime, &client, request(), PumpMode::Deltas)).1
                };
                let error = end.unwrap_err();
                assert_eq!(error.kind, Kind::Connect, "{name}: {error}");
                assert!(
                    error.message.contains("before it replied"),
                    "{name}: {error}"
                );
                assert_eq!(server.seen()[0].len(), 2, "{name}");
            }
        }
        let (closed, gone) = mpsc::channel();
        let close = move |stream: &mut TcpStream| {
            stream.shutdown(Shutdown::Both).unwrap();
            closed.send(()).unwrap();
        };
        let server = Server::start(vec![
            vec![Do::Read, Do::send(OK), Do::Call(Box::new(close))],
            vec![Do::Read, Do::send(OK)],
        ]);
        let (runtime, client) = (runtime(), server.client());
        block_on(&runtime, client.call(get("/api/version"))).unwrap();
        gone.recv_timeout(PATIENCE).unwrap();
        block_on(&runtime, client.call(request()))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        server.seen();
    }
}

#[test]
fn a_stream_survives_a_stale_connection() {
    let server = Server::start(vec![
        vec![Do::Read, Do::send(OK), Do::Peek],
        vec![Do::Read, Do::send(streamed("Hi"))],
    ]);
    let (runtime, client) = (runtime(), server.client());
    block_on(&runtime, client.call(get("/api/version"))).unwrap();
    let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
    let (answer, end) = read_all(&inbox);
    assert_eq!((answer.content.as_str(), kind(&end)), ("Hi", None));
    server.seen();
}

/// Heads of replies of which nobody can say for sure where they end.
const DUBIOUS: [&str; 5] = [
    "Content-Length: 12\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 12",
    "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
];

#[test]
fn a_connection_whose_reply_has_no_sure_end_is_not_used_again() {
    for status in [
        "200 OK",
        "500 Internal Server Error",
        "404 Not Found",
        "302 Found",
    ] {
        for framing in DUBIOUS {
            for streamed in [true, false] {
                let dubious = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{framing}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
                );
                let server = Server::start(vec![
                    vec![Do::Read, Do::send(dubious), Do::SeeEnd],
                    vec![Do::Read, Do::send(OK)],
                ]);
                let (runtime, client) = (runtime(), server.client());
                let request = post("/api/chat", "{}");
                let end = if streamed {
                    read_all(&pump(&runtime, &client, request, PumpMode::Deltas)).1
                } else {
                    block_on(&runtime, client.call(request)).map(drop)
                };
                assert!(end.is_err(), "{status} {framing}");
                block_on(&runtime, client.call(get("/api/version"))).unwrap();
                server.seen();
            }
        }
    }
}

#[test]
fn a_request_is_not_sent_twice_once_a_reply_has_begun() {
    for (begun, expected) in [
        (format!("{STREAM}{}", chunk(&line("Hi"))), Kind::Interrupted),
        (STREAM.to_owned(), Kind::Interrupted),
        ("garbage\r\n\r\n".to_owned(), Kind::Protocol),
    ] {
        let server = Server::start(vec![vec![
            Do::Read,
            Do::send(OK),
            Do::Read,
            Do::send(begun),
        ]]);
        let (runtime, client) = (runtime(), server.client());
        block_on(&runtime, client.call(get("/api/version"))).unwrap();
        let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
        let error = read_all(&inbox).1.unwrap_err();
        assert_eq!((error.kind, error.began), (expected, true), "{error}");
        // The server's script has one connection; a second one would be refused and change the error.
        server.seen();
    }
}

#[test]
fn a_fresh_connection_that_dies_is_an_error_at_once() {
    for (name, death) in [("closed", Do::Read), ("reset", Do::Peek)] {
        let server = Server::start(vec![vec![death]]);
        let (runtime, client) = (runtime(), server.client());
        let error = block_on(&runtime, client.call(post("/api/chat", "{}"))).unwrap_err();
        assert_eq!(
            (error.kind, error.began, error.status),
            (Kind::Connect, false, None),
            "{name}: {error}"
        );
        assert!(
            error
                .message
                .contains("closed the connection before it replied"),
            "{name}: {error}"
        );
        server.seen();
    }
}

#[test]
fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let base = BaseUrl::parse(
        &format!("http://user:secret@{address}"),
        AddressSetting::BaseUrl,
    )
    .unwrap();
    let client = made(Config::new(base)).unwrap();
    let runtime = runtime();
    let called = block_on(&runtime, client.call(get("/api/version"))).unwrap_err();
    let inbox = pump(&runtime, &client, get("/api/version"), PumpMode::Deltas);
    let streamed = read_all(&inbox).1.unwrap_err();
    for error in [called, streamed] {
        assert_eq!((error.kind, error.began), (Kind::Connect, false), "{error}");
        assert!(error.message.contains("connection refused"), "{error}");
        assert_eq!(
            error.url.as_deref(),
            Some(format!("http://{address}/api/version").as_str())
        );
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn a_name_that_does_not_exist() {
    let base = BaseUrl::parse("ollama.invalid", AddressSetting::Host).unwrap();
    let error = block_on(&runtime(), made(Config::new(base)).unwrap().call(get("/"))).unwrap_err();
    assert_eq!((error.kind, error.began), (Kind::Connect, false), "{error}");
    assert!(error.message.contains("name is not known"), "{error}");
}

#[test]
fn https_to_a_server_without_tls_is_a_connection_error() {
    let server = Server::start(vec![vec![
        Do::Peek,
        Do::send("HTTP/1.1 400 Bad Request\r\n\r\n"),
        Do::Peek,
    ]]);
    let base = BaseUrl::parse(
        &format!("https://{}", server.address),
        AddressSetting::BaseUrl,
    )
    .unwrap();
    match made(Config::new(base)) {
        Ok(client) => {
            let error = block_on(&runtime(), client.call(get("/"))).unwrap_err();
            assert_eq!((error.kind, error.began), (Kind::Connect, false), "{error}");
            assert!(error.message.contains("does not speak TLS"), "{error}");
            assert_eq!(error.cause, Some(Cause::NoTls));
            server.seen();
        }
        // A machine without certificates cannot make such a client, and says so.
        Err(error) => {
            assert_eq!(error.kind, Kind::Config);
            assert!(error.message.contains("CA certificates"), "{error}");
        }
    }
}

#[test]
fn a_proxy_that_is_down_is_named_without_its_password() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut config = Config::new(BaseUrl::default());
    config.proxy =
        metagpt_ollama_rs::http::ProxyRule::Explicit(format!("http://user:secret@{address}"));
    let error = block_on(&runtime(), made(config).unwrap().call(get("/"))).unwrap_err();
    assert_eq!(error.kind, Kind::Connect);
    assert!(
        error
            .message
            .contains(&format!("The proxy http://{address} cannot be reached")),
        "{error}"
    );
    assert_eq!(error.proxy, Some(format!("http://{address}")));
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}
