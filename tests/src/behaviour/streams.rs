//! Bytes on connections and datagrams: TLS by server name, TCP, UDP; each at a listener of its own.

use futures::FutureExt;
use gateway_modules_core::capability::names::gateway_api as api;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

use super::{
    features::Feature,
    scene::{Scene, Shown, eventually, expect},
};
use crate::lab::{certificates, request::Get};

/// Of the listeners for bytes and datagrams.
const PORT: u16 = 9000;

pub(super) const FEATURES: &[Feature] = &[
    Feature {
        name: "TLS by server name",
        capability: api::TLS_ROUTE,
        endpoint: || {
            beside_http(
                json!({"name": "tls", "protocol": "TLS", "port": 443, "tls": {"mode": "Passthrough"}}),
                json!({"type": "TLS", "service": "secure", "port": 8443, "hostnames": [certificates::BACKEND]}),
            )
        },
        show: |scene, _| passed_through(scene).boxed(),
    },
    Feature { name: "TCP", capability: api::TCP_ROUTE, endpoint: || raw("TCP"), show: |scene, _| bytes(scene).boxed() },
    Feature {
        name: "UDP",
        capability: api::UDP_ROUTE,
        endpoint: || raw("UDP"),
        show: |scene, _| datagrams(scene).boxed(),
    },
];

fn beside_http(listener: Value, mut endpoint: Value) -> Value {
    endpoint["listeners"] = json!([{"name": "http", "protocol": "HTTP", "port": 80}, listener]);
    endpoint
}

fn raw(protocol: &str) -> Value {
    beside_http(
        json!({"name": "raw", "protocol": protocol, "port": PORT}),
        json!({"type": protocol, "service": "raw", "port": PORT, "hostnames": []}),
    )
}

async fn passed_through(scene: &Scene) -> Shown {
    let trust = scene.trust().await?;
    let get = |name: &str| Get::new(scene.external_port(443), certificates::BACKEND, "/").tls(&trust, name);
    let send = |name: &'static str| async move { get(name).send().await.map_err(|error| error.to_string()) };
    let answer = eventually(|| send(certificates::BACKEND)).await?;
    let report = answer.report();
    expect(report["backend"] == "secure", "the backend of that name is reached", &report)?;
    expect(report["serverName"] == certificates::BACKEND, "and TLS ends there", &report)?;
    // The backend has a certificate for this name too, so that only the missing route keeps it away.
    let unrouted = send(certificates::UNROUTED).await;
    expect(!unrouted.as_ref().is_ok_and(|answer| answer.reached_backend()), "no route for another name", &unrouted)?;
    Ok("the backend's own certificate and its server name; a name without a route does not reach it".to_owned())
}

async fn bytes(scene: &Scene) -> Shown {
    let sent: Vec<u8> = (0..70_000_u32).map(|number| number.to_le_bytes()[usize::from(number % 3 == 0)]).collect();
    let attempt = || async {
        let text = |error: std::io::Error| error.to_string();
        let mut stream =
            Get::new(scene.external_port(PORT), "", "").stream().await.map_err(|error| error.to_string())?;
        let (mut read, mut write) = stream.split();
        let mut back = Vec::new();
        let exchange = async {
            let writing = async {
                write.write_all(&sent).await?;
                write.shutdown().await
            };
            tokio::try_join!(writing, read.read_to_end(&mut back))
        };
        exchange.await.map_err(text)?;
        expect(back == sent, "the same bytes come back", &back.len())
    };
    eventually(attempt).await?;
    Ok(format!("{} bytes came back, and the end of the connection", sent.len()))
}

async fn datagrams(scene: &Scene) -> Shown {
    let sent = [0_u8, 255, 1, 2].repeat(200);
    let attempt = || async {
        let text = |error: std::io::Error| error.to_string();
        let socket = UdpSocket::bind("0.0.0.0:0").await.map_err(text)?;
        socket.connect(scene.external_port(PORT)).await.map_err(text)?;
        socket.send(&sent).await.map_err(text)?;
        let mut back = vec![0; 2000];
        let length = socket.recv(&mut back).await.map_err(text)?;
        expect(back[..length] == sent, "the same datagram comes back", &length)
    };
    eventually(attempt).await?;
    Ok(format!("a datagram of {} bytes came back", sent.len()))
}
