//! simd-json's tape: a JSON value as a flat list of nodes, without recursion.
//!
//! `{"a":[1,2]}` is the five nodes: object of one member (4 nodes long), `"a"`, array of two elements (2 nodes long),
//! 1, 2.

use simd_json::{Node, StaticNode};

use crate::wire::error_text::JsonNode;

/// A value on the tape.
#[derive(Clone, Copy)]
pub(super) struct TapeValue<'t, 'i> {
    pub nodes: &'t [Node<'i>],
    pub at: usize,
}

impl<'t, 'i> TapeValue<'t, 'i> {
    /// The node with which the value begins.
    pub fn node(self) -> Option<&'t Node<'i>> {
        self.nodes.get(self.at)
    }

    /// Where the value after this one stands.
    pub fn end(self) -> usize {
        match self.node() {
            Some(Node::Object { count, .. } | Node::Array { count, .. }) => self.at + 1 + count,
            _ => self.at + 1,
        }
    }

    /// How many members an object has, repeated keys counted each time.
    pub fn size(self) -> usize {
        match self.node() {
            Some(Node::Object { len, .. }) => *len,
            _ => 0,
        }
    }

    /// The members of an object in order; none of anything else.
    pub fn members(self) -> impl Iterator<Item = (&'i str, TapeValue<'t, 'i>)> {
        let mut at = self.at + 1;
        (0..self.size()).map_while(move |_| {
            let Some(Node::String(key)) = self.nodes.get(at) else {
                return None;
            };
            let value = Self {
                nodes: self.nodes,
                at: at + 1,
            };
            at = value.end();
            Some((*key, value))
        })
    }

    /// The elements of an array in order; none of anything else.
    pub fn elements(self) -> impl Iterator<Item = TapeValue<'t, 'i>> {
        let length = if let Some(Node::Array { len, .. }) = self.node() {
            *len
        } else {
            0
        };
        let mut at = self.at + 1;
        (0..length).map(move |_| {
            let value = Self {
                nodes: self.nodes,
                at,
            };
            at = value.end();
            value
        })
    }

    /// The member of an object with this key; the last one where the key comes twice.
    pub fn get(self, wanted: &str) -> Option<TapeValue<'t, 'i>> {
        self.members()
            .filter(|(key, _)| *key == wanted)
            .last()
            .map(|(_, value)| value)
    }

    /// The text of a string.
    pub fn str(self) -> Option<&'i str> {
        if let Some(Node::String(text)) = self.node() {
            Some(text)
        } else {
            None
        }
    }

    /// The number, if it is an integer that fits.
    pub fn u64(self) -> Option<u64> {
        match self.node()? {
            Node::Static(StaticNode::U64(number)) => Some(*number),
            Node::Static(StaticNode::I64(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub fn is_true(self) -> bool {
        matches!(self.node(), Some(Node::Static(StaticNode::Bool(true))))
    }

    pub fn is_false(self) -> bool {
        matches!(self.node(), Some(Node::Static(StaticNode::Bool(false))))
    }

    pub fn is_null(self) -> bool {
        matches!(self.node(), Some(Node::Static(StaticNode::Null)))
    }

    pub fn is_object(self) -> bool {
        matches!(self.node(), Some(Node::Object { .. }))
    }
}

impl JsonNode for TapeValue<'_, '_> {
    fn as_text(&self) -> Option<&str> {
        self.str()
    }

    fn member(&self, name: &str) -> Option<Self> {
        self.get(name)
    }
}
