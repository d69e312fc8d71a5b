//! What a server says went wrong: the text of the `error` member of a refusal, or of a line of a stream.
//!
//! It stands there in one of three ways, all of which mean `no such model`. The last is a refusal of the runner, which
//! Ollama passes on as a whole:
//!
//! ```json
//! {"error": "no such model"}
//! {"error": {"message": "no such model", "type": "invalid_request_error"}}
//! {"error": "{\"error\":{\"code\":404,\"message\":\"no such model\"}}"}
//! ```

use serde_json::Value;

/// A JSON value, whoever has parsed it.
pub trait JsonNode: Sized {
    /// The value, if it is a string.
    fn as_text(&self) -> Option<&str>;

    /// The member `name`, if the value is an object that has it.
    fn member(&self, name: &str) -> Option<Self>;
}

impl JsonNode for &Value {
    fn as_text(&self) -> Option<&str> {
        self.as_str()
    }

    fn member(&self, name: &str) -> Option<Self> {
        self.get(name)
    }
}

/// The text in an `error` member; `None` if there is none, or an empty one.
///
/// ```
/// use metagpt_ollama_rs::wire::error_text;
///
/// let body: serde_json::Value = serde_json::from_str(r#"{"error":{"message":"no such model"}}"#).unwrap();
/// assert_eq!(error_text(&&body["error"]).as_deref(), Some("no such model"));
/// ```
pub fn error_text(error: &impl JsonNode) -> Option<String> {
    let text = match error.as_text() {
        Some(text) => text.to_owned(),
        None => error.member("message")?.as_text()?.to_owned(),
    };
    (!text.is_empty()).then(|| nested_text(&text).unwrap_or(text))
}

/// The text in an error that is itself an object, written as JSON.
fn nested_text(text: &str) -> Option<String> {
    let object = text.trim_start().starts_with('{').then_some(text)?;
    let object: Value = serde_json::from_str(object).ok()?;
    error_text(&object.get("error").unwrap_or(&object))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::error_text;

    #[test]
    fn each_way_of_saying_it_is_read() {
        let nested = r#"{"error":{"code":404,"message":"no such model"}}"#;
        for (error, text) in [
            (json!("no such model"), Some("no such model")),
            (
                json!({"message": "no such model", "code": 1}),
                Some("no such model"),
            ),
            (json!(nested), Some("no such model")),
            (
                json!(json!({"error": nested}).to_string()),
                Some("no such model"),
            ),
            (
                json!(r#"{"message":"no such model"}"#),
                Some("no such model"),
            ),
            (json!("{no such model"), Some("{no such model")),
            (json!(r#"{"code":404}"#), Some(r#"{"code":404}"#)),
            (json!(""), None),
            (json!({"message": ""}), None),
            (json!({"message": 404}), None),
            (json!(404), None),
            (Value::Null, None),
        ] {
            assert_eq!(error_text(&&error).as_deref(), text, "{error}");
        }
    }
}
