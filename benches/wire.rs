//! What one line costs: `cargo bench --bench wire`. Each benchmark checks its answer once before it is timed.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metagpt_ollama_rs::wire::{Batch, Decoder, Fold, Framing, MAX_LINE};

const LINES: u64 = 1_000;

fn chat(text: &str) -> String {
    format!(
        r#"{{"model":"smollm2:135m","created_at":"2026-08-21T17:00:05.104512Z","message":{{"role":"assistant","content":"{text}"}},"done":false}}"#
    )
}

fn body(line: &str) -> Vec<u8> {
    format!("{line}\n")
        .repeat(usize::try_from(LINES).unwrap())
        .into_bytes()
}

fn decode(decoder: &mut Decoder, body: &[u8], batch: &mut Batch) {
    batch.clear();
    decoder.feed(body, batch).unwrap();
}

fn lines(criterion: &mut Criterion) {
    let thinking = chat("").replace(r#"""},"#, r#""","thinking":" word"},"#);
    let openai = r#"{"id":"chatcmpl-417","object":"chat.completion.chunk","created":1787331605,"model":"smollm2:135m","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#;
    let mut group = criterion.benchmark_group("1000 lines");
    group.throughput(Throughput::Elements(LINES));
    for (name, line, fast) in [
        ("plain", chat(" word"), true),
        ("escaped", chat("\\u003cb\\u003e \\\"word\\\"\\n"), true),
        ("chinese", chat("漢字"), true),
        (
            "two hundred characters",
            chat(&"a longer piece of text, ".repeat(8)),
            true,
        ),
        ("thinking", thinking, false),
        ("openai", openai.to_owned(), false),
    ] {
        let body = body(&line);
        for (path, mut decoder) in [
            ("fast", Decoder::new(Framing::Ndjson, MAX_LINE)),
            ("strict", Decoder::strict(Framing::Ndjson, MAX_LINE)),
        ] {
            let mut batch = Batch::default();
            decode(&mut decoder, &body, &mut batch);
            assert_eq!(batch.len() as u64, LINES);
            assert_eq!(
                decoder.hits().0 + 1 == LINES,
                fast && path == "fast",
                "{name} {path}"
            );
            group.bench_function(format!("{name}, {path}"), |bencher| {
                bencher.iter(|| decode(&mut decoder, black_box(&body), &mut batch));
            });
        }
    }
    group.finish();
}

fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold of 1000 lines");
    group.throughput(Throughput::Elements(LINES));
    let mut batch = Batch::default();
    decode(
        &mut Decoder::new(Framing::Ndjson, MAX_LINE),
        &body(&chat(" word")),
        &mut batch,
    );
    let folded = |batch: &Batch| {
        let mut fold = Fold::new();
        fold.batch(batch);
        fold.finish()
    };
    assert_eq!(folded(&batch).content, " word".repeat(1_000));
    group.bench_function("plain", |bencher| {
        bencher.iter(|| folded(black_box(&batch)));
    });
    group.finish();
}

criterion_group!(benches, lines, fold);
criterion_main!(benches);
