//! What a number of lines said, in memory that a decoder fills again and again.
//!
//! Content lines own no memory of their own. After the lines
//!
//! ```json
//! {"model":"m","created_at":"2026-08-21T17:00:05.1Z","response":"Hel","done":false}
//! {"model":"m","created_at":"2026-08-21T17:00:05.2Z","response":"lo","done":false}
//! {"model":"m","created_at":"2026-08-21T17:00:05.3Z","response":"","done":true,"eval_count":3}
//! ```
//!
//! a batch has the text `Hello`, the shared fields `Generate` and `m`, and three items: content up to byte 3, content
//! up to byte 5, and a delta of its own for the last line.

use std::sync::Arc;

use super::content_line::{SharedFields, Timestamp};
use super::delta::Delta;

/// One decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A content line. Its text is `batch.text[end of the content item before..end]`, its other fields are
    /// `batch.shared`.
    Content { end: usize, created_at: Timestamp },
    /// Any other line. Its text is not in `batch.text`.
    Delta(Box<Delta>),
}

/// What a number of lines said: what a [`Decoder`] appends to.
///
/// ```
/// use metagpt_ollama_rs::wire::{Batch, Decoder, ItemRef, MAX_LINE, StreamFormat};
///
/// let mut batch = Batch::default();
/// let line = br#"{"model":"m","created_at":"2026","response":"Hel","done":false}"#;
/// let mut decoder = Decoder::new(StreamFormat::Ndjson, MAX_LINE);
/// decoder.feed(line, &mut batch).unwrap();
/// decoder.feed(b"\n", &mut batch).unwrap();
/// assert!(matches!(batch.iter().next(), Some(ItemRef::Content { text: "Hel", .. })));
/// ```
///
/// [`Decoder`]: super::decoder::Decoder
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The texts of the `Content` items, one after the other.
    pub text: String,
    pub items: Vec<Item>,
    /// What all `Content` items have in common; a content line that has other fields is a `Delta` item.
    pub shared: Option<Arc<SharedFields>>,
    /// About how many bytes the `Delta` items hold.
    delta_bytes: usize,
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
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta::default());
    /// batch.clear();
    /// assert!(batch.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.text.clear();
        self.items.clear();
        self.delta_bytes = 0;
    }

    /// Empties the batch, and gives memory back that a burst of lines has left: then hundreds of streams that wait for
    /// their next line hold little.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta::default());
    /// batch.release();
    /// assert!(batch.is_empty());
    /// ```
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
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta::default());
    /// batch.push_delta(Delta::default());
    /// batch.truncate(1);
    /// assert_eq!(batch.len(), 1);
    /// ```
    pub fn truncate(&mut self, count: usize) {
        self.items.truncate(count);
        let text = self.items.iter().rev().find_map(|item| match item {
            Item::Content { end, .. } => Some(*end),
            Item::Delta(_) => None,
        });
        self.text.truncate(text.unwrap_or(0));
    }

    /// Whether there are no items.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Batch;
    ///
    /// assert!(Batch::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many items there are.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta::default());
    /// assert_eq!(batch.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Roughly how much memory the items hold.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta::default());
    /// assert!(batch.bytes() > 0);
    /// ```
    pub fn bytes(&self) -> usize {
        self.text.len() + self.items.len() * size_of::<Item>() + self.delta_bytes
    }

    /// The items in order.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta, ItemRef};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta::default());
    /// assert!(batch.iter().eq([ItemRef::Delta(&Delta::default())]));
    /// ```
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

    /// Moves the items of `other` to the end of this batch. Both keep their memory. The content items of the two must
    /// have the same shared fields, as those of one decoder have.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta};
    ///
    /// let (mut batch, mut other) = (Batch::default(), Batch::default());
    /// batch.push_delta(Delta::default());
    /// other.push_delta(Delta::default());
    /// batch.append(&mut other);
    /// assert_eq!((batch.len(), other.len()), (2, 0));
    /// ```
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
        self.delta_bytes += other.delta_bytes;
        if self.shared.is_none() {
            self.shared.clone_from(&other.shared);
        }
        other.clear();
    }

    /// Appends a line that is no content line.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::{Batch, Delta};
    ///
    /// let mut batch = Batch::default();
    /// batch.push_delta(Delta::default());
    /// assert_eq!(batch.len(), 1);
    /// ```
    pub fn push_delta(&mut self, delta: Delta) {
        self.delta_bytes +=
            size_of::<Delta>() + delta.line.len() + delta.content.len() + delta.thinking.len();
        self.items.push(Item::Delta(Box::new(delta)));
    }

    /// Whether content items with the fields `shared` can be appended; an empty batch takes those of any line.
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

    /// Makes a content item of what was appended to `text` since the last one.
    #[inline]
    pub(super) fn end_content(&mut self, created_at: Timestamp) {
        self.items.push(Item::Content {
            end: self.text.len(),
            created_at,
        });
    }
}
