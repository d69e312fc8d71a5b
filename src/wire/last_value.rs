//! The last value of a body, as the "`MetaGPT` on Ollama" guide's `decode` chooses it: which pieces of the body to try
//! to parse, in which order. Only the last piece that parses counts, so the pieces come from the end and the cost is
//! that of one line. Nothing is parsed here. Of `{"a":1}\n{"a":2}\n`, the piece `{"a":2}` comes first, and `{"a":1}`
//! next.
//!
//! The rules are those of Python's str (`strip`, `split("\n")`), applied to bytes. That is sound for any bytes: every
//! white space of `strip` has a UTF-8 form that begins with a lead byte, so it is found in the middle of no other
//! character, and whether a line is valid UTF-8 depends on no byte outside it.

use memchr::{memchr, memrchr};

/// The body without one byte order mark before it.
///
/// ```
/// use metagpt_ollama_rs::wire::last_value::without_byte_order_mark;
///
/// assert_eq!(without_byte_order_mark(b"\xEF\xBB\xBF{}"), b"{}");
/// ```
pub fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// Python's `str.strip()`. It knows four separators, U+001C to U+001F, that Rust's `trim` does not take for white
/// space.
///
/// ```
/// use metagpt_ollama_rs::wire::last_value::strip_like_python;
///
/// assert_eq!(strip_like_python(b" \x1c{} \n"), b"{}");
/// ```
pub fn strip_like_python(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        rest = match rest {
            [0x09..=0x0D | 0x1C..=0x20, tail @ ..]
            | [0xC2, 0x85 | 0xA0, tail @ ..]
            | [0xE1, 0x9A, 0x80, tail @ ..]
            | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, tail @ ..]
            | [0xE2, 0x81, 0x9F, tail @ ..]
            | [0xE3, 0x80, 0x80, tail @ ..] => tail,
            _ => break,
        }
    }
    loop {
        rest = match rest {
            [head @ .., 0x09..=0x0D | 0x1C..=0x20]
            | [head @ .., 0xC2, 0x85 | 0xA0]
            | [head @ .., 0xE1, 0x9A, 0x80]
            | [head @ .., 0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF]
            | [head @ .., 0xE2, 0x81, 0x9F]
            | [head @ .., 0xE3, 0x80, 0x80] => head,
            _ => return rest,
        }
    }
}

/// The texts to try as JSON, the last line's first: lines stripped, without `data: ` (six bytes, cut off once).
/// Lines that no JSON parser takes, `[DONE]` among them, are left out.
///
/// ```
/// use metagpt_ollama_rs::wire::last_value::lines_from_end;
///
/// let body = b"data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: [DONE]\n";
/// assert!(lines_from_end(body).eq([br#"{"a":2}"#, br#"{"a":1}"#]));
/// ```
pub fn lines_from_end(body: &[u8]) -> LinesFromEnd<'_> {
    LinesFromEnd { rest: Some(body) }
}

/// The iterator that [`lines_from_end`] returns.
#[derive(Clone, Debug)]
pub struct LinesFromEnd<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for LinesFromEnd<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.rest?;
            let end = memrchr(b'\n', rest);
            self.rest = end.and_then(|at| rest.get(..at));
            let line = end.and_then(|at| rest.get(at + 1..)).unwrap_or(rest);
            let line = strip_like_python(line);
            let text = line.strip_prefix(b"data: ").unwrap_or(line);
            if may_be_json(text) {
                return Some(text);
            }
        }
    }
}

/// False only for texts that `json.loads` refuses. A look at both ends of the text spares a real attempt on a line that
/// was cut off, on a comment or field of an event stream, and on `[DONE]`.
///
/// ```
/// use metagpt_ollama_rs::wire::last_value::may_be_json;
///
/// assert!(may_be_json(b"{\"a\":1}") && !may_be_json(b"{\"a\":") && !may_be_json(b"[DONE]"));
/// ```
pub fn may_be_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text != b"[DONE]"
        && matches!(
            text,
            [b'{', .., b'}'] | [b'[', .., b']'] | [b'"', .., b'"']
            // Numbers, `true`, `false`, `null`, and Python's `NaN` and `Infinity`.
            | [b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I', ..]
        )
}

/// Texts to try where no line of [`lines_from_end`] parses, the last one first: server-sent events by their own rules,
/// so `data:` without a space, events whose data spans lines (joined), and CR as a line end. The lines of an event come
/// singly after their joined form, for servers that forget the blank line between events.
///
/// ```
/// use metagpt_ollama_rs::wire::last_value::events_from_end;
///
/// assert_eq!(events_from_end(b"data:1\n\ndata:2\n\n"), [b"2", b"1"]);
/// ```
pub fn events_from_end(body: &[u8]) -> Vec<Vec<u8>> {
    let mut events: Vec<Vec<&[u8]>> = vec![Vec::new()];
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix(b"\n").unwrap_or(tail);
        for line in line
            .strip_suffix(b"\r")
            .unwrap_or(line)
            .split(|byte| *byte == b'\r')
        {
            let line = strip_like_python(line);
            if line.is_empty() {
                events.push(Vec::new());
            } else if let Some(data) = line.strip_prefix(b"data:")
                && strip_like_python(data) != b"[DONE]"
                && let Some(event) = events.last_mut()
            {
                event.push(data.strip_prefix(b" ").unwrap_or(data));
            }
        }
    }
    let mut texts = Vec::new();
    for event in events.iter().rev() {
        texts.push(event.join(&b"\n"[..]));
        if event.len() > 1 {
            texts.extend(event.iter().rev().map(|line| line.to_vec()));
        }
    }
    texts.retain(|text| may_be_json(text));
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(body: &str) -> Vec<&str> {
        lines_from_end(body.as_bytes())
            .map(|line| std::str::from_utf8(line).unwrap_or("?"))
            .collect()
    }

    #[test]
    fn strips_what_python_strips_and_nothing_else() {
        // Python: "".join(c for c in map(chr, range(0x110000)) if not c.strip())
        let white = "\t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f} \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\
                     \u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
        for c in '\0'..=char::MAX {
            let text = format!("{c}x{c}");
            let stripped = strip_like_python(text.as_bytes()).len() == 1;
            assert_eq!(stripped, white.contains(c), "{c:?}");
        }
        assert_eq!(strip_like_python(white.as_bytes()), b"");
        assert_eq!(
            strip_like_python(format!("{white}a{white}b{white}").as_bytes()),
            format!("a{white}b").as_bytes()
        );
    }

    #[test]
    fn lines_come_from_the_end_unwrapped() {
        assert_eq!(
            all("{\"a\":1}\n\n  data: {\"b\":2}\r\ndata: [DONE]\n"),
            ["{\"b\":2}", "{\"a\":1}"]
        );
        assert_eq!(all("data: data: 1\n2"), ["2"]);
        assert_eq!(all("data:3\nevent: x\n: ping\n{\"cut\": \"of"), [""; 0]);
        assert_eq!(all(""), [""; 0]);
    }

    #[test]
    fn only_a_line_feed_ends_a_line() {
        assert_eq!(all("[1,\u{2028}2]\n"), ["[1,\u{2028}2]"]);
        assert_eq!(all("1\r2"), ["1\r2"]);
    }

    #[test]
    fn events_follow_the_rules_of_server_sent_events() {
        let body = b"data:{\"a\":\ndata: 1}\n\ndata:[DONE]\n\n";
        assert_eq!(
            events_from_end(body).first(),
            Some(&b"{\"a\":\n1}".to_vec())
        );
        let body = b"data:{\"a\":1}\ndata:{\"a\":2}\n";
        assert_eq!(events_from_end(body).last(), Some(&b"{\"a\":1}".to_vec()));
        assert_eq!(
            events_from_end(b"data:1\r\rdata:2\r\n\r\n"),
            [b"2".to_vec(), b"1".to_vec()]
        );
    }
}
