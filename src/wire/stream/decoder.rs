//! The decoder: format first, then each line by the fast path or the strict one.

use std::sync::Arc;

use super::batch::{Batch, SharedFields};
use super::delta::{Delta, Shape};
use super::error::WireError;
use super::format::StreamFormat;
use super::line_parser::{self, LineParser, ObjectError};
use super::line_splitter::{LineEnds, LineHandler, LineSplitter};
use super::line_template::LineTemplate;
use super::sse::{EventHandler, EventParser};
use crate::wire::excerpt::excerpt;

/// Turns the body of one reply, in pieces of any size, into items. What comes out does not depend on the cuts.
pub struct Decoder {
    format: StreamFormat,
    /// Bytes that came before the format was known: at most a byte order mark or the first word.
    head: Vec<u8>,
    marked: bool,
    body: Option<LineSplitter>,
    event: EventParser,
    lines: LineDecoder,
    failed: Option<WireError>,
}

/// What reads a single line.
struct LineDecoder {
    parser: LineParser,
    /// The fast path is open once there is a template.
    template: Option<LineTemplate>,
    learns: bool,
    shared: Option<Arc<SharedFields>>,
    events: bool,
    max_line: usize,
    line_number: u64,
    fast: u64,
    lines: u64,
}

/// What the first bytes of a body tell about the rest.
enum Opening {
    Known(StreamFormat),
    /// More bytes are needed.
    Open,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a line of an event stream can begin.
const SSE_FIELDS: [&[u8]; 5] = [b"data:", b":", b"event:", b"id:", b"retry:"];

impl Decoder {
    /// A decoder for one body. A line of more than `max_line` bytes is an error.
    pub fn new(format: StreamFormat, max_line: usize) -> Self {
        Self {
            format,
            head: Vec::new(),
            marked: false,
            body: None,
            event: EventParser::default(),
            lines: LineDecoder {
                parser: LineParser::default(),
                template: None,
                learns: true,
                shared: None,
                events: false,
                max_line,
                line_number: 0,
                fast: 0,
                lines: 0,
            },
            failed: None,
        }
    }

    /// The same decoder without its fast path: slower, with the same items. Tests compare the two.
    pub fn strict(format: StreamFormat, max_line: usize) -> Self {
        let mut decoder = Self::new(format, max_line);
        decoder.lines.learns = false;
        decoder
    }

    /// Appends an item for each line completed by `bytes`. After an error the decoder is spent and repeats it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Batch) -> Result<(), WireError> {
        self.guarded(|decoder| {
            if decoder.body.is_some() {
                return decoder.split(bytes, out);
            }
            let mut head = std::mem::take(&mut decoder.head);
            if head.is_empty() {
                return decoder.open(bytes, out);
            }
            head.extend_from_slice(bytes);
            decoder.open(&head, out)
        })
    }

    /// End of the body: a last line without an end is read too.
    pub fn finish(&mut self, out: &mut Batch) -> Result<(), WireError> {
        self.guarded(|decoder| {
            if decoder.body.is_none() {
                let head = std::mem::take(&mut decoder.head);
                decoder.begin(if decoder.format == StreamFormat::Sse {
                    StreamFormat::Sse
                } else {
                    StreamFormat::Ndjson
                });
                decoder.split(&head, out)?;
            }
            let Some(body) = &mut decoder.body else {
                return Ok(());
            };
            let mut lines = LinesToBatch {
                lines: &mut decoder.lines,
                event: &mut decoder.event,
                out,
            };
            body.finish(&mut lines)?;
            decoder.event.end(&mut EventsToBatch {
                lines: &mut decoder.lines,
                out,
            })
        })
    }

    /// How many lines took the fast path, and how many there were. Blank lines and format do not count.
    pub fn hits(&self) -> (u64, u64) {
        (self.lines.fast, self.lines.lines)
    }

    fn guarded(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        work(self).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Takes the first bytes of a body: drops one byte order mark and finds out how the rest is framed.
    fn open(&mut self, mut bytes: &[u8], out: &mut Batch) -> Result<(), WireError> {
        if !self.marked {
            if bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) {
                self.head = bytes.to_vec();
                return Ok(());
            }
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
            self.marked = true;
        }
        match self.opening(&mut bytes) {
            Opening::Open => {
                self.head = bytes.to_vec();
                Ok(())
            }
            Opening::Known(format) => {
                self.begin(format);
                self.split(bytes, out)
            }
        }
    }

    fn opening(&mut self, bytes: &mut &[u8]) -> Opening {
        if self.format != StreamFormat::Auto {
            return Opening::Known(self.format);
        }
        while let Some((first, rest)) = bytes.split_first() {
            match first {
                b'\n' => self.lines.line_number += 1,
                b' ' | b'\t' | b'\r' => {}
                _ => break,
            }
            *bytes = rest;
        }
        if SSE_FIELDS.iter().any(|field| bytes.starts_with(field)) {
            Opening::Known(StreamFormat::Sse)
        } else if SSE_FIELDS.iter().any(|field| field.starts_with(bytes)) {
            Opening::Open
        } else {
            Opening::Known(StreamFormat::Ndjson)
        }
    }

    fn begin(&mut self, format: StreamFormat) {
        self.lines.events = format == StreamFormat::Sse;
        let ends = if self.lines.events {
            LineEnds::LfOrCr
        } else {
            LineEnds::Lf
        };
        self.body = Some(LineSplitter::new(ends, self.lines.max_line));
    }

    fn split(&mut self, bytes: &[u8], out: &mut Batch) -> Result<(), WireError> {
        let Some(body) = &mut self.body else {
            return Ok(());
        };
        body.feed(
            bytes,
            &mut LinesToBatch {
                lines: &mut self.lines,
                event: &mut self.event,
                out,
            },
        )
    }
}

/// Where the splitter's lines go.
struct LinesToBatch<'a> {
    lines: &'a mut LineDecoder,
    event: &'a mut EventParser,
    out: &'a mut Batch,
}

impl LineHandler for LinesToBatch<'_> {
    fn try_known_line(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.lines.events {
            return None;
        }
        let length = self
            .lines
            .fast(bytes, self.out, |length| bytes.get(length) == Some(&b'\n'))?;
        self.lines.line_number += 1;
        Some(length + 1)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), WireError> {
        self.lines.line_number += 1;
        let mut json = EventsToBatch {
            lines: self.lines,
            out: self.out,
        };
        if json.lines.events {
            return self.event.line(line, json.lines.max_line, &mut json);
        }
        json.json(line)
    }

    fn too_long(&self, limit: usize) -> WireError {
        WireError::LineTooLong {
            line_number: self.lines.line_number + 1,
            limit,
        }
    }
}

/// Where JSON texts go.
struct EventsToBatch<'a> {
    lines: &'a mut LineDecoder,
    out: &'a mut Batch,
}

impl EventHandler for EventsToBatch<'_> {
    fn json(&mut self, text: &[u8]) -> Result<(), WireError> {
        let text = trimmed(text);
        if text.is_empty() {
            return Ok(());
        }
        if self
            .lines
            .fast(text, self.out, |length| length == text.len())
            .is_some()
        {
            return Ok(());
        }
        self.lines.strict(text, self.out)
    }

    fn done(&mut self) {
        self.out.push_full(Delta {
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

impl LineDecoder {
    /// Tries the line at the start of `bytes` by its template; it counts if `whole` agrees with its length.
    #[inline]
    fn fast(
        &mut self,
        bytes: &[u8],
        out: &mut Batch,
        whole: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let template = self.template.as_ref()?;
        if !out.accepts(&template.shared) {
            return None;
        }
        let before = out.text.len();
        match template.read(bytes, &mut out.text) {
            Some((length, created_at)) if length <= self.max_line && whole(length) => {
                out.end_content(created_at);
                self.fast += 1;
                self.lines += 1;
                Some(length)
            }
            _ => {
                out.text.truncate(before);
                None
            }
        }
    }

    fn strict(&mut self, line: &[u8], out: &mut Batch) -> Result<(), WireError> {
        let Self {
            parser,
            template,
            learns,
            shared,
            events,
            ..
        } = self;
        let result = parser.object(line, &mut |object| {
            if let Some(content_line) = line_parser::content_line(object) {
                let shared = shared.get_or_insert_with(|| {
                    Arc::new(SharedFields {
                        shape: content_line.shape,
                        model: content_line.model.to_owned(),
                    })
                });
                if content_line.fits(shared) && out.accepts(shared) {
                    out.text.push_str(content_line.content);
                    out.end_content(content_line.created_at);
                    if *learns && template.is_none() {
                        *template = LineTemplate::learn(line, shared);
                    }
                    return;
                }
            }
            out.push_full(line_parser::delta(object, line, *events));
        });
        self.lines += 1;
        let line_number = self.line_number;
        result.map_err(|refusal| match refusal {
            ObjectError::NotUtf8 { position } => WireError::NotUtf8 {
                line_number,
                position,
            },
            ObjectError::NotJson { position } => WireError::NotJson {
                line_number,
                position,
                excerpt: excerpt(line),
            },
            ObjectError::NotObject => WireError::NotObject {
                line_number,
                excerpt: excerpt(line),
            },
        })
    }
}

/// `text` without JSON's white space around it, which is less than ASCII's.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}
