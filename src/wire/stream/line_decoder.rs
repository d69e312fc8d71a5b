//! One line to one item of a batch, by the fast path or the strict one.
//!
//! ```text
//! {"model":"m","created_at":"…","response":"Hel","done":false}              ->  the content item "Hel"
//! {"model":"m","created_at":"…","response":"","done":true,"eval_count":3}  ->  a delta with eval_count 3
//! ```
//!
//! The first content line of a stream is read by the parser and becomes the template of the lines after it. Each line
//! that matches the template is read by it; each other line is parsed, and becomes a content item, or a delta of its
//! own.

use std::sync::Arc;

use super::batch::Batch;
use super::content_line::{ContentLine, SharedFields};
use super::delta_parser::parse_delta;
use super::error::WireError;
use super::line_parser::{LineParser, ObjectError};
use super::line_template::LineTemplate;
use crate::wire::excerpt::excerpt;

/// Reads the lines of one body, one at a time.
pub(super) struct LineDecoder {
    parser: LineParser,
    /// The template of the stream's content lines, once there was one. Without a template every line is parsed.
    template: Option<LineTemplate>,
    /// Whether a template may be learned; only tests and benchmarks say no.
    learns: bool,
    /// The fields of the stream's first content line.
    shared: Option<Arc<SharedFields>>,
    /// Whether the body is an event stream.
    pub events: bool,
    pub max_line: usize,
    /// The number of the line at hand, counted from 1, for errors.
    pub line_number: u64,
    /// How many lines the template has read, and how many lines there were.
    pub fast_lines: u64,
    pub all_lines: u64,
}

impl LineDecoder {
    /// A decoder for the lines of one body. Without `learns` it parses every line.
    pub fn new(learns: bool, max_line: usize) -> Self {
        Self {
            parser: LineParser::default(),
            template: None,
            learns,
            shared: None,
            events: false,
            max_line,
            line_number: 0,
            fast_lines: 0,
            all_lines: 0,
        }
    }

    /// Appends what the line at the start of `bytes` says, if it matches the template and `is_whole` agrees with its
    /// length, which is the result.
    #[inline]
    pub fn decode_by_template(
        &mut self,
        bytes: &[u8],
        out: &mut Batch,
        is_whole: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let template = self.template.as_ref()?;
        if !out.accepts(&template.shared) {
            return None;
        }
        let before = out.text.len();
        match template.read(bytes, &mut out.text) {
            Some((length, created_at)) if length <= self.max_line && is_whole(length) => {
                out.end_content(created_at);
                self.fast_lines += 1;
                self.all_lines += 1;
                Some(length)
            }
            _ => {
                out.text.truncate(before);
                None
            }
        }
    }

    /// Appends what `line` says, after a parse of it.
    pub fn decode_by_parser(&mut self, line: &[u8], out: &mut Batch) -> Result<(), WireError> {
        let Self {
            parser,
            template,
            learns,
            shared,
            events,
            ..
        } = self;
        let result = parser.parse_object(line, &mut |object| {
            if let Some(content_line) = ContentLine::of(object) {
                let shared = shared.get_or_insert_with(|| {
                    Arc::new(SharedFields {
                        shape: content_line.shape,
                        model: content_line.model.to_owned(),
                    })
                });
                if content_line.has(shared) && out.accepts(shared) {
                    out.text.push_str(content_line.content);
                    out.end_content(content_line.created_at);
                    if *learns && template.is_none() {
                        *template = LineTemplate::learn(line, shared);
                    }
                    return;
                }
            }
            out.push_delta(parse_delta(object, line, *events));
        });
        self.all_lines += 1;
        let line_number = self.line_number;
        result.map_err(|error| match error {
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
