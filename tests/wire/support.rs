//! Recorded replies without their HTTP framing, and ways to feed them.

use std::path::Path;

use metagpt_ollama_rs::wire::{Answer, Batch, Decoder, Fold, MAX_LINE, StreamFormat, WireError};

/// The body of one recorded reply.
pub struct Recording {
    pub name: String,
    pub body: Vec<u8>,
}

/// Every recording that has a body.
pub fn recordings() -> Vec<Recording> {
    let mut found = Vec::new();
    for folder in ["scripted", "smollm2"] {
        let folder_path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/transcripts")
            .join(folder);
        for entry in std::fs::read_dir(folder_path).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "response")
            {
                let stem = path.file_stem().unwrap().to_str().unwrap();
                let body = body(&std::fs::read(&path).unwrap());
                found.push(Recording {
                    name: format!("{folder}/{stem}"),
                    body,
                });
            }
        }
    }
    found.retain(|recording| !recording.body.is_empty());
    found.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(found.len() > 120, "{} recordings", found.len());
    found
}

pub fn recording(name: &str) -> Vec<u8> {
    recordings()
        .into_iter()
        .find(|recording| recording.name == name)
        .expect(name)
        .body
}

/// Takes the body out of a raw HTTP reply: enough of HTTP/1.1 for what was recorded.
fn body(reply: &[u8]) -> Vec<u8> {
    let end = memchr::memmem::find(reply, b"\r\n\r\n").unwrap() + 4;
    let (head, mut rest) = reply.split_at(end);
    let head = String::from_utf8_lossy(head).to_lowercase();
    if !head.contains("transfer-encoding: chunked") {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let data = &rest[end + 2..];
        let size = size.min(data.len());
        body.extend_from_slice(&data[..size]);
        rest = data.get(size + 2..).unwrap_or_default();
    }
    body
}

/// What reading a body comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    pub answer: Answer,
    pub error: Option<WireError>,
}

/// Reads the pieces one after the other with `decoder`, emptying the batch after each of them.
pub fn read_with<'a>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let mut batch = Batch::default();
    let mut fold = Fold::new();
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| decoder.feed(piece, &mut batch));
        fold.add_batch(&batch);
        batch.clear();
    }
    result = result.and_then(|()| decoder.finish(&mut batch));
    fold.add_batch(&batch);
    Reading {
        answer: fold.finish(),
        error: result.err(),
    }
}

/// Reads a body cut in two.
pub fn read_cut(body: &[u8], cut: usize) -> Reading {
    let (first, second) = body.split_at(cut);
    read_with(Decoder::new(StreamFormat::Auto, MAX_LINE), [first, second])
}

/// Reads a body in one piece.
pub fn read(body: &[u8]) -> Reading {
    read_with(Decoder::new(StreamFormat::Auto, MAX_LINE), [body])
}

/// Random numbers that are the same in every run (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from((self.next() >> 11) % u64::try_from(limit).unwrap()).unwrap()
    }
}
