//! The decoder: framing first, then each line by the fast path or the strict one.

use std::sync::Arc;

use super::chunk::{self, Parser, Refusal};
use super::fast::Form;
use super::lines::{Ends, Sink, Splitter};
use super::sse::{Event, Reader};
use super::{Batch, Delta, Framing, Shape, Template, WireError};

/// Turns the body of one reply, in pieces of any size, into items. What comes out does not depend on the cuts.
pub struct Decoder {
    framing: Framing,
    /// Bytes that came before the framing was known: at most a byte order mark or the first word.
    head: Vec<u8>,
    marked: bool,
    body: Option<Splitter>,
    event: Event,
    core: Core,
    failed: Option<WireError>,
}

/// What reads a single line.
struct Core {
    parser: Parser,
    /// The fast path is open once there is a form.
    form: Option<Form>,
    learns: bool,
    template: Option<Arc<Template>>,
    events: bool,
    max_line: usize,
    line_number: u64,
    fast: u64,
    lines: u64,
}

/// What the first bytes of a body tell about the rest.
enum Opening {
    Known(Framing),
    /// More bytes are needed.
    Open,
}

const MARK: &[u8] = b"\xef\xbb\xbf";

/// How a line of an event stream can begin.
const FIELDS: [&[u8]; 5] = [b"data:", b":", b"event:", b"id:", b"retry:"];

impl Decoder {
    /// A decoder for one body. A line of more than `max_line` bytes is an error.
    pub fn new(framing: Framing, max_line: usize) -> Self {
        Self {
            framing,
            head: Vec::new(),
            marked: false,
            body: None,
            event: Event::default(),
            core: Core {
                parser: Parser::default(),
                form: None,
                learns: true,
                template: None,
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
    pub fn strict(framing: Framing, max_line: usize) -> Self {
        let mut decoder = Self::new(framing, max_line);
        decoder.core.learns = false;
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
                decoder.begin(if decoder.framing == Framing::Sse {
                    Framing::Sse
                } else {
                    Framing::Ndjson
                });
                decoder.split(&head, out)?;
            }
            let Some(body) = &mut decoder.body else {
                return Ok(());
            };
            let mut lines = Lines {
                core: &mut decoder.core,
                event: &mut decoder.event,
                out,
            };
            body.finish(&mut lines)?;
            decoder.event.end(&mut Json {
                core: &mut decoder.core,
                out,
            })
        })
    }

    /// How many lines took the fast path, and how many there were. Blank lines and framing do not count.
    pub fn hits(&self) -> (u64, u64) {
        (self.core.fast, self.core.lines)
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
            if bytes.len() < MARK.len() && MARK.starts_with(bytes) {
                self.head = bytes.to_vec();
                return Ok(());
            }
            bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
            self.marked = true;
        }
        match self.opening(&mut bytes) {
            Opening::Open => {
                self.head = bytes.to_vec();
                Ok(())
            }
            Opening::Known(framing) => {
                self.begin(framing);
                self.split(bytes, out)
            }
        }
    }

    fn opening(&mut self, bytes: &mut &[u8]) -> Opening {
        if self.framing != Framing::Auto {
            return Opening::Known(self.framing);
        }
        while let Some((first, rest)) = bytes.split_first() {
            match first {
                b'\n' => self.core.line_number += 1,
                b' ' | b'\t' | b'\r' => {}
                _ => break,
            }
            *bytes = rest;
        }
        if FIELDS.iter().any(|field| bytes.starts_with(field)) {
            Opening::Known(Framing::Sse)
        } else if FIELDS.iter().any(|field| field.starts_with(bytes)) {
            Opening::Open
        } else {
            Opening::Known(Framing::Ndjson)
        }
    }

    fn begin(&mut self, framing: Framing) {
        self.core.events = framing == Framing::Sse;
        let ends = if self.core.events {
            Ends::Any
        } else {
            Ends::Newline
        };
        self.body = Some(Splitter::new(ends, self.core.max_line));
    }

    fn split(&mut self, bytes: &[u8], out: &mut Batch) -> Result<(), WireError> {
        let Some(body) = &mut self.body else {
            return Ok(());
        };
        body.feed(
            bytes,
            &mut Lines {
                core: &mut self.core,
                event: &mut self.event,
                out,
            },
        )
    }
}

/// Where the splitter's lines go.
struct Lines<'a> {
    core: &'a mut Core,
    event: &'a mut Event,
    out: &'a mut Batch,
}

impl Sink for Lines<'_> {
    fn glance(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.core.events {
            return None;
        }
        let length = self
            .core
            .fast(bytes, self.out, |length| bytes.get(length) == Some(&b'\n'))?;
        self.core.line_number += 1;
        Some(length + 1)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), WireError> {
        self.core.line_number += 1;
        let mut json = Json {
            core: self.core,
            out: self.out,
        };
        if json.core.events {
            return self.event.line(line, json.core.max_line, &mut json);
        }
        json.json(line)
    }

    fn too_long(&self, limit: usize) -> WireError {
        WireError::LineTooLong {
            line_number: self.core.line_number + 1,
            limit,
        }
    }
}

/// Where JSON texts go.
struct Json<'a> {
    core: &'a mut Core,
    out: &'a mut Batch,
}

impl Reader for Json<'_> {
    fn json(&mut self, text: &[u8]) -> Result<(), WireError> {
        let text = trimmed(text);
        if text.is_empty() {
            return Ok(());
        }
        if self
            .core
            .fast(text, self.out, |length| length == text.len())
            .is_some()
        {
            return Ok(());
        }
        self.core.strict(text, self.out)
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
            line_number: self.core.line_number,
            limit,
        }
    }
}

impl Core {
    /// Tries the line at the start of `bytes` by its form; it counts if `whole` agrees with its length.
    #[inline]
    fn fast(
        &mut self,
        bytes: &[u8],
        out: &mut Batch,
        whole: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let form = self.form.as_ref()?;
        if !out.takes(&form.template) {
            return None;
        }
        let before = out.text.len();
        match form.read(bytes, &mut out.text) {
            Some((length, stamp)) if length <= self.max_line && whole(length) => {
                out.end_text(stamp);
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
            form,
            learns,
            template,
            events,
            ..
        } = self;
        let result = parser.object(line, &mut |object| {
            if let Some(ordinary) = chunk::ordinary(object) {
                let template = template.get_or_insert_with(|| {
                    Arc::new(Template {
                        shape: ordinary.shape,
                        model: ordinary.model.to_owned(),
                    })
                });
                if ordinary.fits(template) && out.takes(template) {
                    out.text.push_str(ordinary.content);
                    out.end_text(ordinary.stamp);
                    if *learns && form.is_none() {
                        *form = Form::learn(line, template);
                    }
                    return;
                }
            }
            out.push_full(chunk::delta(object, line, *events));
        });
        self.lines += 1;
        let line_number = self.line_number;
        result.map_err(|refusal| match refusal {
            Refusal::NotUtf8 { position } => WireError::NotUtf8 {
                line_number,
                position,
            },
            Refusal::NotJson { position } => WireError::NotJson {
                line_number,
                position,
                excerpt: excerpt(line),
            },
            Refusal::NotObject => WireError::NotObject {
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

/// The beginning of a line, for people.
pub(super) fn excerpt(line: &[u8]) -> String {
    // Enough bytes for one character more than is shown.
    crate::excerpt::excerpt(
        &String::from_utf8_lossy(line.get(..804).unwrap_or(line)),
        200,
    )
}
