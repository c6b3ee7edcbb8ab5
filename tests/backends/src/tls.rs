//! The encrypted port, for who has a certificate in `/tls` (a mounted Secret of type `kubernetes.io/tls`).

use std::{net::SocketAddr, sync::Arc};

use hyper::{Request, body::Incoming};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::Answer;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8443);

/// The server name that the client has asked for.
#[derive(Clone)]
pub(crate) struct ServerName(pub(crate) String);

/// HTTP/1.1 and HTTP/2 over TLS; never ends where there is no certificate.
pub(crate) async fn serve<F, A>(answer: F) -> std::io::Result<()>
where
    F: Fn(Request<Incoming>) -> A + Copy + Send + 'static,
    A: Future<Output = std::io::Result<Answer>> + Send + 'static,
{
    let (Ok(certificate), Ok(key)) = (std::fs::read("/tls/tls.crt"), std::fs::read("/tls/tls.key")) else {
        return std::future::pending().await;
    };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&certificate).collect::<Result<_, _>>().map_err(std::io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(std::io::Error::other)?;
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(std::io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(ADDRESS).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let name = ServerName(stream.get_ref().1.server_name().unwrap_or_default().to_owned());
            let named = move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(name.clone());
                answer(request)
            };
            crate::connection(stream, named).await;
        });
    }
}
