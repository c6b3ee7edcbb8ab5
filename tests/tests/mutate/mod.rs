//! Other valid values for a leaf: by its name where a type is narrow, else by what the value looks like.

use gateway_modules_testkit::samples::Documents;
use serde_json::{Value, json};

/// A change of one leaf, and what must change with it so that the documents stay valid.
pub(crate) struct Change {
    document: &'static str,
    pointer: String,
    /// The new value.
    pub(crate) value: Value,
}

impl Change {
    /// The documents with the change; `None` when there is no such place.
    pub(crate) fn apply(&self, documents: &Documents) -> Option<Documents> {
        let mut changed = documents.clone();
        *changed.of_kind_mut(self.document).pointer_mut(&self.pointer)? = self.value.clone();
        if self.document == "Component" && self.pointer.contains("/visibilities/") {
            // The visibility must exist.
            let visibilities = &mut changed.plane_mut()["spec"]["visibilities"];
            visibilities[self.value.as_str()?] = visibilities["external"].clone();
            visibilities[self.value.as_str()?]["domain"] = "other.example.com".into();
        }
        if self.document == "DataPlane" && self.pointer.ends_with("/protocol") {
            let listener =
                changed.plane_mut().pointer_mut(self.pointer.trim_end_matches("/protocol"))?.as_object_mut()?;
            if self.value == "HTTPS" {
                listener.insert("tls".to_owned(), json!({ "certificates": [{ "name": "wildcard" }] }));
            } else {
                listener.remove("tls");
            }
        }
        Some(changed)
    }
}

/// Changes of a leaf, the most telling first; those that do not load are left out by the caller.
pub(crate) fn changes(document: &'static str, pointer: &str, value: &Value) -> Vec<Change> {
    let change = |pointer: &str, value: Value| Change { document, pointer: pointer.to_owned(), value };
    // A choice without content, such as `text: {}`, changes to another one.
    if let (true, Some((above, own))) =
        (value.as_object().is_some_and(serde_json::Map::is_empty), pointer.rsplit_once('/'))
    {
        let others = [
            json!({ "text": {} }),
            json!({ "json": {} }),
            json!({ "json": { "fields": { "status": "200" } } }),
            json!({ "leastRequest": {} }),
            json!({ "roundRobin": {} }),
            json!({ "random": {} }),
            json!({ "header": "X-Other" }),
            json!({ "cookie": { "name": "other" } }),
            json!({ "configMaps": ["other"] }),
        ];
        return others.into_iter().filter(|other| other.get(own).is_none()).map(|other| change(above, other)).collect();
    }
    let found = match value {
        Value::Bool(flag) => vec![json!(!flag)],
        Value::Number(number) => numbers(number.as_u64().unwrap_or_default()),
        Value::String(text) => texts(pointer, text),
        _ => Vec::new(),
    };
    found.into_iter().filter(|other| other != value).map(|other| change(pointer, other)).collect()
}

fn numbers(number: u64) -> Vec<Value> {
    [number + 1, number.saturating_sub(1), number + 10, 302, 404, 503, 50]
        .into_iter()
        .map(|number| json!(number))
        .collect()
}

/// Values of closed sets.
const SETS: &[&[&str]] = &[
    &["HTTP", "GRPC", "HTTPS", "WebSocket"],
    &["Gzip", "Brotli", "Zstd"],
    &["GET", "POST", "PATCH", "DELETE"],
    &["http", "https"],
    &["Public", "Cluster"],
    &["PerEndpoint", "Shared"],
    &["Terminate", "Passthrough"],
];

fn texts(pointer: &str, text: &str) -> Vec<Value> {
    let mut found: Vec<String> = Vec::new();
    for set in SETS.iter().filter(|set| set.contains(&text)) {
        found.extend(set.iter().map(|other| (*other).to_owned()));
    }
    if pointer.contains("/ipAccess/") {
        found.push("172.16.0.0/12".to_owned());
    }
    // Durations and sizes: another number before the unit; and where only whole units count, another unit.
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    if let Ok(number) = digits.parse::<u64>() {
        found.push(format!("{}{}", number + 1, &text[digits.len()..]));
        found.extend(["1s", "1m", "1h", "24h", "1Mi"].map(str::to_owned));
    }
    if let Some(rest) = text.strip_prefix("https://") {
        found.push(format!("https://other.{rest}"));
        found.push(format!("https://{rest}/other"));
    }
    if text.starts_with('/') {
        found.push(format!("{}/other", text.trim_end_matches('/')));
    }
    if text.starts_with('^') {
        found.push(text.replace("v1", "v3"));
    }
    if text.contains('.') {
        found.push(format!("other.{text}"));
    }
    found.push(format!("{text}-other"));
    found.push(format!("{text}other"));
    found.push(format!("other {text}"));
    found.into_iter().map(Value::from).collect()
}
