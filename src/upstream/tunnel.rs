//! Ways to members for bytes that pass as they are.

use std::pin::Pin;

use prometheus::IntGauge;
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::timeout;

use super::balance::{Aim, Places, choose};
use super::connections::Connections;
use super::pool::Upstream;
use crate::net::socket::{Traffic, tune_to_member};
use crate::net::stream::Stream;

/// An open connection to a member.
pub struct Tunnel {
    pub stream: Stream,
    pub traffic: Traffic,
    /// Ends when the member cannot answer any longer, as its streams end.
    pub cut: Pin<Box<OwnedNotified>>,
    _counted: Counted,
}

#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error("no member may be used")]
    NoMember,
    #[error("no member is reachable: {0}")]
    Unreachable(String),
}

impl TunnelError {
    /// Label of the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoMember => "no member",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl Upstream {
    /// Connects to the best member that can be connected to. Each is tried once; who has fewer tunnels
    /// is preferred to its equals.
    pub async fn tunnel(&self) -> Result<Tunnel, TunnelError> {
        let routes = self.routes.load_full();
        let mut tried = Places::default();
        let mut error = TunnelError::NoMember;
        let load = |place: usize| routes.connections[place].tunnels().saturating_mul(TUNNEL_IN_CALLS);
        while let Some(place) = choose(&routes.view, Aim::Any, tried, load) {
            tried.insert(place);
            match self.connect(&routes.connections[place]).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(why) => {
                    let url = &routes.connections[place].endpoint.address;
                    tracing::debug!(%url, why, "no tunnel");
                    error = TunnelError::Unreachable(format!("{url}: {why}"));
                    self.suspect();
                }
            }
        }
        Err(error)
    }

    async fn connect(&self, connections: &Connections) -> Result<Tunnel, String> {
        let address = &connections.endpoint.address;
        // Before anything is awaited, so that no verdict is missed and no two choose by the same count.
        let mut cut = Box::pin(connections.tunnels_cut());
        let counted = Counted::new(connections.metrics().tunnels.clone());
        let attempt = async {
            let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
            tune_to_member(&stream).map(|()| stream)
        };
        let limit = self.dialer.timeout;
        let stream = tokio::select! {
            connected = timeout(limit, attempt) => match connected {
                Ok(Ok(stream)) => stream,
                failed => {
                    connections.metrics().connect_failures.inc();
                    return Err(match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => format!("no connection within {limit:?}"),
                    });
                }
            },
            () = cut.as_mut() => return Err("the member has left rotation".to_owned()),
        };
        Ok(Tunnel {
            stream: stream.into(),
            traffic: connections.metrics().traffic.clone(),
            cut,
            _counted: counted,
        })
    }
}

/// One in the gauge of its member.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Makes each one count where members are compared: beside a few calls more or less a member is as
/// good as idle.
const TUNNEL_IN_CALLS: u32 = 16;
