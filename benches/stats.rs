//! What the record of a call costs, once a call: without a journal, and appended to a file.
//!
//! Compare with the cheapest call there is, a short request of `python -m benches --only "short requests"`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use metagpt_ollama_rs::stats::{self, CallInfo, Journal, ReplyEnd, Trace};
use metagpt_ollama_rs::wire::Counters;

fn call(journal: Option<&Arc<Journal>>) {
    let call = CallInfo {
        model: "smollm2:135m".to_owned(),
        host: "http://127.0.0.1:11434".to_owned(),
        endpoint: "/api/chat".to_owned(),
        streamed: true,
    };
    let trace = Trace::new(call, journal.cloned());
    trace.note_first_byte();
    let counters = Counters {
        eval_count: Some(100),
        eval_duration: Some(1_000_000_000),
        ..Counters::default()
    };
    let end = ReplyEnd {
        counters,
        done_reason: Some("stop".to_owned()),
        model: Some("smollm2:135m".to_owned()),
    };
    trace.note_answer(black_box(end), true);
    trace.finish(None);
}

fn record(criterion: &mut Criterion) {
    let file = std::env::temp_dir().join(format!("metagpt-ollama-bench-{}", std::process::id()));
    let journal = Journal::at(&file.to_string_lossy());
    stats::clear();
    call(journal.as_ref());
    assert_eq!(stats::records().len(), 1);
    let mut group = criterion.benchmark_group("record of a call");
    group.bench_function("in memory", |bencher| bencher.iter(|| call(None)));
    group.bench_function("in a file, too", |bencher| {
        bencher.iter(|| call(journal.as_ref()));
    });
    group.finish();
    let written = std::fs::metadata(&file).map_or(0, |file| file.len());
    assert!(written > 0, "the journal is empty");
    let _ = std::fs::remove_file(&file);
}

criterion_group!(benches, record);
criterion_main!(benches);
