//! Refusals, redirects, and replies that are read whole.

use std::time::Duration;

use metagpt_ollama_rs::error::Kind;
use metagpt_ollama_rs::http::Timeouts;

use crate::server::{
    DONE, Do, PATIENCE, STREAM, Server, block_on, chat, chunk, get, made, post, reply, runtime,
};

#[test]
fn redirects_name_the_base_url_to_write() {
    for (location, base) in [
        (
            "https://example.com/api/chat",
            "Write https://example.com as the base URL",
        ),
        (
            "http://u:secret@example.com:8080/ollama/api/chat?x=1",
            "Write http://example.com:8080/ollama as the base URL",
        ),
        (
            "//other:99/api/chat",
            "Write http://other:99 as the base URL",
        ),
        ("http://", "no usable place"),
    ] {
        let bytes = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        );
        let server = Server::answering(bytes);
        let (_, end) = chat(&server.client());
        let error = end.unwrap_err();
        assert_eq!((error.kind, error.status), (Kind::Protocol, Some(307)));
        assert!(error.message.contains(base), "{error}");
        assert!(!error.message.contains("secret"), "{error}");
        server.seen();
    }
}

#[test]
fn refusals() {
    let nested = "{\"error\":\"{\\\"error\\\":{\\\"code\\\":400,\\\"message\\\":\\\"too long\\\",\\\"type\\\":\\\"exceed_context_size_error\\\"}}\"}";
    let long = "x".repeat(100_000);
    for (status, content_type, body, text) in [
        (
            "404 Not Found",
            "application/json; charset=utf-8",
            "{\"error\":\"model 'nope' not found\"}",
            Some("model 'nope' not found"),
        ),
        (
            "404 Not Found",
            "text/plain",
            "404 page not found",
            Some("404 page not found"),
        ),
        (
            "400 Bad Request",
            "application/json",
            nested,
            Some("too long"),
        ),
        (
            "400 Bad Request",
            "application/json",
            "{\"error\":{\"message\":\"bad\",\"type\":\"x\"}}",
            Some("bad"),
        ),
        (
            "500 Internal Server Error",
            "application/json",
            "{\"error\":{}}",
            Some("{\"error\":{}}"),
        ),
        (
            "500 Internal Server Error",
            "application/json",
            "{\"error\":\"{not json\"}",
            Some("{not json"),
        ),
        (
            "401 Unauthorized",
            "application/x-ndjson",
            "{\"error\":\"unauthorized\",\"signin_url\":\"https://ollama.com/connect?name=a\\u0026key=b\"}",
            Some("unauthorized"),
        ),
        ("403 Forbidden", "", "", None),
        (
            "502 Bad Gateway",
            "text/html",
            "<html><head><title>502 Bad\n Gateway</title></head><body>nginx</body></html>",
            Some("502 Bad Gateway"),
        ),
        (
            "504 Gateway Timeout",
            "text/html",
            "<h1>upstream <b>is</b> slow</h1>",
            Some("upstream is slow"),
        ),
        (
            "413 Payload Too Large",
            "text/plain",
            long.as_str(),
            Some(&long[..65536]),
        ),
    ] {
        let bytes = reply(status, content_type, body);
        let code: u16 = status[..3].parse().unwrap();

        let server = Server::answering(bytes.clone());
        let (answer, end) = chat(&server.client());
        let streamed = end.unwrap_err();
        assert_eq!(answer.content, "");
        server.seen();

        let server = Server::answering(bytes);
        let called =
            block_on(&runtime(), server.client().call(post("/api/chat", "{}"))).unwrap_err();
        server.seen();

        for error in [streamed, called] {
            assert_eq!(
                (error.kind, error.status),
                (Kind::Status, Some(code)),
                "{error}"
            );
            assert_eq!(error.server_text.as_deref(), text, "{body}");
            assert_eq!(
                error.body.as_deref(),
                Some(&body.as_bytes()[..body.len().min(65536)])
            );
            assert!(error.message.contains(status), "{error}");
            assert!(error.message.len() < 1000, "{error}");
        }
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    for (value, expected) in [
        ("7", Some(7.0)),
        ("1.5", Some(1.5)),
        ("soon", None),
        ("-1", None),
        ("Fri, 21 Aug 2015 17:00:05 GMT", Some(0.0)),
    ] {
        let bytes = format!(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
        );
        let server = Server::answering(bytes);
        let (_, end) = chat(&server.client());
        assert_eq!(end.unwrap_err().retry_after, expected, "{value}");
        server.seen();
    }
}

#[test]
fn a_refusal_whose_body_breaks_off_is_still_a_refusal() {
    for bytes in [
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 500\r\n\r\nbusy",
        "HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\nzz",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbusy",
    ] {
        let server = Server::answering(bytes);
        let (_, end) = chat(&server.client());
        assert_eq!(end.unwrap_err().status, Some(503));
        server.seen();
    }
}

#[test]
fn a_refusal_whose_body_does_not_end_is_not_waited_for() {
    let server = Server::start(vec![vec![
        Do::Read,
        Do::send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 500\r\n\r\nbusy"),
        Do::SeeEnd,
    ]]);
    let mut config = server.config();
    config.timeouts.idle = 2 * PATIENCE;
    let (_, end) = chat(&made(config).unwrap());
    let error = end.unwrap_err();
    assert_eq!((error.kind, error.status), (Kind::Status, Some(503)));
    assert_eq!(error.server_text.as_deref(), Some("busy"));
    server.seen();
}

#[test]
fn whole_replies() {
    let body = "{\"version\":\"0.33.0\"}";
    let small = Timeouts {
        idle: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let rows: Vec<(&str, String, Result<&str, Kind>)> = vec![
        (
            "a length",
            reply("200 OK", "application/json", body),
            Ok(body),
        ),
        (
            "chunks",
            format!("{STREAM}{}0\r\n\r\n", chunk(body)),
            Ok(body),
        ),
        (
            "HTTP/1.0",
            format!("HTTP/1.0 200 OK\r\n\r\n{body}"),
            Ok(body),
        ),
        (
            "text",
            reply("200 OK", "text/plain", "Ollama is running"),
            Ok("Ollama is running"),
        ),
        ("nothing", reply("200 OK", "application/json", ""), Ok("")),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Ok("")),
        (
            "no last chunk",
            format!("{STREAM}{}", chunk(body)),
            Err(Kind::Interrupted),
        ),
        (
            "no last chunk after done",
            format!("{STREAM}{}", chunk(DONE)),
            Err(Kind::Interrupted),
        ),
        (
            "less than promised",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{body}"),
            Err(Kind::Interrupted),
        ),
        (
            "a broken size",
            format!("{STREAM}zz\r\n{body}"),
            Err(Kind::Protocol),
        ),
        (
            "a web page",
            reply("200 OK", "text/html", "<p>hi"),
            Err(Kind::Protocol),
        ),
        (
            "gzip",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            Err(Kind::Protocol),
        ),
        (
            "a redirect",
            "HTTP/1.1 301 Moved\r\nLocation: http://other/x\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            Err(Kind::Protocol),
        ),
        (
            "too long",
            reply("200 OK", "application/json", &"x".repeat(5000)),
            Err(Kind::Protocol),
        ),
        (
            "too long in chunks",
            format!(
                "{STREAM}{}{}0\r\n\r\n",
                chunk(&"x".repeat(3000)),
                chunk(&"x".repeat(3000))
            ),
            Err(Kind::Protocol),
        ),
    ];
    for (name, bytes, expected) in rows {
        let server = Server::answering(bytes);
        let mut config = server.config();
        config.max_body = 4096;
        config.timeouts = small;
        let client = made(config).unwrap();
        let reply = block_on(&runtime(), client.call(get("/api/version")));
        match (reply, expected) {
            (Ok(reply), Ok(body)) => {
                assert_eq!(String::from_utf8(reply.body).unwrap(), body, "{name}");
            }
            (Err(error), Err(kind)) => {
                assert_eq!(
                    (error.kind, error.status.is_some()),
                    (kind, true),
                    "{name}: {error}"
                );
            }
            (reply, expected) => panic!("{name}: {reply:?} instead of {expected:?}"),
        }
        server.seen();
    }
}
