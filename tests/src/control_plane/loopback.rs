//! A small HTTP server on the loopback address, where a probe is to find a gateway.
//!
//! It answers as it is told and knows nothing of routes or policies: **it shows what is asked and what is made of an answer, and
//! nothing of how a gateway behaves.**

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderMap;
use http_body_util::Empty;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::pki::Authority;
use crate::Error;

/// A request that has come.
#[derive(Clone, Debug)]
pub struct LoopbackRequest {
    /// Whether it came by TLS.
    pub tls: bool,
    /// `GET`, …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// All headers, `host` among them.
    pub headers: HeaderMap,
}

impl LoopbackRequest {
    /// The host that was asked for, without its port.
    pub fn host(&self) -> &str {
        let host = self.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        host.rsplit_once(':').map_or(host, |(host, _)| host)
    }
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<String, StatusCode>,
    requests: Vec<LoopbackRequest>,
}

/// A server for clear text and one for TLS, with a certificate that nobody knows; both end with this.
#[derive(Debug)]
pub struct LoopbackServer {
    http: SocketAddr,
    https: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl LoopbackServer {
    /// Answers 404 until it is told something else.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn start() -> Result<Self, Error> {
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        let http = listen(&mut tasks, Arc::clone(&state), None).await?;
        let https = listen(&mut tasks, Arc::clone(&state), Some(acceptor()?)).await?;
        Ok(Self { http, https, state, _tasks: tasks })
    }

    /// Port for clear text.
    pub const fn http_port(&self) -> u16 {
        self.http.port()
    }

    /// Port for TLS.
    pub const fn https_port(&self) -> u16 {
        self.https.port()
    }

    /// From now on requests to a host are answered with this status.
    pub fn answer(&self, host: &str, status: StatusCode) {
        self.state().answers.insert(host.to_owned(), status);
    }

    /// All requests that have come.
    pub fn requests(&self) -> Vec<LoopbackRequest> {
        self.state().requests.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn acceptor() -> Result<TlsAcceptor, Error> {
    let pair = Authority::new()?.serving("loopback", &["localhost"])?;
    let broken = |error: &dyn std::fmt::Display| Error::Lab(format!("a server of TLS: {error}"));
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).map_err(|error| broken(&error))?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|error| broken(&error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(|error| broken(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn listen(
    tasks: &mut JoinSet<()>,
    state: Arc<Mutex<State>>,
    tls: Option<TlsAcceptor>,
) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Error::io("listen on", "127.0.0.1"))?;
    let address = listener.local_addr().map_err(Error::io("listen on", "127.0.0.1"))?;
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (state, tls) = (Arc::clone(&state), tls.clone());
            connections.spawn(accept(stream, state, tls));
        }
    });
    Ok(address)
}

async fn accept(stream: TcpStream, state: Arc<Mutex<State>>, tls: Option<TlsAcceptor>) {
    match tls {
        None => serve(stream, state, false).await,
        // Who breaks a handshake off has told it to the test.
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, state, true).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>, tls: bool) {
    let service = service_fn(|request: Request<Incoming>| {
        let request = LoopbackRequest {
            tls,
            method: request.method().to_string(),
            path: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let status = state.answers.get(request.host()).copied().unwrap_or(StatusCode::NOT_FOUND);
        state.requests.push(request);
        async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    // A client that goes away is none of our business.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
