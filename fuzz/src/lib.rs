//! What the targets share: recorded replies as seeds, cuts, and JSON's syntax as serde_json has it.

use metagpt_ollama_rs::http::direct::body_decoder::BodyDecoder;
use metagpt_ollama_rs::http::direct::head_parser::HeadParser;
use serde::de::IgnoredAny;

/// Random numbers out of the input itself, so that a recorded reply is a seed as it is.
pub struct Choices(u64);

impl Choices {
    pub fn new(bytes: &[u8]) -> Self {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// `bytes` cut at up to four places, or everywhere.
    pub fn pieces<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        if self.below(8) == 0 && !bytes.is_empty() {
            return bytes.chunks(1).collect();
        }
        let count = self.below(5);
        let mut cuts: Vec<usize> = (0..count).map(|_| self.below(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut start = 0;
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[start..cut]);
            start = cut;
        }
        pieces
    }
}

/// The body of a recorded reply; anything else as it is.
pub fn body(input: &[u8]) -> Vec<u8> {
    let Ok(Some((head, rest))) = HeadParser::default().feed(input) else {
        return input.to_vec();
    };
    let mut found = Vec::new();
    if let Ok(mut body) = BodyDecoder::new(&head, &hyper::Method::POST) {
        let _ = body.feed(&rest, |data| {
            found.extend_from_slice(data);
            true
        });
    }
    found
}

/// Whether `text` is one JSON value with white space around it; numbers may have any size, and halves of surrogate
/// pairs may stand alone.
pub fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
