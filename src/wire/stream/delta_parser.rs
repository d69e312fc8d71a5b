//! One JSON object to what it says: a [`Delta`].
//!
//! Where a key comes twice the last one counts. A field of a wrong type counts as absent: servers and proxies differ,
//! and a broken detail must not end a stream.
//!
//! ```json
//! {"model":"m","created_at":"2026","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}
//! ```
//!
//! becomes a delta of the shape `Chat` with the `thinking` `Hm`, an empty `content` and no `error`.

use simd_json::{Node, StaticNode};

use super::delta::{Delta, Shape, TextMember, ToolCall};
use super::tape::TapeValue;
use crate::wire::counters::Counters;
use crate::wire::error_text::error_text;
use crate::wire::json::lenient;

/// Everything that the line `source` says; `object` is what was parsed from it. In a body that is no event stream
/// (`events` false), an OpenAI object without `delta` is a whole reply.
pub(super) fn parse_delta(object: TapeValue<'_, '_>, source: &[u8], events: bool) -> Delta {
    let mut delta = Delta {
        line: source.to_vec(),
        ..Delta::default()
    };
    let fields = &mut TopLevelFields::default();
    for (key, value) in object.members() {
        fields.set(key, value);
    }
    delta.model = owned(fields.model);
    delta.created_at = owned(fields.created_at);
    delta.done = fields.done.is_some_and(TapeValue::is_true);
    delta.done_reason = owned(fields.done_reason);
    delta.error = fields.error.and_then(|error| error_of_line(error, source));
    delta.counters = fields.counters;
    if let Some(choices) = fields.choices {
        delta.shape = Shape::OpenAi;
        if let Some(usage) = fields.usage {
            delta
                .counters
                .set_openai_usage(|name| usage.get(name).and_then(TapeValue::u64));
        }
        // With `n` above one the lines of several answers are interleaved; the answer that is read is the first one.
        let first = choices
            .elements()
            .enumerate()
            .find(|(_, choice)| choice.get("index").and_then(TapeValue::u64).unwrap_or(0) == 0);
        if let Some((position, choice)) = first {
            openai(&mut delta, choice, position, events);
        }
    } else if let Some(message) = fields.message {
        delta.shape = Shape::Chat;
        let calls = message_text(&mut delta, message);
        if calls {
            delta.tool_calls = tool_calls(
                source,
                &[PathStep::Key("message"), PathStep::Key("tool_calls")],
            );
        }
        if let (TextMember::Absent, Some(response)) = (delta.text_member, fields.response) {
            delta.text_member = text_of(response, &mut delta.content);
        }
    } else if fields.is_generate() {
        delta.shape = Shape::Generate;
        if let Some(response) = fields.response {
            delta.text_member = text_of(response, &mut delta.content);
        }
        let thinking = fields.thinking.and_then(TapeValue::str);
        thinking.unwrap_or_default().clone_into(&mut delta.thinking);
        if fields.tool_calls {
            delta.tool_calls = tool_calls(source, &[PathStep::Key("tool_calls")]);
        }
    }
    delta
}

/// The members of a line that say something, the last of each name.
#[derive(Default)]
struct TopLevelFields<'t, 'i> {
    model: Option<TapeValue<'t, 'i>>,
    created_at: Option<TapeValue<'t, 'i>>,
    message: Option<TapeValue<'t, 'i>>,
    response: Option<TapeValue<'t, 'i>>,
    thinking: Option<TapeValue<'t, 'i>>,
    choices: Option<TapeValue<'t, 'i>>,
    usage: Option<TapeValue<'t, 'i>>,
    done: Option<TapeValue<'t, 'i>>,
    done_reason: Option<TapeValue<'t, 'i>>,
    error: Option<TapeValue<'t, 'i>>,
    tool_calls: bool,
    /// Whether the line has an image that was made, or says how far the making of one is.
    image: bool,
    status: bool,
    counters: Counters,
}

impl<'t, 'i> TopLevelFields<'t, 'i> {
    /// Whether this is part of an answer of `/api/generate`. Those with images have no `response`
    /// (docs/wire.md#5-lines-of-a-generation); reports of the progress of a pull have a `status`.
    fn is_generate(&self) -> bool {
        let other = self.thinking.is_some() || self.tool_calls || self.image;
        let ends = self.done.is_some_and(TapeValue::is_true);
        self.response.is_some_and(|text| ends || !text.is_null()) || (other && !self.status)
    }

    fn set(&mut self, key: &str, value: TapeValue<'t, 'i>) {
        let some = (!value.is_null()).then_some(value);
        match key {
            "model" => self.model = some,
            "created_at" => self.created_at = some,
            "message" => self.message = some.filter(|value| value.is_object()),
            "response" => self.response = Some(value),
            "thinking" => self.thinking = some,
            "choices" => {
                self.choices =
                    some.filter(|value| matches!(value.node(), Some(Node::Array { .. })));
            }
            "usage" => self.usage = some,
            "done" => self.done = some,
            "done_reason" => self.done_reason = some,
            "error" => self.error = some,
            "tool_calls" => self.tool_calls = some.is_some(),
            "image" | "completed" => self.image |= some.is_some(),
            "status" => self.status = some.is_some(),
            _ => {
                if let Some(counter) = self.counters.get_mut(key) {
                    *counter = value.u64();
                }
            }
        }
    }
}

fn owned(value: Option<TapeValue<'_, '_>>) -> Option<String> {
    value.and_then(TapeValue::str).map(str::to_owned)
}

/// Takes role, content and thinking from a message or an `OpenAI` delta, and says whether it has tool calls.
fn message_text(delta: &mut Delta, message: TapeValue<'_, '_>) -> bool {
    let mut calls = false;
    for (key, value) in message.members() {
        match key {
            "role" => delta.role = owned(Some(value)),
            "content" => delta.text_member = text_of(value, &mut delta.content),
            // `reasoning` is the name at Ollama's OpenAI endpoint, `reasoning_content` that of other servers with such
            // an endpoint.
            "thinking" | "reasoning" | "reasoning_content" => {
                if let Some(text) = value.str() {
                    text.clone_into(&mut delta.thinking);
                }
            }
            "tool_calls" => calls = matches!(value.node(), Some(Node::Array { .. })),
            _ => {}
        }
    }
    calls
}

fn openai(delta: &mut Delta, choice: TapeValue<'_, '_>, position: usize, events: bool) {
    delta.done_reason = owned(choice.get("finish_reason"));
    let (message, piece) = (choice.get("message"), choice.get("delta"));
    let message = message.filter(|message| message.is_object());
    delta.done |= message.is_some() || (!events && piece.is_none());
    let (name, body) = if message.is_some() {
        ("message", message)
    } else {
        ("delta", piece)
    };
    if let Some(body) = body {
        if message_text(delta, body) {
            let path = [
                PathStep::Key("choices"),
                PathStep::Index(position),
                PathStep::Key(name),
                PathStep::Key("tool_calls"),
            ];
            delta.tool_calls = tool_calls(&delta.line, &path);
        }
    } else if let Some(text) = choice.get("text") {
        delta.text_member = text_of(text, &mut delta.content);
    }
}

/// Puts the text that `value` holds into `text`: a string, or a list of strings and of parts with a `text`.
fn text_of(value: TapeValue<'_, '_>, text: &mut String) -> TextMember {
    text.clear();
    match value.node() {
        Some(Node::String(whole)) => text.push_str(whole),
        Some(Node::Array { .. }) => {
            for part in value.elements() {
                let Some(piece) = part.str().or_else(|| part.get("text")?.str()) else {
                    text.clear();
                    return TextMember::NotText;
                };
                text.push_str(piece);
            }
        }
        _ if value.is_null() => return TextMember::Absent,
        _ => return TextMember::NotText,
    }
    TextMember::Text
}

/// The text of an `error` member, or the whole line where it has none; `None` if the member says nothing, by Python's
/// idea of truth.
fn error_of_line(error: TapeValue<'_, '_>, source: &[u8]) -> Option<String> {
    match error.node()? {
        Node::Static(
            StaticNode::Null
            | StaticNode::Bool(false)
            | StaticNode::I64(0)
            | StaticNode::U64(0)
            | StaticNode::F64(0.0),
        )
        | Node::String("")
        | Node::Array { len: 0, .. }
        | Node::Object { len: 0, .. } => None,
        _ => error_text(&error).or_else(|| Some(String::from_utf8_lossy(source).into_owned())),
    }
}

/// One step from a value into a member or an element of it.
enum PathStep {
    Key(&'static str),
    Index(usize),
}

/// The calls of the array at `path`. Their arguments are cut out of the source, where numbers are exact. An entry
/// that is no object is left out.
fn tool_calls(source: &[u8], path: &[PathStep]) -> Vec<ToolCall> {
    let Ok(source) = std::str::from_utf8(source) else {
        return Vec::new();
    };
    let array = path.iter().try_fold(source, |value, step| match step {
        PathStep::Key(key) => lenient::member(value, key),
        PathStep::Index(index) => lenient::elements(value).get(*index).copied(),
    });
    lenient::elements(array.unwrap_or_default())
        .into_iter()
        .filter(|call| call.starts_with('{'))
        .map(tool_call)
        .collect()
}

fn tool_call(call: &str) -> ToolCall {
    let text = |value: Option<&str>| {
        value
            .and_then(lenient::string)
            .map(std::borrow::Cow::into_owned)
    };
    let function = lenient::member(call, "function").unwrap_or_default();
    let arguments = lenient::member(function, "arguments").filter(|arguments| *arguments != "null");
    // Ollama's own endpoints put the index into the function, OpenAI's into the call.
    let index = lenient::member(function, "index").or_else(|| lenient::member(call, "index"));
    ToolCall {
        id: text(lenient::member(call, "id")),
        index: index.and_then(|index| index.parse().ok()),
        name: text(lenient::member(function, "name")).unwrap_or_default(),
        arguments: match arguments {
            None => String::new(),
            Some(object) => text(Some(object)).unwrap_or_else(|| object.to_owned()),
        },
    }
}
