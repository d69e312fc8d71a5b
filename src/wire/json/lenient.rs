//! A slow reader of JSON that refuses nothing legal: numbers of any size, halves of surrogate pairs, nesting of any
//! depth.
//!
//! simd-json reads nearly every line. A line that simd-json refuses is read here once more, without recursion, and is
//! either found to be no JSON or rewritten into something that simd-json can hold: `{"a":1e999,"b":"\ud800"}` becomes
//! `{"a":0.5,"b":"\ufffd"}`. The same reader finds the source text of a nested value, which the arguments of a tool
//! call need, because their numbers must not pass through a float: of `{"arguments":{"n":1.10}}`, the member
//! `arguments` is the text `{"n":1.10}`.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::plain_run::plain_run;
use super::string::{Escape, read_escape, unescape};

/// A text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The byte from which on the text cannot be JSON.
    pub position: usize,
}

/// Copies the JSON text `line` to `out`, with the same meaning for a delta: half of a surrogate pair becomes U+FFFD,
/// and a number that is no integer of 64 bits becomes 0.5, because no field of a delta takes such a number anyway.
pub(crate) fn rewrite(line: &str, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let mut scanner = LenientScanner {
        out: Some(out),
        ..LenientScanner::new(line)
    };
    scanner.value()?;
    scanner.cursor.skip_white_space();
    if !scanner.cursor.is_at_end() {
        return scanner.syntax_error();
    }
    scanner.replace(line.len(), b"");
    Ok(())
}

/// How long the first JSON value of `text` is, with the white space before it.
pub(crate) fn value_length(text: &str) -> Result<usize, SyntaxError> {
    let mut scanner = LenientScanner::new(text);
    scanner.value()?;
    Ok(scanner.cursor.position())
}

/// The source text of a member of the object `value`; the last one where the key comes twice.
pub(crate) fn member<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    let mut scanner = LenientScanner::new(value);
    let mut found = None;
    if !scanner.cursor.eat(b'{') {
        return None;
    }
    while let Some(name) = scanner.source() {
        if !scanner.cursor.eat(b':') {
            return None;
        }
        let item = scanner.source()?;
        if string(name).is_some_and(|name| name == key) {
            found = Some(item);
        }
        if !scanner.cursor.eat(b',') {
            break;
        }
    }
    found
}

/// The source texts of the elements of the array `value`; none if it is no array.
pub(crate) fn elements(value: &str) -> Vec<&str> {
    let mut scanner = LenientScanner::new(value);
    let mut found = Vec::new();
    if scanner.cursor.eat(b'[') {
        while let Some(item) = scanner.source() {
            found.push(item);
            if !scanner.cursor.eat(b',') {
                break;
            }
        }
    }
    found
}

/// The text of the JSON string `value`; `None` if it is no string.
pub(crate) fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    Some(if inner.contains('\\') {
        unescape(inner).into()
    } else {
        inner.into()
    })
}

/// Passes over JSON values, and copies what it passes over if it has an `out`.
struct LenientScanner<'a, 'o> {
    text: &'a str,
    cursor: Cursor<'a>,
    /// Up to where `text` has been copied to `out`.
    copied: usize,
    out: Option<&'o mut Vec<u8>>,
}

impl<'a> LenientScanner<'a, '_> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            cursor: Cursor::new(text.as_bytes()),
            copied: 0,
            out: None,
        }
    }

    fn syntax_error<T>(&self) -> Result<T, SyntaxError> {
        Err(SyntaxError {
            position: self.cursor.position(),
        })
    }

    /// The source text of the next value, without the white space before it.
    fn source(&mut self) -> Option<&'a str> {
        self.cursor.skip_white_space();
        let start = self.cursor.position();
        self.value().ok()?;
        self.text.get(start..self.cursor.position())
    }

    /// Copies the text from the last copied byte up to `start`, and `replacement` for the text from `start` up to the
    /// current place.
    fn replace(&mut self, start: usize, replacement: &[u8]) {
        if let Some(out) = &mut self.out {
            let bytes = self.text.as_bytes();
            out.extend_from_slice(bytes.get(self.copied..start).unwrap_or_default());
            out.extend_from_slice(replacement);
            self.copied = self.cursor.position();
        }
    }

    /// Passes over one value. The open containers stand in a vector, so depth costs heap and never stack.
    fn value(&mut self) -> Result<(), SyntaxError> {
        let mut open = Vec::new();
        loop {
            self.cursor.skip_white_space();
            match self.cursor.peek() {
                Some(b'{') => {
                    self.cursor.advance(1);
                    if !self.cursor.eat(b'}') {
                        open.push(b'}');
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.cursor.advance(1);
                    if !self.cursor.eat(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return self.syntax_error(),
            }
            loop {
                let Some(&close) = open.last() else {
                    return Ok(());
                };
                if self.cursor.eat(b',') {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
                if !self.cursor.eat(close) {
                    return self.syntax_error();
                }
                open.pop();
            }
        }
    }

    /// Passes over a key and the colon after it.
    fn key(&mut self) -> Result<(), SyntaxError> {
        self.cursor.skip_white_space();
        if self.cursor.peek() != Some(b'"') {
            return self.syntax_error();
        }
        self.string()?;
        if !self.cursor.eat(b':') {
            return self.syntax_error();
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.cursor.advance(1);
        loop {
            let (length, _) = plain_run(self.cursor.rest());
            self.cursor.advance(length);
            match self.cursor.peek() {
                Some(b'"') => {
                    self.cursor.advance(1);
                    return Ok(());
                }
                Some(b'\\') => {
                    let start = self.cursor.position();
                    let Some((meaning, length)) = read_escape(self.cursor.rest()) else {
                        return self.syntax_error();
                    };
                    self.cursor.advance(length);
                    if meaning == Escape::LoneSurrogate {
                        self.replace(start, b"\\ufffd");
                    }
                }
                _ => return self.syntax_error(),
            }
        }
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.cursor.peek(), Some(b'0'..=b'9')) {
            return self.syntax_error();
        }
        while matches!(self.cursor.peek(), Some(b'0'..=b'9')) {
            self.cursor.advance(1);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        let start = self.cursor.position();
        self.cursor.eat_bytes(b"-");
        if !self.cursor.eat_bytes(b"0") {
            self.digits()?;
        }
        let mut is_integer = true;
        if self.cursor.eat_bytes(b".") {
            is_integer = false;
            self.digits()?;
        }
        if self.cursor.eat_bytes(b"e") || self.cursor.eat_bytes(b"E") {
            is_integer = false;
            if !self.cursor.eat_bytes(b"+") {
                self.cursor.eat_bytes(b"-");
            }
            self.digits()?;
        }
        if self.out.is_some() {
            let source = self.text.get(start..self.cursor.position());
            let fits =
                |source: &str| source.parse::<u64>().is_ok() || source.parse::<i64>().is_ok();
            if !(is_integer && source.is_some_and(fits)) {
                self.replace(start, b"0.5");
            }
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), SyntaxError> {
        if self.cursor.eat_bytes(word) {
            Ok(())
        } else {
            self.syntax_error()
        }
    }
}
