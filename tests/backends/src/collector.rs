//! A collector of traces: takes spans by OTLP over gRPC (`opentelemetry.proto.collector.trace.v1.TraceService/Export`),
//! and `/-/spans/MARK` tells those that have the mark in an attribute.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{LazyLock, Mutex, PoisonError},
};

use hyper::{Request, body::Incoming};
use serde_json::{Value, json};

use crate::{Answer, grpc, response};

/// So many are kept, the newest.
const MOST: usize = 50_000;

static SPANS: LazyLock<Mutex<VecDeque<Span>>> = LazyLock::new(Mutex::default);

/// Takes spans, or tells them.
pub(crate) async fn answer(request: Request<Incoming>) -> std::io::Result<Answer> {
    if grpc::is_asked_for(&request) {
        let export: ExportRequest = grpc::read(request).await?;
        let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let mut spans = SPANS.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(scopes.flat_map(|scope| scope.spans));
        let over = spans.len().saturating_sub(MOST);
        spans.drain(..over);
        return Ok(grpc::reply(&ExportResponse {}));
    }
    let Some(mark) = request.uri().path().strip_prefix("/-/spans/") else { return Ok(response(404, &[], "")) };
    let spans = SPANS.lock().unwrap_or_else(PoisonError::into_inner);
    let marked = spans.iter().map(Span::told).filter(|span| {
        let attributes = span["attributes"].as_object().into_iter().flatten();
        attributes.into_iter().any(|(_, value)| value.as_str().is_some_and(|value| value.contains(mark)))
    });
    Ok(response(200, &[("content-type", "application/json")], marked.collect::<Value>().to_string()))
}

impl Span {
    fn told(&self) -> Value {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let attributes: BTreeMap<&str, String> = self
            .attributes
            .iter()
            .map(|attribute| {
                let value = attribute.value.clone().unwrap_or_default();
                let number = value.number.map(|number| number.to_string());
                (attribute.key.as_str(), value.text.or(number).unwrap_or_default())
            })
            .collect();
        json!({"trace": hex(&self.trace_id), "name": self.name, "attributes": attributes})
    }
}

// `opentelemetry/proto/collector/trace/v1/trace_service.proto` and what it is made of, as far as it is read here.

#[derive(Clone, PartialEq, prost::Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ExportResponse {}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AttributeValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AttributeValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}
