//! JSON text to values of any type, in one pass and without a tree in between.
//!
//! The reader knows the grammar, and a [`ValueBuilder`] makes the values: for `[1,{"a":true}]` it is asked for the
//! integer 1, an object, the key `a`, the boolean true, that the object takes this member, and an array of the two
//! values. What is refused here need not be wrong: text that is deeply nested, integers over 64 bits, halves of
//! surrogate pairs and the names that only Python knows (`NaN`) are left to a slower reader. What is accepted has one
//! meaning only.

use std::vec::Drain;

use super::cursor::Cursor;
use super::number::{self, Number};
use super::string::{JsonString, read_string};

/// Containers inside each other; deeper text is refused.
pub const MAX_DEPTH: usize = 128;

/// Makes the values of a JSON text. Each method may refuse, with `None`, which ends the reading.
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
///
/// ```
/// use std::vec::Drain;
///
/// use metagpt_ollama_rs::wire::JsonString;
/// use metagpt_ollama_rs::wire::json::value::{ValueBuilder, read};
///
/// /// Makes the sum of all numbers in a text.
/// struct Sum;
///
/// impl ValueBuilder for Sum {
///     type Value = f64;
///     type Object = f64;
///     type Key = ();
///
///     fn null(&mut self) -> Option<f64> { Some(0.0) }
///     fn boolean(&mut self, _truth: bool) -> Option<f64> { Some(0.0) }
///     fn integer(&mut self, number: i64) -> Option<f64> { Some(number as f64) }
///     fn float(&mut self, number: f64) -> Option<f64> { Some(number) }
///     fn string(&mut self, _text: JsonString<'_>) -> Option<f64> { Some(0.0) }
///     fn array(&mut self, items: Drain<'_, f64>) -> Option<f64> { Some(items.sum()) }
///     fn object(&mut self) -> Option<f64> { Some(0.0) }
///     fn key(&mut self, _text: JsonString<'_>) -> Option<()> { Some(()) }
///     fn member(&mut self, object: &mut f64, _key: (), value: f64) -> Option<()> {
///         *object += value;
///         Some(())
///     }
///     fn close(&mut self, object: f64) -> Option<f64> { Some(object) }
/// }
///
/// assert_eq!(read(br#"[1, {"a": 2.5, "b": [true, 4]}]"#, &mut Sum, &mut Vec::new()), Some(7.5));
/// assert_eq!(read(b"[1, ", &mut Sum, &mut Vec::new()), None);
/// ```
pub fn read<M: ValueBuilder>(
    text: &[u8],
    builder: &mut M,
    scratch: &mut Vec<u8>,
) -> Option<M::Value> {
    let mut reader = ValueReader {
        cursor: Cursor::new(text),
        builder,
        scratch,
        items: Vec::new(),
    };
    let value = reader.value(0)?;
    reader.cursor.skip_white_space();
    reader.cursor.is_at_end().then_some(value)
}

struct ValueReader<'t, 'm, M: ValueBuilder> {
    cursor: Cursor<'t>,
    builder: &'m mut M,
    scratch: &'m mut Vec<u8>,
    /// The elements of the arrays that are open.
    items: Vec<M::Value>,
}

impl<M: ValueBuilder> ValueReader<'_, '_, M> {
    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.cursor.eat_bytes(word).then_some(())
    }

    /// Reads the value that comes next, inside `depth` open containers. `MAX_DEPTH` bounds the recursion.
    fn value(&mut self, depth: usize) -> Option<M::Value> {
        self.cursor.skip_white_space();
        match self.cursor.peek()? {
            b'"' => {
                let text = string(&mut self.cursor, self.scratch)?;
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

    /// A function of its own, so that the recursion has a small frame.
    #[inline(never)]
    fn number(&mut self) -> Option<M::Value> {
        let (number, length) = number::read_number(self.cursor.rest())?;
        self.cursor.advance(length);
        match number {
            Number::Integer(number) => self.builder.integer(number),
            Number::Float(number) => self.builder.float(number),
        }
    }

    fn object(&mut self, depth: usize) -> Option<M::Value> {
        self.word(b"{")?;
        let mut object = self.builder.object()?;
        if !self.cursor.eat(b'}') {
            loop {
                self.cursor.skip_white_space();
                let text = string(&mut self.cursor, self.scratch)?;
                let key = self.builder.key(text)?;
                if !self.cursor.eat(b':') {
                    return None;
                }
                let value = self.value(depth)?;
                self.builder.member(&mut object, key, value)?;
                if self.cursor.eat(b',') {
                    continue;
                }
                if self.cursor.eat(b'}') {
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
        if !self.cursor.eat(b']') {
            loop {
                // Vectors of embeddings are long arrays of numbers: these do without the call of `value`.
                let item = match self.cursor.peek()? {
                    b'-' | b'0'..=b'9' => self.number()?,
                    _ => self.value(depth)?,
                };
                self.items.push(item);
                if self.cursor.eat(b',') {
                    continue;
                }
                if self.cursor.eat(b']') {
                    break;
                }
                return None;
            }
        }
        self.builder.array(self.items.drain(start..))
    }
}

/// The string that comes next, which is taken.
#[inline]
fn string<'t: 's, 's>(cursor: &mut Cursor<'t>, scratch: &'s mut Vec<u8>) -> Option<JsonString<'s>> {
    if !cursor.eat_bytes(b"\"") {
        return None;
    }
    let (text, length) = read_string(cursor.rest(), scratch)?;
    cursor.advance(length + 1);
    Some(text)
}
