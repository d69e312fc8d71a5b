//! Decodes N units of a case: `instructions CASE N`. Valgrind counts the instructions (see `check.py`).
//!
//! The sources of `wire` are compiled in here, without the rest of the crate: tokio and TLS would take a minute more to
//! build, and nothing of them is measured.

#[allow(dead_code, unused_imports)]
#[path = "../../../src/excerpt.rs"]
mod excerpt;
#[allow(dead_code, unused_imports)]
#[path = "../../../src/wire/mod.rs"]
mod wire;

mod cases;

use std::process::ExitCode;

use wire::repetition::RepetitionGuard;
use wire::{Batch, Decoder, Fold, MAX_LINE, StreamFormat, last_value, vectors};

/// Lines of a decoder arrive in reads of about this size, as from a socket.
const READ: usize = 64 << 10;

fn decode(format: StreamFormat, body: &[u8], mut each: impl FnMut(&Batch)) -> Result<(), String> {
    let mut decoder = Decoder::new(format, MAX_LINE);
    let mut batch = Batch::default();
    for read in body.chunks(READ) {
        batch.clear();
        decoder
            .feed(read, &mut batch)
            .map_err(|error| error.to_string())?;
        each(&batch);
    }
    Ok(())
}

/// How many units came out, which must be `count`.
fn run(case: &str, count: usize) -> Result<usize, String> {
    if let Some((_, format, line)) = cases::lines().into_iter().find(|(name, ..)| *name == case) {
        let format = match format {
            cases::Format::Ndjson => StreamFormat::Ndjson,
            cases::Format::Sse => StreamFormat::Sse,
        };
        let mut lines = 0;
        decode(format, line.repeat(count).as_bytes(), |batch| {
            lines += batch.len();
        })?;
        return Ok(lines);
    }
    match case {
        "fold" => {
            let mut fold = Fold::new();
            decode(
                StreamFormat::Ndjson,
                cases::chat(" word").repeat(count).as_bytes(),
                |batch| fold.add_batch(batch),
            )?;
            Ok(fold.finish().content.len() / " word".len())
        }
        // One beside the other: what the guard against repetition costs.
        "prose" | "guarded" => {
            let (mut guard, mut lines) = (RepetitionGuard::default(), 0);
            let mut repetition = None;
            decode(
                StreamFormat::Ndjson,
                cases::prose(count).as_bytes(),
                |batch| {
                    lines += batch.len();
                    if case == "guarded" {
                        repetition = repetition.take().or(guard.feed_batch(batch, 0, 0, false));
                    }
                },
            )?;
            repetition.map_or(Ok(lines), |repetition| Err(format!("{repetition:?}")))
        }
        // Every line is visited, as `decode` does when none of them parses.
        "last" => {
            Ok(last_value::lines_from_end(cases::chat(" word").repeat(count).as_bytes()).count())
        }
        "floats" => {
            let body = cases::vectors(count);
            let found = vectors::read(body.as_bytes()).map_err(|error| error.to_string())?;
            Ok(found.values.len() / cases::WIDTH)
        }
        _ => Err(format!("there is no case {case:?}")),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [case] if case == "--machine" => {
            println!("{}", machine());
            return ExitCode::SUCCESS;
        }
        [case, count] => count
            .parse()
            .map_err(|_| format!("{count:?} is no number"))
            .and_then(|count| {
                let found = run(case, count)?;
                (found == count)
                    .then_some(())
                    .ok_or_else(|| format!("{found} units came out of {count}"))
            }),
        _ => Err("usage: instructions CASE N, or instructions --machine".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("instructions: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What the count depends on beside the compiler: simd-json and memchr choose their code by the processor.
fn machine() -> String {
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::arch::is_x86_feature_detected!("avx2") {
        " with AVX2"
    } else {
        " without AVX2"
    };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    format!(
        "{}-{}{vectors}",
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}
