//! The body of a reply, in pieces of any size, to items: first its format, then its lines, then what each line says.
//!
//! The pieces `{"model":"m","created_at":"2026","respon` and `se":"Hel","done":false}` followed by a line feed give one
//! item, a content line with the text `Hel`, when the second piece has come.

use super::batch::Batch;
use super::delta::{Delta, Shape};
use super::error::WireError;
use super::format::{FormatDetector, StreamFormat};
use super::line_decoder::LineDecoder;
use super::line_splitter::{LineEnds, LineHandler, LineSplitter};
use super::sse::{EventParser, EventTextHandler};

/// Turns the body of one reply, in pieces of any size, into items. What comes out does not depend on the cuts.
pub struct Decoder {
    detector: FormatDetector,
    /// Cuts the body into lines, once its format is known.
    splitter: Option<LineSplitter>,
    events: EventParser,
    lines: LineDecoder,
    /// The error that has ended the reading, and that every call repeats.
    failed: Option<WireError>,
}

impl Decoder {
    /// A decoder for one body. A line of more than `max_line` bytes is an error.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Decoder, StreamFormat};
    ///
    /// let mut decoder = Decoder::new(StreamFormat::Ndjson, 5);
    /// assert!(decoder.feed(b"{\"a\":1}\n", &mut Batch::default()).is_err());
    /// ```
    pub fn new(format: StreamFormat, max_line: usize) -> Self {
        Self::with_lines(format, LineDecoder::new(true, max_line))
    }

    /// A decoder that parses every line: slower, with the same items. For tests and benchmarks, which compare the two.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Decoder, MAX_LINE, StreamFormat};
    ///
    /// let line = b"{\"model\":\"m\",\"created_at\":\"2026\",\"response\":\"Hel\",\"done\":false}\n";
    /// let (mut fast, mut strict) = (Batch::default(), Batch::default());
    /// Decoder::new(StreamFormat::Auto, MAX_LINE).feed(line, &mut fast).unwrap();
    /// Decoder::strict(StreamFormat::Auto, MAX_LINE).feed(line, &mut strict).unwrap();
    /// assert!(fast.iter().eq(strict.iter()));
    /// ```
    pub fn strict(format: StreamFormat, max_line: usize) -> Self {
        Self::with_lines(format, LineDecoder::new(false, max_line))
    }

    fn with_lines(format: StreamFormat, lines: LineDecoder) -> Self {
        Self {
            detector: FormatDetector::new(format),
            splitter: None,
            events: EventParser::default(),
            lines,
            failed: None,
        }
    }

    /// Appends an item for each line completed by `bytes`. After an error every call returns that error.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Decoder, MAX_LINE, StreamFormat};
    ///
    /// let mut decoder = Decoder::new(StreamFormat::Auto, MAX_LINE);
    /// let mut batch = Batch::default();
    /// decoder.feed(br#"{"model":"m","created_at":"2026","respon"#, &mut batch).unwrap();
    /// assert!(batch.is_empty());
    /// decoder.feed(b"se\":\"Hel\",\"done\":false}\n", &mut batch).unwrap();
    /// assert_eq!((batch.len(), batch.text.as_str()), (1, "Hel"));
    /// assert!(decoder.feed(b"no JSON\n", &mut batch).is_err());
    /// ```
    pub fn feed(&mut self, bytes: &[u8], out: &mut Batch) -> Result<(), WireError> {
        self.unless_failed(|decoder| {
            if decoder.splitter.is_some() {
                return decoder.split(bytes, out);
            }
            match decoder.detector.feed(bytes) {
                Some((format, bytes)) => {
                    decoder.begin(format);
                    decoder.split(&bytes, out)
                }
                None => Ok(()),
            }
        })
    }

    /// Appends what the end of the body completes: a last line without a line feed.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Decoder, MAX_LINE, StreamFormat};
    ///
    /// let mut decoder = Decoder::new(StreamFormat::Auto, MAX_LINE);
    /// let mut batch = Batch::default();
    /// decoder.feed(br#"{"error":"out of memory"}"#, &mut batch).unwrap();
    /// assert_eq!(batch.len(), 0);
    /// decoder.finish(&mut batch).unwrap();
    /// assert_eq!(batch.len(), 1);
    /// ```
    pub fn finish(&mut self, out: &mut Batch) -> Result<(), WireError> {
        self.unless_failed(|decoder| {
            if decoder.splitter.is_none() {
                let (format, held) = decoder.detector.finish();
                decoder.begin(format);
                decoder.split(&held, out)?;
            }
            let Some(splitter) = &mut decoder.splitter else {
                return Ok(());
            };
            splitter.finish(&mut LinesToBatch {
                lines: &mut decoder.lines,
                events: &mut decoder.events,
                out,
            })?;
            decoder.events.end_event(&mut TextsToBatch {
                lines: &mut decoder.lines,
                out,
            })
        })
    }

    /// For tests and benchmarks: how many lines took the fast path, and how many there were. Blank lines, and lines of
    /// an event stream that hold no JSON, do not count.
    #[doc(hidden)]
    pub fn hits(&self) -> (u64, u64) {
        (self.lines.fast_lines, self.lines.all_lines)
    }

    fn unless_failed(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        work(self).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Prepares for lines of `format`, which is no longer `Auto`.
    fn begin(&mut self, format: StreamFormat) {
        self.lines.line_number += self.detector.blank_lines;
        self.lines.events = format == StreamFormat::Sse;
        let ends = if self.lines.events {
            LineEnds::LfOrCr
        } else {
            LineEnds::Lf
        };
        self.splitter = Some(LineSplitter::new(ends, self.lines.max_line));
    }

    fn split(&mut self, bytes: &[u8], out: &mut Batch) -> Result<(), WireError> {
        let Some(splitter) = &mut self.splitter else {
            return Ok(());
        };
        splitter.feed(
            bytes,
            &mut LinesToBatch {
                lines: &mut self.lines,
                events: &mut self.events,
                out,
            },
        )
    }
}

/// Takes the lines of the splitter.
struct LinesToBatch<'a> {
    lines: &'a mut LineDecoder,
    events: &'a mut EventParser,
    out: &'a mut Batch,
}

impl LineHandler for LinesToBatch<'_> {
    fn take_line_from(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.lines.events {
            return None;
        }
        let is_whole = |length| bytes.get(length) == Some(&b'\n');
        let length = self.lines.decode_by_template(bytes, self.out, is_whole)?;
        self.lines.line_number += 1;
        Some(length + 1)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), WireError> {
        self.lines.line_number += 1;
        let mut texts = TextsToBatch {
            lines: self.lines,
            out: self.out,
        };
        if texts.lines.events {
            return self.events.line(line, texts.lines.max_line, &mut texts);
        }
        texts.json(line)
    }

    fn too_long(&self, limit: usize) -> WireError {
        WireError::LineTooLong {
            line_number: self.lines.line_number + 1,
            limit,
        }
    }
}

/// Takes JSON texts: lines, or the data of events.
struct TextsToBatch<'a> {
    lines: &'a mut LineDecoder,
    out: &'a mut Batch,
}

impl EventTextHandler for TextsToBatch<'_> {
    fn json(&mut self, text: &[u8]) -> Result<(), WireError> {
        let text = trimmed(text);
        if text.is_empty() {
            return Ok(());
        }
        let is_whole = |length| length == text.len();
        match self.lines.decode_by_template(text, self.out, is_whole) {
            Some(_) => Ok(()),
            None => self.lines.decode_by_parser(text, self.out),
        }
    }

    fn done(&mut self) {
        self.out.push_delta(Delta {
            shape: Shape::OpenAi,
            done: true,
            ..Delta::default()
        });
    }

    fn too_long(&self, limit: usize) -> WireError {
        WireError::LineTooLong {
            line_number: self.lines.line_number,
            limit,
        }
    }
}

/// `text` without JSON's white space around it, which has fewer characters than ASCII's.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}
