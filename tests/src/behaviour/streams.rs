//! Bytes on connections and datagrams: TLS by server name, TCP, UDP; each at a listener of its own.

use gateway_modules_core::capability::names::gateway_api as api;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

use super::{
    protocols::Case,
    scene::{Scene, Shown, eventually, expect},
};
use crate::lab::{certificates, request::Get};

/// Of the listeners for bytes and datagrams.
const PORT: u16 = 9000;

/// Name, capability, and what is laid over the usual endpoint.
pub(super) const CASES: &[Case] = &[
    ("TLS by server name", api::TLS_ROUTE, || {
        beside_http(
            json!({"name": "tls", "protocol": "TLS", "port": 443, "tls": {"mode": "Passthrough"}}),
            json!({"type": "TLS", "service": "secure", "port": 8443, "hostnames": [certificates::BACKEND]}),
        )
    }),
    ("TCP", api::TCP_ROUTE, || raw("TCP")),
    ("UDP", api::UDP_ROUTE, || raw("UDP")),
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

/// The requests for a case; none when it is not one of these.
pub(super) async fn show(scene: &Scene, name: &str) -> Option<Shown> {
    Some(match name {
        "TLS by server name" => passed_through(scene).await,
        "TCP" => bytes(scene).await,
        "UDP" => datagrams(scene).await,
        _ => return None,
    })
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
