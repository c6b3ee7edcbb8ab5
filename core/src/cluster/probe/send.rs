//! Sends one request and tells the head of its answer. Nothing of the body is read, and no redirect is followed.

use std::{fmt, io, sync::Arc, time::Duration};

use http::StatusCode;
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::requests::Request;
use crate::intent::policies::PolicyKind;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The status of an HTTP answer.
    Status(StatusCode),
    /// The TLS handshake was refused for want of a certificate.
    CertificateRequired,
    /// No answer, and why.
    None(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{}", status.as_u16()),
            Self::CertificateRequired => f.write_str("a TLS handshake that asks for a certificate"),
            Self::None(reason) => write!(f, "no answer ({reason})"),
        }
    }
}

impl Answer {
    /// Whether asking again would tell nothing else.
    pub(super) fn tells(&self) -> bool {
        self.is_success() || PolicyKind::ALL.iter().any(|kind| self.refuses(*kind))
    }

    pub(super) fn is_success(&self) -> bool {
        matches!(self, Self::Status(status) if status.is_success())
    }

    /// Whether it is the refusal that a kind must give to a request without credentials.
    pub(super) fn refuses(&self, kind: PolicyKind) -> bool {
        match (self, kind) {
            (Self::Status(status), PolicyKind::Jwt | PolicyKind::ApiKey | PolicyKind::BasicAuth) => {
                matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            // Some gateways take the handshake and answer it (NGINX: 400).
            (Self::Status(status), PolicyKind::ClientCertificate) => {
                matches!(*status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN)
            }
            (Self::CertificateRequired, PolicyKind::ClientCertificate) => true,
            _ => false,
        }
    }

    /// Whether a refusal may as well be that of another policy on the same rule.
    pub(super) fn may_be_of(&self, kind: PolicyKind) -> bool {
        let forbids =
            matches!(kind, PolicyKind::ExternalAuthorization | PolicyKind::IpAccess | PolicyKind::ClaimsAuthorization);
        match self {
            Self::Status(StatusCode::UNAUTHORIZED) if kind == PolicyKind::ExternalAuthorization => true,
            Self::Status(StatusCode::FORBIDDEN) if forbids => true,
            _ => self.refuses(kind),
        }
    }
}

/// Sends a request; whatever keeps it from an answer is the answer.
pub(super) async fn send(request: &Request, timeout: Duration) -> Answer {
    match tokio::time::timeout(timeout, exchange(request)).await {
        Ok(Ok(status)) => Answer::Status(status),
        Ok(Err(error)) if wants_certificate(error.as_ref()) => Answer::CertificateRequired,
        Ok(Err(error)) => Answer::None(innermost(error.as_ref())),
        Err(_) => Answer::None("in time".to_owned()),
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(request: &Request) -> Result<StatusCode, Error> {
    let stream = TcpStream::connect((request.address.as_str(), request.port)).await?;
    if !request.tls {
        return ask(request, stream).await;
    }
    let name = ServerName::try_from(request.host.clone())?;
    ask(request, TlsConnector::from(Arc::new(tls()?)).connect(name, stream).await?).await
}

async fn ask(
    request: &Request,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<StatusCode, Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut message = http::Request::builder()
        .method(request.method.as_str())
        .uri(request.path.as_str())
        .header("host", request.authority())
        .header("user-agent", "gateway-modules-probe");
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    let message = message.body(Empty::<Bytes>::new())?;
    // It ends with this function, and so with the head of the answer.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    match sender.send_request(message).await {
        Ok(answer) => Ok(answer.status()),
        // What has ended the connection says more than that it has ended.
        Err(error) if !wants_certificate(&error) => match driver.join_next().await {
            Some(Ok(Err(ended))) => Err(ended.into()),
            _ => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn wants_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let alert = |error: &rustls::Error| {
        matches!(
            error,
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                    | AlertDescription::HandshakeFailure
                    | AlertDescription::BadCertificate
            )
        )
    };
    chain(error).any(|error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some_and(alert)
    })
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyServer(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes the certificate of any server: nothing that is worth anything is sent to it, and what is looked at is only whether it
/// refuses. Gateways often have certificates of authorities that this machine does not know.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, server::WebPkiClientVerifier, version},
    };

    use super::*;

    fn request(port: u16, tls: bool) -> Request {
        Request {
            address: "127.0.0.1".to_owned(),
            port,
            tls,
            host: "a.example.com".to_owned(),
            method: "GET".to_owned(),
            path: "/v1?q=1".to_owned(),
            headers: vec![("version".to_owned(), "2".to_owned())],
        }
    }

    /// A gateway that asks every client for a certificate.
    fn asks_for_a_certificate(version: &'static SupportedProtocolVersion) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().unwrap_or_else(|error| panic!("{error}"));
        let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]);
        let own = params.and_then(|params| params.self_signed(&key)).unwrap_or_else(|error| panic!("{error}"));
        let key =
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap_or_else(|error| panic!("{error}"));
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap_or_else(|error| panic!("{error}"));
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let verifier = verifier.unwrap_or_else(|error| panic!("{error}"));
        let config =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).and_then(|builder| {
                builder.with_client_cert_verifier(verifier).with_single_cert(vec![own.der().clone()], key)
            });
        TlsAcceptor::from(Arc::new(config.unwrap_or_else(|error| panic!("{error}"))))
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        (listener, port)
    }

    #[tokio::test]
    async fn a_handshake_without_a_certificate_is_a_refusal() {
        for version in [&version::TLS12, &version::TLS13] {
            let (listener, port) = listener().await;
            let acceptor = asks_for_a_certificate(version);
            let server = async move {
                let (stream, _) = listener.accept().await.unwrap_or_else(|error| panic!("{error}"));
                assert!(acceptor.accept(stream).await.is_err(), "nobody has a certificate");
            };
            let sent = request(port, true);
            let (answer, ()) = tokio::join!(send(&sent, Duration::from_secs(10)), server);
            assert_eq!(answer, Answer::CertificateRequired, "{version:?}");
            assert!(answer.refuses(PolicyKind::ClientCertificate) && !answer.refuses(PolicyKind::Jwt));
        }
    }

    #[tokio::test]
    async fn the_head_of_an_answer_is_enough_and_silence_ends_in_time() {
        let (listener, port) = listener().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap_or_else(|error| panic!("{error}"));
            let mut text = vec![0; 1024];
            let length = stream.read(&mut text).await.unwrap_or_default();
            // A body that never ends.
            let head = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 1000000\r\n\r\n";
            stream.write_all(head).await.unwrap_or_else(|error| panic!("{error}"));
            (String::from_utf8_lossy(&text[..length]).into_owned(), stream)
        };
        let sent = request(port, false);
        let (answer, (text, stream)) = tokio::join!(send(&sent, Duration::from_secs(10)), server);
        assert_eq!(answer, Answer::Status(StatusCode::UNAUTHORIZED));
        assert!(text.starts_with("GET /v1?q=1 HTTP/1.1\r\n"), "{text}");
        assert!(text.contains(&format!("host: a.example.com:{port}\r\n")) && text.contains("version: 2\r\n"), "{text}");
        drop(stream);
        // It takes the connection and says nothing.
        let answer = send(&sent, Duration::from_millis(300)).await;
        assert_eq!(answer, Answer::None("in time".to_owned()));
        drop(listener);
        assert!(
            matches!(send(&sent, Duration::from_secs(10)).await, Answer::None(reason) if reason.contains("refused"))
        );
    }
}
