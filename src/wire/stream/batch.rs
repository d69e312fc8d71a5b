//! What a number of lines said, in the memory that a decoder fills again and again.

use std::sync::Arc;

use super::delta::{Delta, Shape};
use crate::wire::json::string as text;

/// An RFC 3339 time of at most 40 bytes, stored in place so that an item owns no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    pub len: u8,
    pub bytes: [u8; 40],
}

impl Timestamp {
    /// The longest time that is stored in place.
    pub const MAX: usize = 40;

    /// `time` as a created_at if it is short enough and needs no escape in JSON; `None` sends its line to a full delta.
    pub(super) fn new(time: &str) -> Option<Self> {
        let plain = text::plain_run(time.as_bytes()) == (time.len(), true);
        if plain {
            Self::from_plain(time.as_bytes())
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn from_plain(time: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..time.len())?.copy_from_slice(time);
        Some(Self {
            len: u8::try_from(time.len()).ok()?,
            bytes,
        })
    }

    /// The time as the server wrote it.
    pub fn as_str(&self) -> &str {
        let time = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(time).unwrap_or_default()
    }
}

/// The parts of an ordinary content line that repeat from line to line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedFields {
    pub shape: Shape,
    pub model: String,
}

/// One decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A content line (`role` assistant, `done` false, nothing else in it): its text is
    /// `batch.text[previous end..end]`; shape and model are the batch's `shared`.
    Content { end: usize, created_at: Timestamp },
    /// Any other line. Its content is NOT in `batch.text`.
    Delta(Box<Delta>),
}

/// What a number of lines said: the reusable output buffer of a [`Decoder`].
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The contents of the `Text` items, one after the other: valid UTF-8.
    pub text: String,
    pub items: Vec<Item>,
    /// Shape and model of the `Text` items; a line that differs is a `Full` item.
    pub shared: Option<Arc<SharedFields>>,
    /// Bytes held by the `Full` items.
    full_bytes: usize,
}

/// An item of a [`Batch`] together with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemRef<'a> {
    Content {
        text: &'a str,
        created_at: &'a Timestamp,
    },
    Delta(&'a Delta),
}

impl Batch {
    /// Empties the batch; its memory and the shared fields stay.
    pub fn clear(&mut self) {
        self.text.clear();
        self.items.clear();
        self.full_bytes = 0;
    }

    /// Empties the batch, and gives back what a burst has blown up: hundreds of streams that wait hold little then.
    pub fn release(&mut self) {
        const ITEMS: usize = 128;
        const TEXT: usize = 8 << 10;
        self.clear();
        if self.items.capacity() > ITEMS {
            self.items = Vec::new();
        }
        if self.text.capacity() > TEXT {
            self.text = String::new();
        }
    }

    /// Drops all items but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.items.truncate(count);
        let text = self.items.iter().rev().find_map(|item| match item {
            Item::Content { end, .. } => Some(*end),
            Item::Delta(_) => None,
        });
        self.text.truncate(text.unwrap_or(0));
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Roughly how much memory the items hold.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.items.len() * size_of::<Item>() + self.full_bytes
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = ItemRef<'_>> {
        let mut start = 0;
        self.items.iter().map(move |item| match item {
            Item::Content { end, created_at } => {
                let text = self.text.get(start..*end).unwrap_or_default();
                start = *end;
                ItemRef::Content { text, created_at }
            }
            Item::Delta(delta) => ItemRef::Delta(delta),
        })
    }

    /// Moves the items of `other` to the end of this batch. Both keep their memory. The two must come from one decoder,
    /// or hold no `Text` items of different templates.
    pub fn append(&mut self, other: &mut Self) {
        if self.items.is_empty() {
            self.clear();
            std::mem::swap(self, other);
            other.shared.clone_from(&self.shared);
            return;
        }
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.items
            .extend(other.items.drain(..).map(|item| match item {
                Item::Content { end, created_at } => Item::Content {
                    end: end + shift,
                    created_at,
                },
                full @ Item::Delta(_) => full,
            }));
        self.full_bytes += other.full_bytes;
        if self.shared.is_none() {
            self.shared.clone_from(&other.shared);
        }
        other.clear();
    }

    pub fn push_full(&mut self, delta: Delta) {
        self.full_bytes +=
            size_of::<Delta>() + delta.line.len() + delta.content.len() + delta.thinking.len();
        self.items.push(Item::Delta(Box::new(delta)));
    }

    /// Whether `Text` items of `shared` can go in here; an empty batch takes any.
    #[inline]
    pub(super) fn accepts(&mut self, shared: &Arc<SharedFields>) -> bool {
        match &self.shared {
            Some(own) if Arc::ptr_eq(own, shared) => true,
            Some(own) if !self.items.is_empty() && own != shared => false,
            _ => {
                self.shared = Some(Arc::clone(shared));
                true
            }
        }
    }

    /// Makes an item of what was appended to `text` since the last one.
    #[inline]
    pub(super) fn end_content(&mut self, created_at: Timestamp) {
        self.items.push(Item::Content {
            end: self.text.len(),
            created_at,
        });
    }
}
