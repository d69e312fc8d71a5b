//! The fast path allocates nothing once its buffers are warm. A binary of its own, because it replaces the allocator.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use metagpt_ollama_rs::wire::{Batch, Decoder, MAX_LINE, StreamFormat};

/// Counts the allocations of the thread that asks.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // The thread's storage may be gone while the thread ends; nothing is measured then.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every method hands its arguments unchanged to `System`, which keeps the contract; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` by `alloc` or `realloc` above and below.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the pointer came from `System`, and the caller keeps the contract on `size`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One network read: plain, escaped and long lines, the last one cut; `rest` completes it.
fn read_of(head: &str, tail: &str) -> (Vec<u8>, Vec<u8>) {
    let mut body = String::new();
    for at in 0..200 {
        let text = match at % 4 {
            0 => "word",
            1 => " \\u003cb\\u003e\\n \\\"x\\\" \\ud83d\\ude00",
            2 => "漢字 and é",
            _ => {
                "a longer piece of text, as a server sends it that gathers its tokens before it sends them"
            }
        };
        body.extend([head, text, tail, "\n"]);
    }
    let body = body.into_bytes();
    let (first, second) = body.split_at(body.len() - 40);
    (first.to_vec(), second.to_vec())
}

fn check(head: &str, tail: &str) {
    let (first, second) = read_of(head, tail);
    let mut decoder = Decoder::new(StreamFormat::Auto, MAX_LINE);
    let mut batch = Batch::default();
    let mut round = |decoder: &mut Decoder| {
        batch.clear();
        decoder.feed(&first, &mut batch).unwrap();
        decoder.feed(&second, &mut batch).unwrap();
        batch.len()
    };
    for _ in 0..2 {
        assert_eq!(round(&mut decoder), 200);
    }
    let (hits, before) = (decoder.hits().0, COUNT.get());
    for _ in 0..50 {
        round(&mut decoder);
    }
    let allocations = COUNT.get() - before;
    assert_eq!(
        decoder.hits().0 - hits,
        50 * 200,
        "every line took the fast path"
    );
    assert_eq!(allocations, 0, "allocations in 10,000 lines");
}

#[test]
fn chat_lines_allocate_nothing() {
    check(
        r#"{"model":"m","created_at":"2026-08-21T17:00:05.104512Z","message":{"role":"assistant","content":""#,
        r#""},"done":false}"#,
    );
}

#[test]
fn generate_lines_allocate_nothing() {
    check(
        r#"{"model":"m","created_at":"2026-08-21T17:00:05.104512Z","response":""#,
        r#"","done":false}"#,
    );
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(vec![0_u8; 100]));
    assert!(COUNT.get() > before);
}
