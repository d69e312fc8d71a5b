//! A slow reader of JSON that refuses nothing legal: numbers of any size, half surrogates, nesting of any depth.
//!
//! simd-json reads nearly every line. What it refuses is read here once more, without recursion, and either found to
//! be no JSON or rewritten into something simd-json can hold. The same scanner finds the source text of a nested value,
//! which the arguments of a tool call need, because their numbers must not pass through a float.

use std::borrow::Cow;

use super::string::{self as text, Escape};

/// The byte where JSON stopped being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError(pub usize);

/// Copies the JSON text `line` to `out` with the same meaning for a delta: a lone surrogate becomes U+FFFD, and a
/// number that is no integer of 64 bits becomes 0.5, because no field of a delta takes such a number anyway.
pub(crate) fn rewrite(line: &str, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let mut scanner = LenientScanner {
        bytes: line.as_bytes(),
        at: 0,
        copied: 0,
        out: Some(out),
    };
    scanner.value()?;
    scanner.blank();
    if scanner.at != line.len() {
        return Err(SyntaxError(scanner.at));
    }
    scanner.replace(line.len(), b"");
    Ok(())
}

/// How long the first JSON value of `text` is, with the white space before it.
pub(crate) fn length(text: &str) -> Result<usize, SyntaxError> {
    let mut scanner = LenientScanner::over(text);
    scanner.value()?;
    Ok(scanner.at)
}

/// The source text of a member of the object `value`; the last one where the key comes twice.
pub(crate) fn member<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    let mut scanner = LenientScanner::over(value);
    let mut found = None;
    scanner.eat(b'{')?;
    while let Some(name) = scanner.slice() {
        scanner.eat(b':')?;
        let item = scanner.slice()?;
        if string(name).is_some_and(|name| name == key) {
            found = Some(item);
        }
        if scanner.eat(b',').is_none() {
            break;
        }
    }
    found
}

/// The source texts of the elements of the array `value`; none if it is no array.
pub(crate) fn elements(value: &str) -> Vec<&str> {
    let mut scanner = LenientScanner::over(value);
    let mut found = Vec::new();
    if scanner.eat(b'[').is_some() {
        while let Some(item) = scanner.slice() {
            found.push(item);
            if scanner.eat(b',').is_none() {
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
        text::unescape(inner).into()
    } else {
        inner.into()
    })
}

struct LenientScanner<'a, 'o> {
    bytes: &'a [u8],
    at: usize,
    /// Up to where `bytes` has been copied to `out`.
    copied: usize,
    out: Option<&'o mut Vec<u8>>,
}

impl<'a> LenientScanner<'a, '_> {
    fn over(value: &'a str) -> Self {
        Self {
            bytes: value.as_bytes(),
            at: 0,
            copied: 0,
            out: None,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes `wanted` if it comes next after white space.
    fn eat(&mut self, wanted: u8) -> Option<()> {
        self.blank();
        (self.peek() == Some(wanted)).then(|| self.at += 1)
    }

    fn syntax_error<T>(&self) -> Result<T, SyntaxError> {
        Err(SyntaxError(self.at))
    }

    /// The source of the next value, white space before it left out.
    fn slice(&mut self) -> Option<&'a str> {
        self.blank();
        let start = self.at;
        self.value().ok()?;
        std::str::from_utf8(self.bytes.get(start..self.at)?).ok()
    }

    /// Writes `instead` for the bytes from the last copied one's place `start` up to the current place.
    fn replace(&mut self, start: usize, instead: &[u8]) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(self.bytes.get(self.copied..start).unwrap_or_default());
            out.extend_from_slice(instead);
            self.copied = self.at;
        }
    }

    /// Passes over one value. The open containers stand in a vector, so depth costs heap and never stack.
    fn value(&mut self) -> Result<(), SyntaxError> {
        let mut open = Vec::new();
        loop {
            self.blank();
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    if self.eat(b'}').is_none() {
                        open.push(b'}');
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if self.eat(b']').is_none() {
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
                if self.eat(b',').is_some() {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
                if self.eat(close).is_none() {
                    return self.syntax_error();
                }
                open.pop();
            }
        }
    }

    fn key(&mut self) -> Result<(), SyntaxError> {
        self.blank();
        if self.peek() != Some(b'"') {
            return self.syntax_error();
        }
        self.string()?;
        if self.eat(b':').is_none() {
            return self.syntax_error();
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let (length, _) = text::plain_run(rest);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let start = self.at;
                    let Some((meaning, length)) =
                        text::escape(rest.get(length..).unwrap_or_default())
                    else {
                        return self.syntax_error();
                    };
                    self.at += length;
                    if meaning == Escape::Lone {
                        self.replace(start, b"\\ufffd");
                    }
                }
                _ => return self.syntax_error(),
            }
        }
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.syntax_error();
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let source = self.bytes.get(start..self.at).unwrap_or_default();
        let fits = |source: &str| source.parse::<u64>().is_ok() || source.parse::<i64>().is_ok();
        if !(integer && std::str::from_utf8(source).is_ok_and(fits)) {
            self.replace(start, b"0.5");
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), SyntaxError> {
        if !self
            .bytes
            .get(self.at..)
            .unwrap_or_default()
            .starts_with(word)
        {
            return self.syntax_error();
        }
        self.at += word.len();
        Ok(())
    }
}
