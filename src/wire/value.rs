//! JSON text to values of the caller's making, in one pass and without a tree in between.
//!
//! The reader knows the grammar; a [`Maker`] makes the values. What is refused here need not be wrong: text that is
//! deeply nested, integers over 64 bits, lone surrogates and the names that only Python knows (`NaN`) are left to a
//! reader that takes its time. What is accepted has one meaning only.

use std::vec::Drain;

use super::decimal::{self, Number};
use super::text::{self, Content};

/// Containers inside each other; deeper text is refused.
pub const MAX_DEPTH: usize = 128;

/// Makes values. `None` ends the reading.
pub trait Maker {
    type Value;
    type Object;
    type Key;

    fn null(&mut self) -> Option<Self::Value>;
    fn boolean(&mut self, truth: bool) -> Option<Self::Value>;
    fn integer(&mut self, number: i64) -> Option<Self::Value>;
    fn float(&mut self, number: f64) -> Option<Self::Value>;
    /// Refuses what is not UTF-8.
    fn string(&mut self, text: Content<'_>) -> Option<Self::Value>;
    fn array(&mut self, items: Drain<'_, Self::Value>) -> Option<Self::Value>;
    fn object(&mut self) -> Option<Self::Object>;
    /// Refuses what is not UTF-8.
    fn key(&mut self, text: Content<'_>) -> Option<Self::Key>;
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
pub fn read<M: Maker>(text: &[u8], maker: &mut M, scratch: &mut Vec<u8>) -> Option<M::Value> {
    let mut reader = Reader {
        rest: text,
        maker,
        scratch,
        items: Vec::new(),
    };
    let value = reader.value(0)?;
    reader.blank();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t, 'm, M: Maker> {
    rest: &'t [u8],
    maker: &'m mut M,
    scratch: &'m mut Vec<u8>,
    /// The elements of the arrays that are open.
    items: Vec<M::Value>,
}

impl<M: Maker> Reader<'_, '_, M> {
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
                self.maker.string(text)
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
            b'[' if depth < MAX_DEPTH => self.array(depth + 1),
            b't' => self.word(b"true").and_then(|()| self.maker.boolean(true)),
            b'f' => self.word(b"false").and_then(|()| self.maker.boolean(false)),
            b'n' => self.word(b"null").and_then(|()| self.maker.null()),
            _ => None,
        }
    }

    /// Kept apart, so that the recursion has a small frame.
    #[inline(never)]
    fn number(&mut self) -> Option<M::Value> {
        let (number, length) = decimal::number(self.rest)?;
        self.rest = self.rest.get(length..)?;
        match number {
            Number::Integer(number) => self.maker.integer(number),
            Number::Float(number) => self.maker.float(number),
        }
    }

    fn object(&mut self, depth: usize) -> Option<M::Value> {
        self.word(b"{")?;
        let mut object = self.maker.object()?;
        if !self.eat(b'}') {
            loop {
                self.blank();
                let (text, rest) = string(self.rest, self.scratch)?;
                self.rest = rest;
                let key = self.maker.key(text)?;
                if !self.eat(b':') {
                    return None;
                }
                let value = self.value(depth)?;
                self.maker.member(&mut object, key, value)?;
                if self.eat(b',') {
                    continue;
                }
                if self.eat(b'}') {
                    break;
                }
                return None;
            }
        }
        self.maker.close(object)
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
        self.maker.array(self.items.drain(start..))
    }
}

/// The string at the start of `bytes`, and what follows it.
#[inline]
fn string<'t: 's, 's>(
    bytes: &'t [u8],
    scratch: &'s mut Vec<u8>,
) -> Option<(Content<'s>, &'t [u8])> {
    let inner = bytes.strip_prefix(b"\"")?;
    let (text, length) = text::content(inner, scratch)?;
    Some((text, inner.get(length + 1..)?))
}
