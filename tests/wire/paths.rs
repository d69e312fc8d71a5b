//! The fast path says what the strict path says, on a million broken lines; and real streams take it.

use metagpt_ollama_rs::wire::{Batch, Decoder, ItemRef, MAX_LINE, StreamFormat, WireError};

use crate::support::{Random, recordings};

const LINES: u32 = 1_000_000;

/// Content lines and some that nearly are.
const SEEDS: [&str; 12] = [
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.104512Z","message":{"role":"assistant","content":"Hel"},"done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05Z","message":{"role":"assistant","content":""},"done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.1Z","message":{"role":"assistant","content":"a \u003cb\u003e\n\"q\" \\ \/ \ud83d\ude00 é 漢字 😀"},"done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.12Z","message":{"role":"assistant","content":"a longer piece of plain text, of many words, without any escape"},"done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.12Z","message":{"role":"assistant","content":"é漢😀é漢😀é漢😀\t\r\b\f\u0001\u2028"},"done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.15Z","response":"The","done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.15Z","response":" \u0026 \"so\"\n","done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.15Z","message":{"role":"assistant","content":"","thinking":"so"},"done":false}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.15Z","message":{"role":"assistant","content":"x"},"done":true,"done_reason":"stop","eval_count":3}"#,
    r#"{"model":"m:1","created_at":"2026-08-21T17:00:05.15Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"c","function":{"index":0,"name":"f","arguments":{"a":1}}}]},"done":false}"#,
    r#"{ "done": false, "message": {"content": "x", "role": "assistant"}, "created_at": "2026", "model": "m:1" }"#,
    r#"{"error":"an error was encountered"}"#,
];

/// What mutations put in.
const TOKENS: [&[u8]; 36] = [
    b"\"",
    b"\\",
    b"\\\"",
    b"\\\\",
    b"\\u",
    b"\\u00",
    b"\\u0041",
    b"\\ud83d",
    b"\\ude00",
    b"\\ud83d\\ude00",
    b"\\u+041",
    b"\\n",
    b"\\/",
    b"\\x",
    b"\n",
    b"\r\n",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc3",
    b"\xc3\xa9",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"},\"done\":false}",
    b"\"},\"done\":false}",
    b"\",\"done\":false}",
    b",\"model\":\"m:1\"",
    b"12345678901234567890123",
    b" ",
];

/// The first line of a stream from each of the two endpoints, and the endpoint's content lines.
const FIRST: [&str; 2] = [SEEDS[0], SEEDS[5]];
const CONTENT_LINES: [&[&str]; 2] = [SEEDS.split_at(5).0, SEEDS.split_at(5).1.split_at(2).0];

fn mutate(random: &mut Random, line: &mut Vec<u8>) {
    // Half of the mutations go near the end, where the text stands.
    let reach = line.len() + 1;
    let at = match random.below(2) {
        0 => random.below(reach),
        _ => reach - 1 - random.below(reach.min(60)),
    };
    let byte = u8::try_from(random.below(256)).unwrap();
    match random.below(7) {
        0 if at < line.len() => line[at] = byte,
        1 if at < line.len() => line[at] ^= 1 << random.below(8),
        2 if at < line.len() => drop(line.remove(at)),
        3 => line.truncate(at),
        4 => {
            let end = (at + random.below(24)).min(line.len());
            let again = line[at..end].to_vec();
            line.splice(at..at, again);
        }
        5 => line.insert(at, byte),
        _ => drop(line.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
    }
}

/// A decoder with a first content line behind it, and what it made of the lines after that.
struct Side {
    make: fn(StreamFormat, usize) -> Decoder,
    first: &'static str,
    decoder: Decoder,
    batch: Batch,
}

impl Side {
    fn new(make: fn(StreamFormat, usize) -> Decoder, first: &'static str) -> Self {
        let mut side = Self {
            make,
            first,
            decoder: make(StreamFormat::Ndjson, MAX_LINE),
            batch: Batch::default(),
        };
        side.restart();
        side
    }

    fn restart(&mut self) {
        self.decoder = (self.make)(StreamFormat::Ndjson, MAX_LINE);
        self.batch = Batch::default();
        self.decoder
            .feed(self.first.as_bytes(), &mut self.batch)
            .unwrap();
        self.decoder.feed(b"\n", &mut self.batch).unwrap();
    }

    fn take(&mut self, line: &[u8]) -> Result<(), WireError> {
        self.batch.clear();
        self.decoder.feed(line, &mut self.batch)?;
        self.decoder.feed(b"\n", &mut self.batch)
    }
}

fn without_number(error: WireError) -> WireError {
    match error {
        WireError::NotJson {
            position, excerpt, ..
        } => WireError::NotJson {
            line_number: 0,
            position,
            excerpt,
        },
        WireError::NotUtf8 { position, .. } => WireError::NotUtf8 {
            line_number: 0,
            position,
        },
        WireError::NotObject { excerpt, .. } => WireError::NotObject {
            line_number: 0,
            excerpt,
        },
        WireError::LineTooLong { limit, .. } => WireError::LineTooLong {
            line_number: 0,
            limit,
        },
    }
}

#[test]
fn a_million_mutated_lines_mean_the_same_on_both_paths() {
    let mut random = Random(0x000a_11ce);
    let mut pairs = FIRST.map(|first| {
        (
            Side::new(Decoder::new, first),
            Side::new(Decoder::strict, first),
        )
    });
    let (mut taken, mut refused, mut fast_total) = (0, 0, 0);
    for count in 0..LINES {
        // Three times out of four a line of the stream's own endpoint, so that the fast path has work to do.
        let endpoint = usize::from(count % 2 == 1);
        let seeds = match random.below(4) {
            0 => SEEDS.as_slice(),
            _ => CONTENT_LINES[endpoint],
        };
        let mut line = seeds[random.below(seeds.len())].as_bytes().to_vec();
        for _ in 0..random.below(4) {
            mutate(&mut random, &mut line);
        }
        let (fast, strict) = &mut pairs[endpoint];
        let hits = fast.decoder.hits().0;
        let (left, right) = (fast.take(&line), strict.take(&line));
        let shown = String::from_utf8_lossy(&line);
        assert_eq!(
            left.clone().map_err(without_number),
            right.clone().map_err(without_number),
            "{shown}"
        );
        assert!(
            fast.batch.iter().eq(strict.batch.iter()),
            "{shown}\n{:?}\n{:?}",
            fast.batch,
            strict.batch
        );
        assert_eq!(fast.batch.shared, strict.batch.shared);
        assert_eq!(strict.decoder.hits().0, 0);
        fast_total += fast.decoder.hits().0 - hits;
        taken += u32::from(left.is_ok());
        if left.is_err() {
            refused += 1;
            fast.restart();
            strict.restart();
        }
    }
    println!(
        "{LINES} mutated lines: {taken} read, {refused} refused, {fast_total} by the fast path"
    );
    assert!(taken > LINES / 5 && refused > LINES / 5 && fast_total > u64::from(LINES / 20));
}

#[test]
fn what_is_json_is_what_serde_json_says() {
    let mut random = Random(0x0b0b);
    let (mut both, mut neither) = (0, 0);
    for _ in 0..100_000 {
        let mut line = SEEDS[random.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut random, &mut line);
        }
        line.retain(|byte| *byte != b'\n');
        let mark = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        // A blank line is no line, and form feeds are white space to this test only.
        if mark.trim_ascii().is_empty() || line.contains(&0x0c) {
            continue;
        }
        let mut batch = Batch::default();
        let mut decoder = Decoder::strict(StreamFormat::Ndjson, MAX_LINE);
        let ours = decoder
            .feed(&line, &mut batch)
            .and_then(|()| decoder.finish(&mut batch));
        match serde_json::from_slice::<serde_json::Value>(mark) {
            Ok(value) if value.is_object() => {
                assert_eq!(ours, Ok(()), "{}", String::from_utf8_lossy(&line));
                both += 1;
            }
            Ok(_) => assert!(matches!(ours, Err(WireError::NotObject { .. }))),
            // Half surrogates are legal JSON, but serde_json has no text for them.
            Err(error)
                if error.to_string().contains("surrogate")
                    || error.to_string().contains("hex escape") => {}
            Err(error) => {
                assert!(ours.is_err(), "{error}: {}", String::from_utf8_lossy(&line));
                neither += 1;
            }
        }
    }
    assert!(both > 10_000 && neither > 10_000, "{both} {neither}");
}

#[test]
fn real_streams_take_the_fast_path() {
    let (mut fast_lines, mut content_lines) = (0, 0);
    for recording in recordings()
        .iter()
        .filter(|recording| recording.name.starts_with("smollm2/"))
    {
        if recording.name.contains("openai") || recording.name.contains("embed") {
            continue;
        }
        let mut batch = Batch::default();
        let mut decoder = Decoder::new(StreamFormat::Auto, MAX_LINE);
        decoder.feed(&recording.body, &mut batch).unwrap();
        decoder.finish(&mut batch).unwrap();
        let content = batch
            .iter()
            .filter(|entry| match entry {
                ItemRef::Content { .. } => true,
                ItemRef::Delta(delta) => !delta.done && !delta.content.is_empty(),
            })
            .count();
        fast_lines += decoder.hits().0;
        content_lines += u64::try_from(content).unwrap();
    }
    println!("fast path: {fast_lines} of {content_lines} content lines of the smollm2 transcripts");
    assert!(content_lines > 300, "{content_lines}");
    assert!(
        fast_lines * 100 >= content_lines * 95,
        "{fast_lines} of {content_lines}"
    );
}
