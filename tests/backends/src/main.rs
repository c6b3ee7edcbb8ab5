//! What stands behind the gateways of the lab, in one static program: the first argument names the part.

mod authorization;
mod collector;
mod echo;
mod grpc;
mod issuer;
mod reflection;
mod tcp;
mod tls;
mod websocket;

use std::{net::SocketAddr, process::ExitCode};

use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

type Answer = Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>;

/// Where every part listens.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the log of a container")]
async fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("echo") => tokio::select! {
            plain = serve(echo::answer) => plain,
            encrypted = tls::serve(echo::answer) => encrypted,
            raw = tcp::serve() => raw,
            datagrams = tcp::serve_datagrams() => datagrams,
        },
        Some("authorization") => serve(authorization::answer).await,
        Some("issuer") => serve(issuer::answer).await,
        Some("collector") => serve(collector::answer).await,
        Some("pause") => pause().await,
        _ => {
            eprintln!("usage: backends echo|authorization|issuer|collector|pause");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The process that keeps a pod's namespaces.
async fn pause() -> std::io::Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

/// HTTP/1.1 and HTTP/2 without TLS on one port.
async fn serve<F, A>(answer: F) -> std::io::Result<()>
where
    F: Fn(Request<Incoming>) -> A + Copy + Send + 'static,
    A: Future<Output = std::io::Result<Answer>> + Send + 'static,
{
    let listener = TcpListener::bind(ADDRESS).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = terminate.recv() => return Ok(()),
        };
        tokio::spawn(connection(stream, answer));
    }
}

/// HTTP/1.1 or HTTP/2 on one connection.
async fn connection<S, F, A>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A + Send + 'static,
    A: Future<Output = std::io::Result<Answer>> + Send + 'static,
{
    // A client that goes away is no event, and `break` ends a connection with an error on purpose.
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer))
        .await;
}

/// An answer that is whole in memory.
fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(body.into()).boxed_unsync()).unwrap_or_default()
}
