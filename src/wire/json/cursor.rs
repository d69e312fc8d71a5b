//! A place in a JSON text that is being read: what all readers of JSON here have in common.
//!
//! In `{"a" : 1}`, a cursor before the colon takes the white space and the colon with `eat(b':')`, and stands before `
//! 1}`.

/// The part of a text that has not been read yet.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'t> {
    length: usize,
    rest: &'t [u8],
}

impl<'t> Cursor<'t> {
    /// A cursor at the start of `text`.
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            length: text.len(),
            rest: text,
        }
    }

    /// The part of the text that has not been read yet.
    #[inline]
    pub fn rest(&self) -> &'t [u8] {
        self.rest
    }

    /// How many bytes have been read.
    #[inline]
    pub fn position(&self) -> usize {
        self.length - self.rest.len()
    }

    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Passes over `count` bytes, or to the end of the text.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Passes over white space.
    #[inline]
    pub fn skip_white_space(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', tail)) = self.rest.split_first() {
            self.rest = tail;
        }
    }

    /// Takes `wanted` if it comes next after white space, and says whether it did. The white space is taken in any
    /// case.
    #[inline]
    pub fn eat(&mut self, wanted: u8) -> bool {
        self.skip_white_space();
        self.eat_bytes(&[wanted])
    }

    /// Takes `wanted` if it comes next, without white space before it, and says whether it did.
    #[inline]
    pub fn eat_bytes(&mut self, wanted: &[u8]) -> bool {
        let tail = self.rest.strip_prefix(wanted);
        self.rest = tail.unwrap_or(self.rest);
        tail.is_some()
    }
}
