//! Trying again, asking the server about a failure, and the traces that accompany a call.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use metagpt_ollama_rs::error::{Error, Kind, Phase};
use metagpt_ollama_rs::http::{
    AddressSetting, BaseUrl, Client, Config, ProxyRule, PumpMode, Request, Retry,
};
use metagpt_ollama_rs::stats::{CallInfo, CallRecord, Trace, records};
use metagpt_ollama_rs::wire::Answer;

use crate::server::{
    DONE, Do, STREAM, Server, block_on, chunk, line, made, post, pump, read_all, reply, runtime,
    streamed,
};

const AT_ONCE: Retry = Retry {
    count: 2,
    first: Duration::from_millis(1),
    budget: Duration::from_secs(30),
    retry_after: Duration::from_secs(1),
};

fn client(server: &Server) -> Client {
    made(Config {
        retry: AT_ONCE,
        ..server.config()
    })
    .unwrap()
}

/// The notes that nobody has taken.
fn texts(trace: &Trace) -> Vec<String> {
    let notes = trace.take_notes().into_iter();
    notes.map(|note| note.text).collect()
}

/// A chat about `model`, whose record is found by that name.
fn traced(model: &str) -> (Request, Arc<Trace>) {
    let call = CallInfo {
        model: model.to_owned(),
        host: "http://host".to_owned(),
        endpoint: "/api/chat".to_owned(),
        streamed: true,
    };
    let trace = Trace::new(call, None);
    let request = Request {
        trace: Some(Arc::clone(&trace)),
        ..post("/api/chat", "{}")
    };
    (request, trace)
}

fn record(model: &str) -> CallRecord {
    let mut found: Vec<CallRecord> = records()
        .into_iter()
        .filter(|record| record.start.model.as_deref() == Some(model))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn stream(client: &Client, request: Request) -> (Answer, Result<(), Error>) {
    let runtime = runtime();
    read_all(&pump(&runtime, client, request, PumpMode::Deltas))
}

fn once(status: &str, headers: &str) -> Vec<Do> {
    let refusal = format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: 14\r\n\r\n{{\"error\":\"no\"}}"
    );
    vec![Do::Read, Do::send(refusal)]
}

fn good() -> Vec<Do> {
    vec![Do::Read, Do::send(streamed("Hi"))]
}

/// Makes what a server does with one connection.
type Script = fn() -> Vec<Do>;

#[test]
fn what_passes_is_tried_again() {
    let scripts: [(&str, Script, &str); 7] = [
        ("502", || once("502 Bad Gateway", ""), "502"),
        ("503", || once("503 Service Unavailable", ""), "503"),
        ("504", || once("504 Gateway Timeout", ""), "504"),
        ("429", || once("429 Too Many Requests", ""), "429"),
        (
            "429-asked",
            || once("429 Too Many Requests", "Retry-After: 0.01\r\n"),
            "429",
        ),
        ("closed", || vec![Do::Read], "closed the connection"),
        ("reset", || vec![Do::Peek], "closed the connection"),
    ];
    for (name, script, cause) in scripts {
        let server = Server::start(vec![script(), script(), good()]);
        let (request, trace) = traced(&format!("again-{name}"));
        let (answer, end) = stream(&client(&server), request);
        assert!(end.is_ok(), "{name}: {end:?}");
        assert_eq!(answer.content, "Hi");
        let notes = texts(&trace);
        assert_eq!(notes.len(), 2, "{name}");
        assert!(
            notes[0].starts_with("retry 1 of 2 of http://host/api/chat after 0.0 s: "),
            "{notes:?}"
        );
        assert!(notes.iter().all(|note| note.contains(cause)), "{notes:?}");
        let record = record(&format!("again-{name}"));
        assert_eq!(
            (record.retries, record.error, record.status),
            (2, None, None)
        );
        assert!(record.first_token_seconds.is_some());
        let seen = server.seen();
        assert!(
            seen.iter().flatten().all(|request| request == &seen[2][0]),
            "{name}"
        );
    }
}

#[test]
fn the_last_failure_counts_and_says_how_often() {
    let refuse = || once("503 Service Unavailable", "");
    let server = Server::start(vec![refuse(), refuse(), refuse()]);
    let (request, _) = traced("gives-up");
    let error = block_on(&runtime(), client(&server).call(request)).unwrap_err();
    assert_eq!((error.kind, error.status), (Kind::Status, Some(503)));
    assert!(error.message.ends_with("Tried 3 times."), "{error}");
    server.seen();
}

#[test]
fn what_does_not_pass_is_tried_once() {
    let scripts: [(&str, Script); 7] = [
        ("400", || once("400 Bad Request", "")),
        ("404", || once("404 Not Found", "")),
        ("500", || once("500 Internal Server Error", "")),
        ("501", || once("501 Not Implemented", "")),
        ("too long a wait", || {
            once("429 Too Many Requests", "Retry-After: 60\r\n")
        }),
        ("garbage", || vec![Do::Read, Do::send("garbage\r\n\r\n")]),
        ("broken off", || {
            vec![
                Do::Read,
                Do::send(format!("{STREAM}{}", chunk(&line("Hi")))),
            ]
        }),
    ];
    for (name, script) in scripts {
        // A second connection would be refused, and change the error.
        let server = Server::start(vec![script()]);
        let (_, end) = stream(&client(&server), post("/api/chat", "{}"));
        let error = end.unwrap_err();
        assert_ne!(error.kind, Kind::Connect, "{name}: {error}");
        assert!(!error.message.contains("Tried"), "{name}: {error}");
        server.seen();
    }
}

#[test]
fn a_refused_connection_is_tried_again_until_somebody_listens() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let base = BaseUrl::parse(&address.to_string(), AddressSetting::BaseUrl).unwrap();
    let retry = Retry {
        count: 1000,
        first: Duration::from_millis(5),
        ..AT_ONCE
    };
    let client = made(Config {
        retry,
        ..Config::new(base)
    })
    .unwrap();
    let runtime = runtime();
    let (request, trace) = traced("comes-up");
    let inbox = pump(&runtime, &client, request, PumpMode::Deltas);
    let waiting = std::time::Instant::now();
    let mut notes = Vec::new();
    while notes.is_empty() {
        assert!(waiting.elapsed() < crate::server::PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
        notes = texts(&trace);
    }
    assert!(notes[0].contains("connection refused"), "{notes:?}");
    let server = Server::listening(TcpListener::bind(address).unwrap(), vec![good()]);
    let (answer, end) = read_all(&inbox);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(answer.content, "Hi");
    server.seen();
}

#[test]
fn an_abort_ends_a_wait() {
    let server = Server::start(vec![once("503 Service Unavailable", "")]);
    let never = Duration::from_secs(3600);
    let retry = Retry {
        first: never,
        budget: never * 3,
        ..AT_ONCE
    };
    let client = made(Config {
        retry,
        ..server.config()
    })
    .unwrap();
    let runtime = runtime();
    let (request, trace) = traced("aborted");
    let inbox = pump(&runtime, &client, request, PumpMode::Deltas);
    server.seen();
    let waiting = std::time::Instant::now();
    while trace.take_notes().is_empty() {
        assert!(waiting.elapsed() < crate::server::PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    inbox.abort();
    let error = read_all(&inbox).1.unwrap_err();
    assert_eq!(error.kind, Kind::Closed);
    assert_eq!(
        (record("aborted").error, record("aborted").retries),
        (Some("closed"), 1)
    );
}

fn json(body: &str) -> Vec<Do> {
    vec![
        Do::Read,
        Do::send(reply("200 OK", "application/json", body)),
    ]
}

#[test]
fn a_first_token_that_does_not_come_is_asked_about() {
    let cases: [(&str, Script, Option<bool>, &str); 5] = [
        (
            "in-memory",
            || json("{\"models\":[{\"name\":\"in-memory:latest\"}]}"),
            Some(true),
            "is in memory (loaded)",
        ),
        (
            "loading",
            || json("{\"models\":[{\"name\":\"other:latest\"}]}"),
            Some(false),
            "still loading or queued",
        ),
        (
            "nothing",
            || json("{\"models\":[]}"),
            Some(false),
            "still loading or queued",
        ),
        ("no-list", || json("{}"), None, "first token within"),
        (
            "refused",
            || once("503 Service Unavailable", ""),
            None,
            "first token within",
        ),
    ];
    for (name, script, loaded, says) in cases {
        let server = Server::start(vec![vec![Do::Read, Do::SeeEnd], script()]);
        let mut config = Config {
            retry: AT_ONCE,
            ..server.config()
        };
        config.timeouts.first_token = Duration::from_millis(100);
        let (request, _) = traced(name);
        let (_, end) = stream(&made(config).unwrap(), request);
        let error = end.unwrap_err();
        assert_eq!(
            (error.kind, error.phase, error.loaded),
            (Kind::Timeout, Some(Phase::FirstToken), loaded),
            "{error}"
        );
        assert!(error.message.contains(says), "{error}");
        assert_eq!(
            (record(name).phase, record(name).error),
            (Some(Phase::FirstToken), Some("timeout"))
        );
        let asked = server.seen();
        assert!(asked[1][0].starts_with(b"GET /api/ps "), "{name}");
    }
}

#[test]
fn the_models_that_are_there_are_asked_for() {
    for call in [true, false] {
        let missing = reply(
            "404 Not Found",
            "application/json",
            "{\"error\":\"model 'x' not found\"}",
        );
        let script = [
            vec![Do::Read, Do::send(missing)],
            json("{\"models\":[{\"name\":\"a:1b\"},{\"model\":\"b\"},{}]}"),
        ];
        let server = Server::start(vec![script.into_iter().flatten().collect()]);
        let (request, _) = traced("x");
        let error = if call {
            block_on(&runtime(), client(&server).call(request)).unwrap_err()
        } else {
            stream(&client(&server), request).1.unwrap_err()
        };
        assert_eq!(error.status, Some(404));
        assert_eq!(
            error.available,
            Some(vec!["a:1b".to_owned(), "b".to_owned()])
        );
        server.seen();
    }
}

#[test]
fn a_server_that_repeats_a_secret_is_not_quoted() {
    let body = "{\"error\":\"no: key-123456, hunter-22, proxy-word, aGVhZGVy\"}";
    let server = Server::start(vec![vec![
        Do::Read,
        Do::send(reply("401 Unauthorized", "application/json", body)),
    ]]);
    let base = BaseUrl::parse(
        &format!("http://ann:hunter-22@{}", server.address),
        AddressSetting::BaseUrl,
    )
    .unwrap();
    let config = Config {
        api_key: Some("key-123456".to_owned()),
        headers: vec![("X-Token".to_owned(), "Bearer aGVhZGVy".to_owned())],
        proxy: ProxyRule::Explicit(format!("http://ann:proxy-word@{}", server.address)),
        ..Config::new(base)
    };
    let (_, end) = stream(&made(config).unwrap(), post("/api/chat", "{}"));
    let error = end.unwrap_err();
    assert_eq!(error.server_text.as_deref(), Some("no: ***, ***, ***, ***"));
    assert_eq!(
        error.body.as_deref(),
        Some("{\"error\":\"no: ***, ***, ***, ***\"}".as_bytes())
    );
    let shown = format!("{error:?}");
    for secret in ["key-123456", "hunter-22", "proxy-word", "aGVhZGVy"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    server.seen();
}

#[test]
fn a_stream_leaves_a_record() {
    let last = DONE.replace("\"stop\"", "\"length\",\"load_duration\":2000000000,\"prompt_eval_count\":7,\"eval_count\":3,\"eval_duration\":500000000");
    for (model, mode) in [("deltas", PumpMode::Deltas), ("lines", PumpMode::RawLines)] {
        let body = format!("{STREAM}{}{}0\r\n\r\n", chunk(&line("Hi")), chunk(&last));
        let server = Server::answering(body);
        let (request, _) = traced(model);
        let (runtime, client) = (runtime(), client(&server));
        assert!(read_all(&pump(&runtime, &client, request, mode)).1.is_ok());
        let record = record(model);
        assert_eq!(
            (
                record.prompt_tokens,
                record.answer_tokens,
                record.cached_tokens
            ),
            (Some(7), Some(3), None)
        );
        assert_eq!(
            (record.load_seconds, record.tokens_per_second),
            (Some(2.0), Some(6.0))
        );
        assert!(record.truncated && record.start.streamed && record.error.is_none());
        assert!(record.first_token_seconds.unwrap() <= record.seconds);
        server.seen();
    }
}
