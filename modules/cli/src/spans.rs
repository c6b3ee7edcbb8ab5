//! Spans of the controller, sent to an OpenTelemetry collector: OTLP as protobuf over HTTP, by its standard variables.

use std::{env, sync::Arc, time::Duration};

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter, registry::LookupSpan};

use crate::exit::Failure;

/// What is in a resource that names no service.
const SERVICE: &str = "gateway-modules-controller";
/// For one export, where no variable says anything (the default of the OTLP specification).
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends what is pending when it is dropped.
pub(crate) struct Spans(SdkTracerProvider);

impl Drop for Spans {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// The layer that sends the spans of this project, and what must live as long as the program.
pub(crate) fn layer<S>() -> Result<(impl Layer<S>, Spans), Failure>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("spans cannot be sent: {error}"));
    let asked = variable("PROTOCOL");
    if let Some(other) = asked.as_ref().filter(|protocol| *protocol != "http/protobuf") {
        return Err(Failure::Usage(format!(
            "OTEL_EXPORTER_OTLP_PROTOCOL is {other}: this program speaks http/protobuf (port 4318 of most collectors)"
        )));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(Sender::new().map_err(|error| failed(&error))?)
        .build()
        .map_err(|error| failed(&error))?;
    // `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read by the SDK.
    let named = |text: String| text.split(',').any(|pair| pair.trim_start().starts_with("service.name="));
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() && !env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(named) {
        resource = resource.with_service_name(SERVICE);
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let tracer = provider.tracer(SERVICE);
    // Those of libraries are not ours to publish, and the exporter's own would be sent again and again.
    let ours = filter::filter_fn(|metadata| {
        metadata.target().starts_with("gateway_modules") && *metadata.level() <= Level::INFO
    });
    Ok((tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours), Spans(provider)))
}

/// `OTEL_EXPORTER_OTLP_TRACES_<NAME>`, or the same of all signals.
fn variable(name: &str) -> Option<String> {
    let read = |signal: &str| env::var(format!("OTEL_EXPORTER_OTLP_{signal}{name}")).ok();
    read("TRACES_").or_else(|| read("")).filter(|value| !value.is_empty())
}

/// The exporter works in a thread without a runtime; so its client brings one, which outlives the controller's.
#[derive(Debug)]
struct Sender {
    client: Arc<dyn HttpClient>,
    runtime: tokio::runtime::Runtime,
}

impl Sender {
    fn new() -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        let timeout = variable("TIMEOUT").and_then(|text| text.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("otlp").enable_all().build()?;
        Ok(Self { client: Arc::new(HyperClient::new(connector, timeout, None)), runtime })
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = Arc::clone(&self.client);
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
