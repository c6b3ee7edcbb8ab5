//! Bytes come back as they are, on a connection (TCP) or as a datagram (UDP). To a client that speaks HTTP that is garbage.

use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 9000);

/// Echoes until clients end their connections.
pub(crate) async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind(ADDRESS).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut read, mut write) = stream.split();
            // A client that goes away is no event.
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
    }
}

/// Echoes each datagram.
pub(crate) async fn serve_datagrams() -> std::io::Result<()> {
    let socket = UdpSocket::bind(ADDRESS).await?;
    let mut datagram = vec![0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut datagram).await?;
        // A client that goes away is no event.
        let _ = socket.send_to(&datagram[..length], from).await;
    }
}
