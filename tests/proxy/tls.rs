//! TLS on both sides, and whose calls they are behind a client certificate with a name.

mod anonymous;
mod automatic;
mod clients;
mod crowd;
mod identity;
mod inherit;
mod listener;
mod reload;
mod upstream;
mod versions;

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::certs::{Certs, Pair};
use crate::support::sidecar::Sidecar;

/// `{cacert: …, cert: …, key: …}`, for `upstream.tls`.
fn upstream_tls(certs: &Certs, show: &Pair) -> String {
    let path = |path: &Path| path.display().to_string();
    format!("{{cacert: '{}', cert: '{}', key: '{}'}}", path(&certs.ca()), path(&show.cert), path(&show.key))
}

/// A plain listener in front of a cluster that demands certificates, to which `show` is shown.
fn showing(certs: &Certs, show: &Pair, endpoint: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{endpoint}'], tls: {}}}
admin: {{url: 'http://{{admin}}'}}
",
        upstream_tls(certs, show)
    ))
}

/// A listener of TLS with these keys beside its certificate, in front of a plain endpoint.
fn listening(pair: &Pair, tls: &str, endpoint: &str) -> Sidecar {
    let Pair { cert, key } = pair;
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'https://{{listen}}', tls: {{cert-file: '{}', key-file: '{}', {tls}}}}}]
upstream: {{endpoints: ['{endpoint}']}}
admin: {{url: 'http://{{admin}}'}}
",
        cert.display(),
        key.display()
    ))
}

async fn shake_hands(sidecar: &Sidecar, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(sidecar.addr()).await?;
    let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
    tokio_rustls::TlsConnector::from(config).connect(name, stream).await
}

/// Asks for something. In TLS 1.3 only the answer shows whether a client's certificate is accepted.
async fn ask(sidecar: &Sidecar, config: Arc<ClientConfig>) -> io::Result<()> {
    let mut session = shake_hands(sidecar, config).await?;
    session.write_all(b"GET /version HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    session.read_to_end(&mut answer).await?;
    let status = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(status), "HTTP/1.1 200 OK");
    Ok(())
}

/// The certificate that the listener shows.
async fn shown(sidecar: &Sidecar, config: Arc<ClientConfig>) -> CertificateDer<'static> {
    let session = shake_hands(sidecar, config).await.expect("it shakes hands");
    session.get_ref().1.peer_certificates().expect("a server shows one")[0].clone().into_owned()
}

/// How many handshakes have failed for this reason.
fn failed(reason: &str) -> String {
    format!("etcdlet_tls_handshake_failures_total{{reason=\"{reason}\"}}")
}
