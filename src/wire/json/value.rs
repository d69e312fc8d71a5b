//! JSON text to values that the caller builds, in one pass and without a tree in between.
//!
//! The reader knows the grammar; a [`ValueBuilder`] makes the values. What is refused here need not be wrong: text that is
//! deeply nested, integers over 64 bits, lone surrogates and the names that only Python knows (`NaN`) are left to a
//! reader that takes its time. What is accepted has one meaning only.

use std::vec::Drain;

use super::number::{self, Number};
use super::string::{self as text, JsonString};

/// Containers inside each other; deeper text is refused.
pub const MAX_DEPTH: usize = 128;

/// Makes values. `None` ends the reading.
pub trait ValueBuilder {
    type Value;
    type Object;
    type Key;

    fn null(&mut self) -> Option<Self::Value>;
    fn boolean(&mut self, truth: bool) -> Option<Self::Value>;
    fn integer(&mut self, number: i64) -> Option<Self::Value>;
    fn float(&mut self, number: f64) -> Option<Self::Value>;
    /// Refuses what is not UTF-8.
    fn string(&mut self, text: JsonString<'_>) -> Option<Self::Value>;
    fn array(&mut self, items: Drain<'_, Self::Value>) -> Option<Self::Value>;
    fn object(&mut self) -> Option<Self::Object>;
    /// Refuses what is not UTF-8.
    fn key(&mut self, text: JsonString<'_>) -> Option<Self::Key>;
    /// A key that comes again takes the new value.
    fn member(
        &mut self,
        object: &mut Self::Object,
        key: Self::Key,
        value: Self::Value,
    ) -> Option<()>;
    fn close(&mut self, object: Self::Object) -> Option<Self::Value>;
}

/// The value of `text`. `scratch` is memory for strings with escapes, and may hold anything.
pub fn read<M: ValueBuilder>(
    text: &[u8],
    builder: &mut M,
    scratch: &mut Vec<u8>,
) -> Option<M::Value> {
    let mut reader = ValueReader {
        rest: text,
        builder,
        scratch,
        items: Vec::new(),
    };
    let value = reader.value(0)?;
    reader.blank();
    reader.rest.is_empty().then_some(value)
}

struct ValueReader<'t, 'm, M: ValueBuilder> {
    rest: &'t [u8],
    builder: &'m mut M,
    scratch: &'m mut Vec<u8>,
    /// The elements of the arrays that are open.
    items: Vec<M::Value>,
}

impl<M: ValueBuilder> ValueReader<'_, '_, M> {
    #[inline]
    fn blank(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', tail)) = self.rest.split_first() {
            self.rest = tail;
        }
    }

    /// Takes `wanted` if it comes next after white space.
    #[inline]
    fn eat(&mut self, wanted: u8) -> bool {
        self.blank();
        let tail = self.rest.strip_prefix(&[wanted]);
        self.rest = tail.unwrap_or(self.rest);
        tail.is_some()
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    /// `MAX_DEPTH` bounds the recursion.
    fn value(&mut self, depth: usize) -> Option<M::Value> {
        self.blank();
        match self.rest.first()? {
            b'"' => {
                let (text, rest) = string(self.rest, self.scratch)?;
                self.rest = rest;
                self.builder.string(text)
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
            b'[' if depth < MAX_DEPTH => self.array(depth + 1),
            b't' => self.word(b"true").and_then(|()| self.builder.boolean(true)),
            b'f' => self
                .word(b"false")
                .and_then(|()| self.builder.boolean(false)),
            b'n' => self.word(b"null").and_then(|()| self.builder.null()),
            _ => None,
        }
    }

    /// Kept apart, so that the recursion has a small frame.
    #[inline(never)]
    fn number(&mut self) -> Option<M::Value> {
        let (number, length) = number::number(self.rest)?;
        self.rest = self.rest.get(length..)?;
        match number {
            Number::Integer(number) => self.builder.integer(number),
            Number::Float(number) => self.builder.float(number),
        }
    }

    fn object(&mut self, depth: usize) -> Option<M::Value> {
        self.word(b"{")?;
        let mut object = self.builder.object()?;
        if !self.eat(b'}') {
            loop {
                self.blank();
                let (text, rest) = string(self.rest, self.scratch)?;
                self.rest = rest;
                let key = self.builder.key(text)?;
                if !self.eat(b':') {
                    return None;
                }
                let value = self.value(depth)?;
                self.builder.member(&mut object, key, value)?;
                if self.eat(b',') {
                    continue;
                }
                if self.eat(b'}') {
                    break;
                }
                return None;
            }
        }
        self.builder.close(object)
    }

    fn array(&mut self, depth: usize) -> Option<M::Value> {
        self.word(b"[")?;
        let start = self.items.len();
        if !self.eat(b']') {
            loop {
                // The vectors of embeddings are why numbers have a way of their own.
                let item = match self.rest.first()? {
                    b'-' | b'0'..=b'9' => self.number()?,
                    _ => self.value(depth)?,
                };
                self.items.push(item);
                if self.eat(b',') {
                    continue;
                }
                if self.eat(b']') {
                    break;
                }
                return None;
            }
        }
        self.builder.array(self.items.drain(start..))
    }
}

/// The string at the start of `bytes`, and what follows it.
#[inline]
fn string<'t: 's, 's>(
    bytes: &'t [u8],
    scratch: &'s mut Vec<u8>,
) -> Option<(JsonString<'s>, &'t [u8])> {
    let inner = bytes.strip_prefix(b"\"")?;
    let (text, length) = text::content(inner, scratch)?;
    Some((text, inner.get(length + 1..)?))
}
