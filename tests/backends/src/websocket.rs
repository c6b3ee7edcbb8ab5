//! WebSockets (RFC 6455) that get back what they send.

use futures::{SinkExt, StreamExt};
use hyper::{Request, body::Incoming, header};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use crate::{Answer, response};

/// Whether the request asks for a WebSocket.
pub(crate) fn is_asked_for(request: &Request<Incoming>) -> bool {
    request.headers().get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Accepts, and echoes on the connection from then on.
pub(crate) fn accept(mut request: Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()))
    else {
        return response(400, &[], "no Sec-WebSocket-Key");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(connection) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    response(101, &[("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", &key)], "")
}
