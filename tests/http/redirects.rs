//! Which redirects are followed, with what, and what the others say.

use std::net::TcpListener;
use std::time::Duration;

use metagpt_ollama_rs::error::{Error, Kind, Phase, Repeat};
use metagpt_ollama_rs::http::{Method, Reply, Request, Retry, Timeouts};

use crate::server::{
    Do, Server, block_on, chat, get, is_direct, made, post, reply, request, runtime, streamed,
};

fn to(status: &str, location: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// Answers each request on a connection of its own.
fn answering(replies: impl IntoIterator<Item = String>) -> Server {
    let script = |reply| vec![Do::Read, Do::send(reply)];
    Server::start(replies.into_iter().map(script).collect())
}

/// What `server` was asked.
fn asked(server: Server) -> Vec<Vec<u8>> {
    server.seen().into_iter().flatten().collect()
}

fn call(server: &Server, request: Request) -> Result<Reply, Error> {
    block_on(&runtime(), server.client().call(request))
}

fn first_lines(requests: &[Vec<u8>]) -> Vec<String> {
    let line = |request: &Vec<u8>| {
        let text = String::from_utf8(request.clone()).unwrap();
        text.split(" HTTP").next().unwrap().to_owned()
    };
    requests.iter().map(line).collect()
}

const NICE: &str = "{\"done\":true}";

#[test]
fn on_one_host_a_request_goes_on_as_it_is() {
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        for location in [
            "/ollama/api/chat",
            "../ollama/api/chat",
            "http://ADDRESS/ollama/api/chat#here",
            "http://ann:secret@ADDRESS/ollama/api/chat",
            "//ADDRESS/ollama/api/chat",
        ] {
            for whole in [true, false] {
                let answer = if whole {
                    reply("200 OK", "application/json", NICE)
                } else {
                    streamed("Hi")
                };
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let own = listener.local_addr().unwrap().to_string();
                let first = to(status, &location.replace("ADDRESS", &own));
                let script = |reply| vec![Do::Read, Do::send(reply)];
                let server = Server::listening(listener, vec![script(first), script(answer)]);
                if whole {
                    let body = call(&server, post("/api/chat", "{\"a\":1}")).unwrap().body;
                    assert_eq!(body, NICE.as_bytes());
                } else {
                    let (answer, end) = chat(&server.client());
                    assert_eq!(answer.content, "Hi");
                    end.unwrap();
                }
                let seen = asked(server);
                assert_eq!(
                    first_lines(&seen),
                    ["POST /api/chat", "POST /ollama/api/chat"]
                );
                let body = |request: &[u8]| {
                    request
                        .split(|byte| *byte == b'\n')
                        .next_back()
                        .map(<[u8]>::to_vec)
                };
                assert_eq!(body(&seen[0]), body(&seen[1]));
                assert!(!String::from_utf8_lossy(&seen[1]).contains("ann"));
            }
        }
    }
}

#[test]
fn what_has_no_body_follows_the_older_ones_too() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"] {
        let server = answering([
            to(status, "/new?x=1"),
            reply("200 OK", "application/json", NICE),
        ]);
        assert_eq!(call(&server, get("/api/tags")).unwrap().status, 200);
        assert_eq!(
            first_lines(&asked(server)),
            ["GET /api/tags", "GET /new?x=1"]
        );
    }
    let delete = Request {
        body: Some(b"{}".to_vec()),
        ..request(Method::Delete, "/api/delete")
    };
    for request in [post("/api/chat", "{}"), delete] {
        for status in ["301 Moved", "302 Found", "303 See Other"] {
            let location = "https://127.0.0.1/ollama/api/chat?token=x";
            let server = Server::answering(to(status, location));
            let error = call(&server, request.clone()).unwrap_err();
            assert_eq!(error.kind, Kind::Protocol);
            assert!(
                error
                    .message
                    .contains("Write https://127.0.0.1/ollama as the base URL"),
                "{error}"
            );
            assert!(!error.message.contains("token"), "{error}");
            assert_eq!(error.location.as_deref(), Some(location));
            server.seen();
        }
    }
}

#[test]
fn another_port_gets_neither_key_nor_headers() {
    let other = answering([
        reply("200 OK", "application/json", NICE),
        reply(
            "401 Unauthorized",
            "application/json",
            "{\"error\":\"who?\"}",
        ),
    ]);
    let place = format!("http://{}/api/chat", other.address);
    let server = answering([to("307 T", &place), to("307 T", &place)]);
    let mut config = server.config();
    config.api_key = Some("key-of-mine".to_owned());
    config.headers = vec![("X-Team".to_owned(), "secret".to_owned())];
    let client = made(config).unwrap();
    let runtime = runtime();
    let ask = || block_on(&runtime, client.call(post("/api/chat", "{\"a\":1}")));
    assert_eq!(ask().unwrap().body, NICE.as_bytes());
    let error = ask().unwrap_err();
    assert!(
        error.message.contains("key and headers are not sent"),
        "{error}"
    );
    assert_eq!(error.url.as_deref(), Some(place.as_str()));
    drop(client);
    let seen = asked(server);
    assert!(String::from_utf8_lossy(&seen[1]).contains("key-of-mine"));
    let address = other.address;
    let seen = asked(other);
    for request in seen {
        let text = String::from_utf8(request).unwrap().to_lowercase();
        assert!(text.contains(&format!("\r\nhost: {address}\r\n")), "{text}");
        assert!(text.contains("content-type: application/json"), "{text}");
        assert!(
            !text.contains("key-of-mine") && !text.contains("x-team"),
            "{text}"
        );
        assert!(text.ends_with("{\"a\":1}"), "{text}");
    }
}

#[test]
fn what_is_not_followed() {
    for (location, says) in [
        ("http://localhost:1/api/chat", "another host"),
        ("https://ollama.example/api/chat", "another host"),
        ("file:///etc/passwd", "neither http nor https"),
        ("gopher://127.0.0.1/", "neither http nor https"),
        ("/api/chat", "in a circle"),
        ("http://", "no usable place"),
        ("http://[::1", "no usable place"),
    ] {
        let server = Server::start(vec![vec![Do::Read, Do::send(to("308 P", location))]]);
        let (answer, end) = chat(&server.client());
        let error = end.unwrap_err();
        assert_eq!(answer.content, "");
        assert_eq!(
            (error.kind, error.status, error.repeat),
            (Kind::Protocol, Some(308), Repeat::Never),
            "{error}"
        );
        assert!(error.message.contains(says), "{location}: {error}");
        server.seen();
    }
    for bytes in [
        "HTTP/1.1 307 T\r\nContent-Length: 0\r\n\r\n".to_owned(),
        to("300 Multiple Choices", "/x"),
        to("304 Not Modified", "/x"),
        to("305 Use Proxy", "/x"),
    ] {
        let server = Server::answering(bytes);
        let error = call(&server, get("/api/tags")).unwrap_err();
        assert_eq!(error.kind, Kind::Protocol, "{error}");
        server.seen();
    }
}

#[test]
fn endless_redirects_end() {
    let server = answering((0..=10).map(|number| to("307 T", &format!("/{number}"))));
    let error = call(&server, post("/api/chat", "{}")).unwrap_err();
    assert!(error.message.contains("too many in a row"), "{error}");
    assert_eq!(asked(server).len(), 11);

    let server = answering([to("307 T", "/b"), to("307 T", "/api/chat")]);
    let error = call(&server, post("/api/chat", "{}")).unwrap_err();
    assert!(error.message.contains("in a circle"), "{error}");
    assert!(!error.message.contains("as the base URL"), "{error}");
    server.seen();
}

#[test]
fn retries_and_limits_hold_over_redirects() {
    let server = answering([
        to("307 T", "/b"),
        reply("503 Busy", "application/json", "{\"error\":\"busy\"}"),
        to("307 T", "/b"),
        streamed("Hi"),
    ]);
    let mut config = server.config();
    config.retry = Retry {
        first: Duration::from_millis(1),
        ..Retry::default()
    };
    let (answer, end) = chat(&made(config).unwrap());
    assert_eq!(answer.content, "Hi");
    end.unwrap();
    server.seen();

    let (release, wait) = std::sync::mpsc::channel();
    let server = Server::start(vec![
        vec![Do::Read, Do::send(to("307 T", "/b"))],
        vec![Do::Read, Do::Wait(wait)],
    ]);
    let mut config = server.config();
    config.timeouts = Timeouts {
        total: Some(Duration::from_millis(200)),
        ..Timeouts::default()
    };
    let (_, end) = chat(&made(config).unwrap());
    let error = end.unwrap_err();
    assert_eq!(
        (error.kind, error.phase),
        (Kind::Timeout, Some(Phase::Total))
    );
    assert!(error.url.clone().unwrap().ends_with("/b"), "{error:?}");
    release.send(()).unwrap();
    server.seen();
}

/// The direct lane has the connection back before it goes on; the general one may not, and makes another.
#[test]
fn a_connection_serves_for_what_it_redirects_to() {
    if !is_direct() {
        return;
    }
    let page = "x".repeat(5000);
    let server = Server::start(vec![vec![
        Do::Read,
        Do::send(format!(
            "HTTP/1.1 307 T\r\nLocation: /b\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n{page}"
        )),
        Do::Read,
        Do::send(streamed("Hi")),
    ]]);
    let (answer, end) = chat(&server.client());
    assert_eq!(answer.content, "Hi");
    end.unwrap();
    assert_eq!(server.seen()[0].len(), 2);
}
