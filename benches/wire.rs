//! What one line costs: `cargo bench --bench wire`. Each benchmark checks its answer once before it is timed.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metagpt_ollama_rs::wire::repetition::RepetitionGuard;
use metagpt_ollama_rs::wire::{Batch, Decoder, Fold, MAX_LINE, StreamFormat, last_value, vectors};

#[path = "instructions/src/cases.rs"]
mod cases;

const LINES: u64 = 1_000;
const ROWS: usize = 256;

fn body(line: &str) -> Vec<u8> {
    line.repeat(usize::try_from(LINES).unwrap()).into_bytes()
}

fn decode(decoder: &mut Decoder, body: &[u8], batch: &mut Batch) {
    batch.clear();
    decoder.feed(body, batch).unwrap();
}

fn lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1000 lines");
    group.throughput(Throughput::Elements(LINES));
    for (name, frame, line) in cases::lines() {
        let format = match frame {
            cases::Format::Ndjson => StreamFormat::Ndjson,
            cases::Format::Sse => StreamFormat::Sse,
        };
        let is_content_line = !matches!(name, "thinking" | "openai");
        let body = body(&line);
        for (path, mut decoder) in [
            ("fast", Decoder::new(format, MAX_LINE)),
            ("strict", Decoder::strict(format, MAX_LINE)),
        ] {
            let mut batch = Batch::default();
            decode(&mut decoder, &body, &mut batch);
            assert_eq!(batch.len() as u64, LINES);
            assert_eq!(
                decoder.hits().0 + 1 == LINES,
                is_content_line && path == "fast",
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
        &mut Decoder::new(StreamFormat::Ndjson, MAX_LINE),
        &body(&cases::chat(" word")),
        &mut batch,
    );
    let folded = |batch: &Batch| {
        let mut fold = Fold::new();
        fold.add_batch(batch);
        fold.finish()
    };
    assert_eq!(folded(&batch).content, " word".repeat(1_000));
    group.bench_function("plain", |bencher| {
        bencher.iter(|| folded(black_box(&batch)));
    });
    group.finish();
}

/// The guard against repetition, beside the decoding that it comes after.
fn guard(criterion: &mut Criterion) {
    let body = cases::prose(usize::try_from(LINES).unwrap());
    let mut batch = Batch::default();
    decode(
        &mut Decoder::new(StreamFormat::Ndjson, MAX_LINE),
        body.as_bytes(),
        &mut batch,
    );
    assert_eq!(
        RepetitionGuard::default().feed_batch(&batch, 0, 0, true),
        None
    );
    let mut group = criterion.benchmark_group("guard of 1000 lines");
    group.throughput(Throughput::Elements(LINES));
    // Fresh each time: the same thousand lines over and over are a repetition.
    group.bench_function("prose", |bencher| {
        bencher.iter(|| RepetitionGuard::default().feed_batch(black_box(&batch), 0, 0, true));
    });
    group.finish();
}

/// The last line of a whole body is found without a look at the others; finding all of them is the worst case.
fn whole(criterion: &mut Criterion) {
    let body = body(&cases::chat(" word"));
    assert_eq!(last_value::lines_from_end(&body).count() as u64, LINES);
    let mut group = criterion.benchmark_group("last of 1000 lines");
    group.bench_function("the last one", |bencher| {
        bencher.iter(|| {
            last_value::lines_from_end(black_box(&body))
                .next()
                .map(<[u8]>::len)
        });
    });
    group.bench_function("all, from the end", |bencher| {
        bencher.iter(|| last_value::lines_from_end(black_box(&body)).count());
    });
    group.finish();
}

fn vectors(criterion: &mut Criterion) {
    let body = cases::vectors(ROWS);
    let found = vectors::read(body.as_bytes()).unwrap();
    assert_eq!((found.rows, found.width), (ROWS, cases::WIDTH));
    let mut group = criterion.benchmark_group("256 vectors of 768 floats");
    group.throughput(Throughput::Elements((ROWS * cases::WIDTH) as u64));
    group.bench_function("to one block of f32", |bencher| {
        bencher.iter(|| {
            vectors::read(black_box(body.as_bytes()))
                .unwrap()
                .values
                .len()
        });
    });
    group.finish();
}

criterion_group!(benches, lines, fold, guard, whole, vectors);
criterion_main!(benches);
