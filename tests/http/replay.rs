//! Every recorded exchange, replayed byte for byte: the client must come to what the recording says.

use std::path::Path;
use std::time::Duration;

use metagpt_ollama_rs::error::Kind;
use metagpt_ollama_rs::http::{Method, PumpMode, Request};
use metagpt_ollama_rs::inbox::Received;
use metagpt_ollama_rs::wire::{Batch, Item, Outcome, fold_body};

use crate::server::{Do, PATIENCE, Server, block_on, made, post, pump, read_all, request, runtime};

struct Recording {
    name: String,
    request: Vec<u8>,
    response: Vec<u8>,
}

fn recordings() -> Vec<Recording> {
    let mut found = Vec::new();
    for folder in ["scripted", "smollm2"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/transcripts")
            .join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "response")
            {
                found.push(Recording {
                    name: path.display().to_string(),
                    request: std::fs::read(path.with_extension("request")).unwrap(),
                    response: std::fs::read(&path).unwrap(),
                });
            }
        }
    }
    assert!(found.len() > 120, "{} recordings", found.len());
    found
}

impl Recording {
    fn ask(&self) -> Request {
        let head = String::from_utf8_lossy(&self.request);
        let mut words = head.split(' ');
        let method = match words.next() {
            Some("POST") => Method::Post,
            Some("DELETE") => Method::Delete,
            Some("HEAD") => Method::Head,
            _ => Method::Get,
        };
        let path = words.next().unwrap().to_owned();
        let body = split(&self.request).1;
        Request {
            body: (!body.is_empty()).then(|| body.to_vec()),
            ..request(method, path)
        }
    }

    fn status(&self) -> u16 {
        std::str::from_utf8(&self.response[9..12])
            .unwrap()
            .parse()
            .unwrap()
    }

    fn body(&self) -> Vec<u8> {
        let (head, mut rest) = split(&self.response);
        if !head.contains("transfer-encoding: chunked") {
            return rest.to_vec();
        }
        let mut body = Vec::new();
        while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
            let size =
                usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            body.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest = &rest[end + 2 + size + 2..];
            if size == 0 {
                break;
            }
        }
        body
    }

    fn is_generation(&self) -> bool {
        let path = self.ask().endpoint.path.clone();
        [
            "/api/chat",
            "/api/generate",
            "/v1/chat/completions",
            "/v1/completions",
        ]
        .contains(&path.as_str())
    }

    /// A server that sends the response in pieces of `size` bytes.
    fn server(&self, size: usize) -> Server {
        let pieces = self.response.chunks(size).flat_map(|piece| {
            let pause = Do::Call(Box::new(|_: &mut _| {
                std::thread::sleep(Duration::from_micros(50));
            }));
            [Do::send(piece), pause]
        });
        Server::start(vec![[Do::Read].into_iter().chain(pieces).collect()])
    }
}

fn split(message: &[u8]) -> (String, &[u8]) {
    let end = memchr::memmem::find(message, b"\r\n\r\n").unwrap() + 4;
    (
        String::from_utf8_lossy(&message[..end]).to_lowercase(),
        &message[end..],
    )
}

/// Pieces of a size that cuts everything somewhere, but not more of them than a test can wait for.
fn sizes(length: usize) -> [usize; 2] {
    [length, (length / 400).max(7)]
}

#[test]
fn generations_are_pumped_to_the_recorded_outcome() {
    let runtime = runtime();
    let (mut complete, mut truncated, mut failed, mut refused) = (0, 0, 0, 0);
    for recording in recordings()
        .iter()
        .filter(|recording| recording.is_generation())
    {
        let name = &recording.name;
        for size in sizes(recording.response.len()) {
            let server = recording.server(size);
            let client = made(server.config()).unwrap();
            let inbox = pump(&runtime, &client, recording.ask(), PumpMode::Deltas);
            let (mut answer, end) = read_all(&inbox);
            if recording.status() >= 400 {
                let error = end.unwrap_err();
                assert_eq!(
                    (error.kind, error.status),
                    (Kind::Status, Some(recording.status())),
                    "{name}"
                );
                assert_eq!(error.body, Some(recording.body()), "{name}");
                refused += 1;
            } else {
                let (mut expected, read) = fold_body(&recording.body());
                assert!(read.is_ok(), "{name}");
                match expected.outcome.clone() {
                    Outcome::Complete => {
                        assert!(end.is_ok(), "{name}: {end:?}");
                        complete += 1;
                    }
                    Outcome::Truncated => {
                        assert_eq!(end.unwrap_err().kind, Kind::Incomplete, "{name}");
                        truncated += 1;
                    }
                    Outcome::Failed(text) => {
                        let error = end.unwrap_err();
                        assert_eq!(
                            (error.kind, error.server_text.as_deref()),
                            (Kind::MidStream, Some(text.as_str())),
                            "{name}"
                        );
                        // The error line itself is the error, not an item.
                        answer.outcome = expected.outcome.clone();
                        expected.last_line.clone_from(&answer.last_line);
                        failed += 1;
                    }
                }
                assert_eq!(answer, expected, "{name}");
            }
            server.seen();
        }
    }
    assert!(
        complete > 80 && truncated > 4 && failed > 4 && refused > 20,
        "{complete} {truncated} {failed} {refused}"
    );
}

#[test]
fn generations_are_pumped_as_their_lines() {
    let runtime = runtime();
    for recording in recordings()
        .iter()
        .filter(|recording| recording.is_generation() && recording.status() == 200)
    {
        let server = recording.server(1009);
        let inbox = pump(
            &runtime,
            &server.client(),
            recording.ask(),
            PumpMode::RawLines,
        );
        let (mut lines, mut taken) = (Vec::new(), Batch::default());
        let end = loop {
            assert!(inbox.wait_timeout(PATIENCE), "{}", recording.name);
            match inbox.try_recv(&mut taken) {
                Received::Items => {
                    lines.extend(taken.items.drain(..).filter_map(|item| match item {
                        Item::Delta(delta) => Some(delta.line),
                        Item::Content { .. } => None,
                    }));
                }
                Received::Closed(end) => break end,
                Received::Empty => panic!("woken for nothing"),
            }
        };
        assert!(end.is_ok(), "{}: {end:?}", recording.name);
        let body = recording.body();
        let expected: Vec<&[u8]> = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(lines, expected, "{}", recording.name);
        server.seen();
    }
}

#[test]
fn everything_is_called_to_the_recorded_body() {
    let runtime = runtime();
    for recording in recordings() {
        let name = &recording.name;
        let server = recording.server(1009);
        let reply = block_on(&runtime, server.client().call(recording.ask()));
        let expected = if recording.ask().endpoint.method == Method::Head {
            Vec::new()
        } else {
            recording.body()
        };
        match reply {
            Ok(reply) => assert_eq!(
                (reply.status, reply.body),
                (recording.status(), expected),
                "{name}"
            ),
            Err(error) => {
                assert!(recording.status() >= 400, "{name}: {error}");
                assert_eq!(
                    (error.kind, error.status),
                    (Kind::Status, Some(recording.status())),
                    "{name}"
                );
                assert_eq!(error.body, Some(expected), "{name}");
            }
        }
        server.seen();
    }
}

#[test]
fn a_pull_is_complete_with_success() {
    let runtime = runtime();
    let success = "{\"status\":\"pulling manifest\"}\n{\"status\":\"success\"}\n";
    let cut = "{\"status\":\"pulling manifest\"}\n";
    let failed = "{\"status\":\"pulling manifest\"}\n{\"error\":\"pull model manifest: file does not exist\"}\n";
    for (body, path, expected) in [
        (success, "/api/pull", None),
        (success, "/api/create", None),
        (cut, "/api/pull", Some(Kind::Incomplete)),
        (failed, "/api/pull", Some(Kind::MidStream)),
        (success, "/api/chat", Some(Kind::Protocol)),
    ] {
        let server =
            Server::answering(crate::server::reply("200 OK", "application/x-ndjson", body));
        let inbox = pump(
            &runtime,
            &server.client(),
            post(path, "{}"),
            PumpMode::Deltas,
        );
        assert_eq!(
            crate::server::kind(&read_all(&inbox).1),
            expected,
            "{path} {body}"
        );
        server.seen();
    }
}
