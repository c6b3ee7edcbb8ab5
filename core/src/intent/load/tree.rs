//! A document as a tree in which every key and value knows its place.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::problem::{Place, pointer_to};

/// How large a tree is, with all aliases written out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) nodes: usize,
    pub(super) text: usize,
    pub(super) depth: usize,
}

impl Size {
    pub(super) fn one(text: usize) -> Self {
        Self { nodes: 1, text, depth: 1 }
    }

    fn of_children<'a>(children: impl Iterator<Item = &'a Size>) -> Self {
        let mut size = Self::one(0);
        for child in children {
            size.nodes = size.nodes.saturating_add(child.nodes);
            size.text = size.text.saturating_add(child.text);
            size.depth = size.depth.max(child.depth + 1);
        }
        size
    }
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: Place,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) at: Place,
    /// Text of a plain scalar, as it is written.
    pub(super) raw: Option<String>,
    pub(super) size: Size,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// Where a value stands, and how it is written.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// Its key, when it is in a mapping.
    pub(super) key: Option<Place>,
    /// The value.
    pub(super) value: Place,
    /// Text of a plain scalar that is no string (`1.10`, `true`).
    pub(super) raw: Option<String>,
    /// Whether it is a mapping or sequence.
    pub(super) collection: bool,
}

impl Spot {
    /// The place that says most: a scalar itself, the key of a mapping or sequence.
    pub(super) fn best(&self) -> Place {
        if self.collection { self.key.unwrap_or(self.value) } else { self.value }
    }
}

/// Places by JSON pointer.
pub(super) type Spots = HashMap<String, Spot>;

impl Node {
    pub(super) fn scalar(value: Value, at: Place, raw: Option<String>) -> Self {
        let size = Size::one(value.as_str().map_or(8, str::len));
        Self { content: Content::Scalar(value), at, raw, size }
    }

    pub(super) fn sequence(items: Vec<Self>, at: Place) -> Self {
        let size = Size::of_children(items.iter().map(|item| &item.size));
        Self { content: Content::Sequence(items), at, raw: None, size }
    }

    pub(super) fn mapping(entries: Vec<(Key, Self)>, at: Place) -> Self {
        let mut size = Size::of_children(entries.iter().map(|(_, value)| &value.size));
        size.text = entries.iter().fold(size.text, |text, (key, _)| text.saturating_add(key.text.len()));
        Self { content: Content::Mapping(entries), at, raw: None, size }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The items of a sequence.
    pub(super) fn items(&self) -> &[Self] {
        match &self.content {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Splits into the JSON value and the places of all its parts.
    pub(super) fn into_json(self) -> (Value, Spots) {
        let mut spots = Spots::new();
        let value = self.split(&mut String::new(), None, &mut spots);
        (value, spots)
    }

    fn split(self, pointer: &mut String, key: Option<Place>, spots: &mut Spots) -> Value {
        let collection = !matches!(self.content, Content::Scalar(_));
        let is_text = matches!(self.content, Content::Scalar(Value::String(_)));
        let spot = Spot { key, value: self.at, raw: self.raw.filter(|_| !is_text), collection };
        spots.insert(pointer.clone(), spot);
        let length = pointer.len();
        match self.content {
            Content::Scalar(value) => value,
            Content::Sequence(items) => Value::Array(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| {
                        pointer.push('/');
                        pointer.push_str(&index.to_string());
                        let value = item.split(pointer, None, spots);
                        pointer.truncate(length);
                        value
                    })
                    .collect(),
            ),
            Content::Mapping(entries) => {
                let mut map = Map::new();
                for (key, node) in entries {
                    pointer.push_str(&pointer_to(&key.text));
                    let value = node.split(pointer, Some(key.at), spots);
                    pointer.truncate(length);
                    map.insert(key.text, value);
                }
                Value::Object(map)
            }
        }
    }
}
