//! `/metrics`, `/healthz` and `/readyz`.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Arc<AtomicBool>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the metrics port failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (metrics, ready) = (Arc::clone(&metrics), Arc::clone(&ready));
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(request.uri().path(), &metrics, ready.load(Ordering::Acquire));
                async move { Ok::<_, Infallible>(answer) }
            });
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a connection to the metrics port ended early");
            }
        });
    }
}

fn answer(path: &str, metrics: &Metrics, ready: bool) -> Response<String> {
    let (code, text) = match path {
        "/healthz" => (200, "ok\n".to_owned()),
        "/readyz" if ready => (200, "ok\n".to_owned()),
        "/readyz" => (503, "the API server has not answered yet\n".to_owned()),
        "/metrics" => (200, metrics.render()),
        _ => (404, "look at /metrics, /healthz or /readyz\n".to_owned()),
    };
    let mut response = Response::new(text);
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    if path == "/metrics" {
        let kind =
            hyper::header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    }
    response
}
