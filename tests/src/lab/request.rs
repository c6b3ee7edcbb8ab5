//! Requests as a client of a gateway sends them: one connection each, or many on one, from a chosen address.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use crate::Error;

/// How long an answer may take; longer is a failure of its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, with all values.
    pub headers: Vec<(String, String)>,
    /// As it was sent.
    pub body: Bytes,
    /// From the connection's start to the last byte.
    pub took: Duration,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The report of the echo server, or null when the answer is not one.
    pub fn report(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the echo server has answered.
    pub fn reached_backend(&self) -> bool {
        self.header("x-echo").is_some()
    }
}

/// A client that trusts one authority.
#[derive(Clone, Debug)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

impl Trust {
    /// From the authority's certificate, as PEM.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(authority: &str) -> Result<Self, Error> {
        Self::new(authority, None)
    }

    /// One that shows a certificate of its own: the authority's certificate, then certificate and key of the client, as PEM.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn with_certificate(authority: &str, certificate: &str, key: &str) -> Result<Self, Error> {
        Self::new(authority, Some((certificate, key)))
    }

    fn new(authority: &str, own: Option<(&str, &str)>) -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Lab(format!("no authority: {error}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| failed(&error))?;
                let config = config.with_client_auth_cert(chain.map_err(|error| failed(&error))?, key);
                config.map_err(|error| failed(&error))?
            }
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// The same client, which speaks only this protocol (ALPN).
    #[must_use]
    pub fn speaking(&self, protocol: &str) -> Self {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { config: Arc::new(config) }
    }

    /// A connection on which the server has shown a certificate for that name.
    ///
    /// # Errors
    /// When it has not.
    pub async fn connect(&self, stream: TcpStream, name: &str) -> Result<TlsStream<TcpStream>, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Lab(format!("no TLS with {name}: {error}"));
        let name = ServerName::try_from(name.to_owned()).map_err(|error| failed(&error))?;
        let connect = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream);
        let stream = tokio::time::timeout(PATIENCE, connect).await.map_err(|_| failed(&"no answer in time"))?;
        stream.map_err(|error| failed(&error))
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Get {
    to: SocketAddr,
    from: Option<std::net::IpAddr>,
    method: http::Method,
    host: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    tls: Option<(Trust, String)>,
}

impl Get {
    /// A request without headers of its own.
    pub fn new(to: SocketAddr, host: &str, path: &str) -> Self {
        Self {
            to,
            from: None,
            method: http::Method::GET,
            host: host.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            tls: None,
        }
    }

    /// With another method.
    #[must_use]
    pub fn method(mut self, method: http::Method) -> Self {
        self.method = method;
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body.into();
        self
    }

    /// Over TLS, asking for that server name.
    #[must_use]
    pub fn tls(mut self, trust: &Trust, server_name: &str) -> Self {
        self.tls = Some((trust.clone(), server_name.to_owned()));
        self
    }

    /// From an address of a client, one of one of [`CLIENT_ADDRESSES`](super::CLIENT_ADDRESSES).
    #[must_use]
    pub fn from(mut self, address: std::net::IpAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// Sends it on a connection of its own.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn send(&self) -> Result<Answer, Error> {
        self.connect().await?.send(self).await
    }

    /// A connection for this and other requests.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let stream = self.stream().await?;
        let failed = |error: hyper::Error| Error::Lab(format!("no connection to {}: {error}", self.to));
        let sender = match &self.tls {
            None => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
                tokio::spawn(connection);
                sender
            }
            Some((trust, name)) => {
                let stream = trust.connect(stream, name).await?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
                tokio::spawn(connection);
                sender
            }
        };
        Ok(Connection { sender })
    }

    /// A connection of TCP, for other protocols.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn stream(&self) -> Result<TcpStream, Error> {
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            if let Some(from) = self.from {
                socket.bind(SocketAddr::new(from, 0))?;
            }
            socket.connect(self.to).await
        };
        let failed = |reason: String| Error::Lab(format!("no connection to {}: {reason}", self.to));
        tokio::time::timeout(PATIENCE, connect)
            .await
            .map_err(|_| failed("no answer in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))
    }

    /// Its body.
    pub fn content(&self) -> Bytes {
        self.body.clone()
    }

    fn build(&self) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path).header("host", &self.host);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).map_err(|error| Error::Lab(error.to_string()))
    }
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Sends a request on this connection.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn send(&mut self, get: &Get) -> Result<Answer, Error> {
        let start = Instant::now();
        let failed = |reason: String| Error::Lab(format!("{} {}{}: {reason}", get.method, get.host, get.path));
        let exchange = async {
            self.sender.ready().await.map_err(|error| failed(error.to_string()))?;
            let response = self.sender.send_request(get.build()?).await.map_err(|error| failed(error.to_string()))?;
            read(response).await.map_err(|error| failed(error.to_string()))
        };
        let mut answer =
            tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| failed("no answer in time".to_owned()))??;
        answer.took = start.elapsed();
        Ok(answer)
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Answer { status, headers, body, took: Duration::ZERO })
}
