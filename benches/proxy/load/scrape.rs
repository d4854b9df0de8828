use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A metric without labels, from where a program serves its own. With HTTP/1.0, whose replies are whole.
pub(crate) async fn scrape(address: SocketAddr, name: &str) -> io::Result<f64> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).await?;
    let reply = String::from_utf8_lossy(&reply);
    let value =
        reply.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{address} tells no {name}")))
}
