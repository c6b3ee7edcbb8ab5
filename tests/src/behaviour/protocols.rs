//! Protocols: encrypted listeners and backends, client certificates, WebSockets, gRPC.

use std::time::{Duration, Instant};

use futures::{FutureExt, SinkExt, StreamExt};
use gateway_modules_core::capability::names::{gateway_api as api, project};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{
    features::Feature,
    scene::{SETTLE, Scene, Shown, eventually, expect, send},
};
use crate::lab::{
    certificates,
    request::{Get, Trust},
};

pub(super) const FEATURES: &[Feature] = &[
    Feature {
        name: "HTTPS listener",
        capability: project::LISTENER_HTTPS,
        endpoint: || json!({}),
        show: |scene, host| encrypted(scene, host).boxed(),
    },
    Feature {
        name: "WebSocket",
        capability: api::HTTP_ROUTE,
        endpoint: || json!({"type": "WebSocket"}),
        show: |scene, host| websocket(scene, host).boxed(),
    },
    Feature {
        name: "gRPC",
        capability: api::GRPC_ROUTE,
        endpoint: || json!({"type": "GRPC"}),
        show: |scene, host| grpc(scene, host).boxed(),
    },
];

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn encrypted(scene: &Scene, host: &str) -> Shown {
    let address = scene.encrypted.ok_or("no port named https")?;
    let trust = scene.trust().await?;
    let get = Get::new(address, host, "/");
    let answer = send(&get.clone().tls(&trust, host)).await?;
    expect(answer.status == 200 && answer.reached_backend(), "served over TLS", &answer)?;
    expect(answer.report()["serverName"].is_null(), "TLS ends at the gateway", &answer.report())?;
    let stranger = scene.stranger().await?;
    let refused = get.clone().tls(&stranger, host).send().await.is_err();
    expect(refused, "the certificate is that of the listener, and no other's", &refused)?;
    // The name of one host, the server name of another: what is served is decided by the request's own host.
    let other = send(&get.clone().tls(&trust, "other.lab.example.com")).await;
    let crossed = match &other {
        Ok(answer) => format!("{}", answer.status),
        Err(_) => "no connection".to_owned(),
    };
    let unknown = send(&Get::new(address, "unknown.lab.example.com", "/").tls(&trust, host)).await?;
    expect(!unknown.reached_backend(), "a host that nobody has is not served", &unknown)?;
    let plain = get.send().await.is_ok_and(|answer| answer.reached_backend());
    expect(!plain, "nothing is served in clear on the encrypted port", &plain)?;
    let h2 = call_http2(&get, Some((&trust, host)), host, "/", &[]).await?;
    expect(h2.0 == 200, "HTTP/2 by ALPN", &h2.0)?;
    Ok(format!(
        "HTTP/1.1 and HTTP/2 with the listener's certificate, unknown host {}, server name of another host: {crossed}",
        unknown.status
    ))
}

async fn websocket(scene: &Scene, host: &str) -> Shown {
    let get = scene.get(host, "/");
    let stream = get.stream().await.map_err(text)?;
    let request = format!("ws://{host}/");
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.map_err(text)?;
    expect(answer.status() == 101, "switched protocols", &answer.status())?;
    for message in [Message::text("hello"), Message::binary(vec![0_u8, 255, 1]), Message::text("x".repeat(70_000))] {
        socket.send(message.clone()).await.map_err(text)?;
        let back = socket.next().await.ok_or("the connection ended")?.map_err(text)?;
        expect(back == message, "the same message comes back", &back.len())?;
    }
    socket.close(None).await.map_err(text)?;
    Ok("text, bytes and a message of 70000 bytes came back".to_owned())
}

async fn grpc(scene: &Scene, host: &str) -> Shown {
    // One message, not compressed: flag, length, bytes.
    let message = [&[0_u8, 0, 0, 0, 5][..], b"hello"].concat();
    let get = scene.get(host, "/").body(message.clone());
    for (asked, expected) in [("0", "0"), ("5", "5")] {
        let headers = [("content-type", "application/grpc"), ("te", "trailers"), ("x-status", asked)];
        let (status, body, trailers) = call_http2(&get, None, host, "/shop.v1.Catalog/Get", &headers).await?;
        expect(status == 200 && body == message, "the message comes back", &(status, &body))?;
        expect(trailers.as_deref() == Some(expected), "the status comes in the trailers", &trailers)?;
    }
    Ok("messages and statuses 0 and 5 in trailers came back".to_owned())
}

/// One request by HTTP/2: status, body and `grpc-status` of the trailers.
async fn call_http2(
    get: &Get,
    tls: Option<(&Trust, &str)>,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Shown<(u16, Vec<u8>, Option<String>)> {
    let stream = get.stream().await.map_err(text)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut sender = match tls {
        None => {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(text)?;
            tokio::spawn(connection);
            sender
        }
        Some((trust, name)) => {
            let stream = trust.speaking("h2").connect(stream, name).await.map_err(text)?;
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(text)?;
            tokio::spawn(connection);
            sender
        }
    };
    let mut request = Request::builder().method(if headers.is_empty() { "GET" } else { "POST" });
    request = request.uri(format!("{scheme}://{host}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request: Request<Full<Bytes>> = request.body(Full::new(get.content())).map_err(text)?;
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), sender.send_request(request));
    let answer = answer.await.map_err(text)?.map_err(text)?;
    let status = answer.status().as_u16();
    // A call that fails at once has its status in the headers.
    let early = answer.headers().get("grpc-status").cloned();
    let collected = answer.into_body().collect().await.map_err(text)?;
    let late = collected.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    let grpc = late.or(early).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok((status, collected.to_bytes().to_vec(), grpc))
}

/// The encrypted listener.
pub(super) fn https() -> Value {
    json!({"name": "https", "protocol": "HTTPS", "port": 443,
        "tls": {"certificates": [{"name": certificates::LISTENER}]}})
}

/// Who shows the right certificate is served; others get no connection, or are refused.
pub(super) async fn client_certificates(scene: &Scene, host: &str) -> Shown {
    let [right, expired, other] = certificates::CLIENT_CERTIFICATES;
    let get = Get::new(scene.external_port(443), host, "/");
    let with = |trust: &Trust| get.clone().tls(trust, host);
    let right = with(&scene.client(right).await?);
    let answer = eventually(|| async {
        let answer = send(&right).await?;
        expect(answer.status == 200, "who shows the right certificate is served", &answer)?;
        Ok(answer)
    });
    let answer = answer.await?;
    expect(answer.reached_backend(), "by the backend", &answer)?;
    let mut told = Vec::new();
    for (what, trust) in [
        ("one that has expired", scene.client(expired).await?),
        ("one of another authority", scene.client(other).await?),
        ("none", scene.trust().await?),
    ] {
        let seen = match with(&trust).send().await {
            Ok(answer) => {
                let refused = (400..500).contains(&answer.status) && !answer.reached_backend();
                expect(refused, &format!("{what} is refused"), &answer)?;
                answer.status.to_string()
            }
            Err(_) => "no connection".to_owned(),
        };
        told.push(format!("{what}: {seen}"));
    }
    let clear = send(&scene.get(host, "/")).await?;
    expect(clear.status == 301 && !clear.reached_backend(), "nothing is served in clear", &clear)?;
    let again = send(&right).await?;
    expect(again.status == 200, "and the right one still is", &again)?;
    Ok(format!("right certificate 200; {}; in clear 301", told.join(", ")))
}

/// An endpoint whose backend speaks TLS, with this name and authority.
pub(super) fn backend_tls(hostname: &str, authority: &str) -> Value {
    json!({"service": "secure", "port": 8443,
        "policies": {"backendTls": {"hostname": hostname, "trust": {"configMaps": [authority]}}}})
}

/// Right name and authority pass; a wrong one of either reaches no backend.
pub(super) async fn backend(scene: &Scene, host: &str) -> Shown {
    let answer = send(&scene.get(host, "/")).await?;
    expect(answer.status == 200 && answer.reached_backend(), "the backend is reached by TLS", &answer)?;
    let name = answer.report()["serverName"].clone();
    expect(name == certificates::BACKEND, "with its server name", &name)?;
    let mut told = Vec::new();
    for (what, hostname, authority) in [
        ("another name", "other.backend.example.com", certificates::AUTHORITY),
        ("another authority", certificates::BACKEND, certificates::STRANGER),
    ] {
        let mut endpoint = backend_tls(hostname, authority);
        endpoint["hostnames"] = json!([host]);
        let accepted = scene.apply(&endpoint).await?;
        scene.served(host).await?;
        // Connections to the backend that are open already stay for a while.
        let start = Instant::now();
        loop {
            let answer = send(&scene.get(host, "/")).await?;
            let refused = !answer.reached_backend() && answer.status >= 500;
            if refused {
                told.push(format!("{what} {} after {:.1} s", answer.status, start.elapsed().as_secs_f32()));
                break;
            }
            let late = start.elapsed() > SETTLE;
            expect(!late, &format!("{what} is refused (accepted: {accepted:?})"), &answer)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(format!("right name and authority 200 with server name {name}; {}", told.join(", ")))
}
