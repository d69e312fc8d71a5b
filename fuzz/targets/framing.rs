//! The direct lane's parser of responses against hyper, the general lane's: whatever arrives, however it is cut.

#![no_main]

use hyper::Method;
use libfuzzer_sys::fuzz_target;
use metagpt_ollama_fuzz::Choices;

#[path = "../../tests/http/oracle.rs"]
mod oracle;

fuzz_target!(|input: &[u8]| {
    let mut choices = Choices::new(input);
    let method = [Method::GET, Method::GET, Method::HEAD][choices.below(3)].clone();
    oracle::compare(&method, input, &choices.pieces(input));
});
