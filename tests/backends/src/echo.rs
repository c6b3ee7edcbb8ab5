//! A server that says what reached it, and does what the query asks for.
//!
//! `?delay=MILLISECONDS`, `?status=CODE`, `?size=BYTES` (a text body of that size), `?break` (ends the connection),
//! `?fail=N&key=NAME` (503 for the first N requests with that key), `?failing=POD` (500 from that pod, and from no other),
//! `?set=NAME:VALUE` (an answer's header), and `/-/count/KEY` tells how many requests had `key=KEY`. `/-/health` answers 200, and
//! for some time 503 in the pod that `?ailing=POD:MILLISECONDS` has reached. WebSockets and gRPC calls get back what they send.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http_body_util::BodyExt;
use hyper::{Request, body::Incoming};
use serde_json::{Value, json};

use crate::{Answer, grpc, response, tls::ServerName, websocket};

static COUNTS: LazyLock<Mutex<BTreeMap<String, u64>>> = LazyLock::new(Mutex::default);

/// Until when this pod says that it is not well.
static AILING: Mutex<Option<Instant>> = Mutex::new(None);

/// Reports the request.
pub(crate) async fn answer(request: Request<Incoming>) -> std::io::Result<Answer> {
    if websocket::is_asked_for(&request) {
        return Ok(websocket::accept(request));
    }
    if grpc::is_asked_for(&request) {
        return grpc::answer(request).await;
    }
    let (head, body) = request.into_parts();
    if let Some(key) = head.uri.path().strip_prefix("/-/count/") {
        return Ok(response(200, &[], count(key, 0).to_string()));
    }
    if head.uri.path() == "/-/health" {
        let ailing = *AILING.lock().unwrap_or_else(PoisonError::into_inner);
        let status = if ailing.is_some_and(|until| Instant::now() < until) { 503 } else { 200 };
        return Ok(response(status, &[], String::new()));
    }
    let query: BTreeMap<&str, &str> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<u64>().ok());
    let received = body.collect().await.map_err(std::io::Error::other)?.to_bytes().len();
    let seen = query.get("key").map_or(0, |key| count(key, 1));
    if let Some(delay) = number("delay") {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if query.contains_key("break") {
        return Err(std::io::Error::other("asked to break off"));
    }
    let pod = std::env::var("HOSTNAME").unwrap_or_default();
    let failed = |status| Ok(response(status, &[("x-echo", "failed as asked")], "failed as asked"));
    if number("fail").is_some_and(|fail| seen <= fail) {
        return failed(503);
    }
    if query.get("failing").is_some_and(|failing| *failing == pod) {
        return failed(500);
    }
    if let Some((wanted, time)) = query.get("ailing").and_then(|ailing| ailing.split_once(':'))
        && wanted == pod
        && let Ok(time) = time.parse()
    {
        *AILING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + Duration::from_millis(time));
    }
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        headers.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let report: Value = json!({
        "backend": std::env::var("BACKEND").unwrap_or_default(),
        "pod": pod,
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "version": format!("{:?}", head.version),
        "host": head.headers.get("host").map_or_else(
            || head.uri.authority().map(ToString::to_string).unwrap_or_default(),
            |host| String::from_utf8_lossy(host.as_bytes()).into_owned(),
        ),
        "headers": headers,
        "serverName": head.extensions.get::<ServerName>().map(|name| name.0.clone()),
        "received": received,
        "seen": seen,
    });
    let body = match number("size").and_then(|size| usize::try_from(size).ok()) {
        Some(size) => "all work and no play ".chars().cycle().take(size).collect(),
        None => report.to_string(),
    };
    let kind = if query.contains_key("size") { "text/plain" } else { "application/json" };
    let mut all = vec![("content-type", kind), ("x-echo", "here")];
    all.extend(query.get("set").and_then(|set| set.split_once(':')));
    let status = number("status").and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    Ok(response(status, &all, body))
}

/// Adds, and gives the sum.
fn count(key: &str, by: u64) -> u64 {
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(key.to_owned()).or_default();
    *count += by;
    *count
}
