//! Who owns which field: `metadata.managedFields` of server-side apply.

use serde_json::{Map, Value};

/// A step of a field path of `FieldsV1`.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldStep {
    /// `f:<name>`: a field of a map.
    Field(String),
    /// `k:{…}`: an item of a list, by its keys.
    Key(Map<String, Value>),
    /// `v:<value>`: an item of a set.
    Item(Value),
    /// `i:<index>`: an item of a list, by its place.
    Index(usize),
}

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldSet {
    /// Whether the path itself is in the set, and not only something below it.
    pub own: bool,
    /// Fields below; none means that the value is owned as a whole.
    pub children: Vec<(FieldStep, FieldSet)>,
}

impl FieldSet {
    /// Reads `fieldsV1`; unknown steps are left out.
    pub fn parse(value: &Value) -> Self {
        let Some(map) = value.as_object() else { return Self { own: true, children: Vec::new() } };
        let mut set = Self { own: map.is_empty() || map.contains_key("."), children: Vec::new() };
        for (step, below) in map {
            let step = match step.split_at_checked(2) {
                Some(("f:", name)) => FieldStep::Field(name.to_owned()),
                Some(("k:", keys)) => match serde_json::from_str(keys) {
                    Ok(keys) => FieldStep::Key(keys),
                    Err(_) => continue,
                },
                Some(("v:", item)) => match serde_json::from_str(item) {
                    Ok(item) => FieldStep::Item(item),
                    Err(_) => continue,
                },
                Some(("i:", index)) => match index.parse() {
                    Ok(index) => FieldStep::Index(index),
                    Err(_) => continue,
                },
                _ => continue,
            };
            set.children.push((step, Self::parse(below)));
        }
        set
    }

    /// Whether the value is owned as a whole.
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// The set below a field of a map.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|(step, below)| match step {
            FieldStep::Field(field) if field == name => Some(below),
            _ => None,
        })
    }

    /// The set below the list item with these keys.
    pub fn item(&self, keys: &Map<String, Value>) -> Option<&Self> {
        self.children.iter().find_map(|(step, below)| match step {
            FieldStep::Key(own) if own == keys => Some(below),
            _ => None,
        })
    }

    /// Keys of the list items in the set.
    pub fn keys(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.children.iter().filter_map(|(step, _)| match step {
            FieldStep::Key(keys) => Some(keys),
            _ => None,
        })
    }

    /// Items of a set of values.
    pub fn items(&self) -> impl Iterator<Item = &Value> {
        self.children.iter().filter_map(|(step, _)| match step {
            FieldStep::Item(item) => Some(item),
            _ => None,
        })
    }
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedBy {
    /// Name of the manager.
    pub manager: String,
    /// Whether by server-side apply.
    pub apply: bool,
    /// Subresource, empty for the object itself.
    pub subresource: String,
    /// Version that the field names are of.
    pub api_version: String,
    /// The fields.
    pub fields: FieldSet,
}

/// All managers of an object.
pub fn managers(object: &Value) -> Vec<ManagedBy> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .map(|entry| ManagedBy {
            manager: text(entry, "manager"),
            apply: entry["operation"] == "Apply",
            subresource: text(entry, "subresource"),
            api_version: text(entry, "apiVersion"),
            fields: entry.get("fieldsV1").map(FieldSet::parse).unwrap_or_default(),
        })
        .collect()
}

/// The list item that has these keys; a key that the item leaves out counts as equal, since the server fills in defaults.
pub(super) fn find_item<'a>(list: &'a [Value], keys: &Map<String, Value>) -> Option<&'a Value> {
    let matches = |item: &Value, lenient: bool| {
        keys.iter().all(|(name, value)| match item.get(name) {
            Some(own) => own == value,
            None => lenient,
        })
    };
    list.iter().find(|item| matches(item, false)).or_else(|| list.iter().find(|item| matches(item, true)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_kinds_of_steps_are_read() {
        let set = FieldSet::parse(&json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}, "f:finalizers": {".": {}, "v:\"x\"": {}}},
            "f:spec": {"f:listeners": {"k:{\"name\":\"http\"}": {".": {}, "f:name": {}, "f:port": {}}}, "f:hostnames": {}},
        }));
        let labels = set.field("metadata").and_then(|set| set.field("labels")).expect("labels");
        assert!(labels.own && !labels.is_leaf() && labels.field("a").is_some_and(FieldSet::is_leaf));
        let finalizers = set.field("metadata").and_then(|set| set.field("finalizers")).expect("finalizers");
        assert_eq!(finalizers.items().collect::<Vec<_>>(), [&json!("x")]);
        let listeners = set.field("spec").and_then(|set| set.field("listeners")).expect("listeners");
        assert!(!listeners.own);
        let keys = listeners.keys().next().expect("one item");
        assert!(listeners.item(keys).is_some_and(|item| item.field("port").is_some()));
        assert!(set.field("spec").and_then(|set| set.field("hostnames")).is_some_and(|set| set.own && set.is_leaf()));
    }

    #[test]
    fn a_key_that_the_server_fills_in_still_matches() {
        let list = [json!({"port": 80}), json!({"port": 80, "protocol": "UDP"})];
        let keys = json!({"port": 80, "protocol": "TCP"});
        assert_eq!(find_item(&list, keys.as_object().expect("map")), Some(&list[0]));
        let keys = json!({"port": 80, "protocol": "UDP"});
        assert_eq!(find_item(&list, keys.as_object().expect("map")), Some(&list[1]));
    }
}
