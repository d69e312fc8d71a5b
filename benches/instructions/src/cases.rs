//! Bodies to decode, for `wire.rs` (time) and `instructions` (instructions), so that both measure the same.

/// Numbers in a vector: those of common embedding models.
pub const WIDTH: usize = 768;

#[derive(Clone, Copy)]
pub enum Format {
    Ndjson,
    Sse,
}

/// A content line of `/api/chat` with its line end.
pub fn chat(text: &str) -> String {
    format!(
        "{{\"model\":\"smollm2:135m\",\"created_at\":\"2026-08-21T17:00:05.104512Z\",\"message\":{{\"role\":\"assistant\",\
         \"content\":\"{text}\"}},\"done\":false}}\n"
    )
}

/// The kinds of lines: name, format, and one line with its end.
pub fn lines() -> Vec<(&'static str, Format, String)> {
    let openai = r#"{"id":"chatcmpl-417","object":"chat.completion.chunk","created":1787331605,"model":"smollm2:135m","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#;
    vec![
        ("plain", Format::Ndjson, chat(" word")),
        (
            "escaped",
            Format::Ndjson,
            chat("\\u003cb\\u003e \\\"word\\\"\\n"),
        ),
        ("chinese", Format::Ndjson, chat("\u{6f22}\u{5b57}")),
        (
            "two hundred characters",
            Format::Ndjson,
            chat(&"a longer piece of text, ".repeat(8)),
        ),
        (
            "thinking",
            Format::Ndjson,
            chat("").replace(r#""""#, r#""","thinking":" word""#),
        ),
        ("openai", Format::Sse, format!("data: {openai}\n\n")),
    ]
}

/// `count` lines as those of `plain`, whose text does not repeat itself.
#[allow(dead_code, reason = "the criterion benches have no use for it")]
pub fn prose(count: usize) -> String {
    const WORDS: [&str; 8] = [
        " word", " plan", " game", " must", " have", " this", " when", " each",
    ];
    // Made before they are strung together, which has to cost little beside what is measured.
    let lines = WORDS.map(chat);
    let mut state = 1_u32;
    let mut body = String::with_capacity(count * 160);
    for _ in 0..count {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        body.push_str(lines.get((state >> 29) as usize).map_or("", String::as_str));
    }
    body
}

/// A reply of `/api/embed` with `rows` vectors of [`WIDTH`] numbers, written as Ollama writes them.
pub fn vectors(rows: usize) -> String {
    let row: Vec<String> = (0..WIDTH).map(number).collect();
    let row = format!("[{}]", row.join(","));
    format!(
        r#"{{"model":"all-minilm","embeddings":[{}],"total_duration":14143917}}"#,
        vec![row.as_str(); rows].join(",")
    )
}

/// Mostly nine digits, now and then an exponent or an integer.
fn number(index: usize) -> String {
    let digits = index * 7_919 % 99_991;
    match index % 64 {
        0 => "0".to_owned(),
        1 => format!("{}.{digits}e-7", index % 9 + 1),
        _ => format!(
            "{}0.0{digits:05}{:03}",
            if index.is_multiple_of(2) { "-" } else { "" },
            index % 997
        ),
    }
}
