//! Ways to members for bytes that pass as they are.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::futures::OwnedNotified;
use tokio::time::timeout;

use super::balance::{Aim, Places, choose};
use super::connections::Connections;
use super::metrics::Counted;
use super::pool::Upstream;
use crate::net::listener::leads_to;
use crate::net::socket::{Traffic, tune_to_member};
use crate::net::stream::Stream;
use crate::types::ids::EndpointId;

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
    #[error("{0} is a listener of this etcdlet")]
    Loop(String),
    #[error("no member may be used")]
    NoMember,
    #[error("no member is reachable: {0}")]
    Unreachable(String),
}

impl TunnelError {
    /// Label of the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Loop(_) => "loop",
            Self::NoMember => "no member",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl Upstream {
    /// Connects to the best member that can be connected to. Each is tried once; who has fewer tunnels
    /// is preferred to its equals. `own` are the listeners that end here: what comes back through one
    /// would be another client, and so on.
    pub async fn tunnel(&self, own: &[SocketAddr]) -> Result<Tunnel, TunnelError> {
        let mut tried = Vec::new();
        let mut error = TunnelError::NoMember;
        while let Some(connections) = self.choose_for_tunnel(&tried) {
            tried.push(connections.endpoint.id);
            error = match self.connect(&connections, own).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(error) => error,
            };
            tracing::debug!(%error, "no tunnel");
            if let TunnelError::Unreachable(_) = error {
                self.suspect();
            }
        }
        Err(error)
    }

    /// By the view of this moment: a verdict is told once, and who was not connected to then does not
    /// hear it.
    fn choose_for_tunnel(&self, tried: &[EndpointId]) -> Option<Arc<Connections>> {
        let routes = self.routes.load();
        let mut places = Places::default();
        for (place, known) in routes.connections.iter().enumerate() {
            if tried.contains(&known.endpoint.id) {
                places.insert(place);
            }
        }
        let load = |place: usize| routes.connections[place].tunnels().saturating_mul(TUNNEL_IN_CALLS);
        choose(&routes.view, Aim::Any, places, load).map(|place| routes.connections[place].clone())
    }

    async fn connect(&self, connections: &Connections, own: &[SocketAddr]) -> Result<Tunnel, TunnelError> {
        let address = &connections.endpoint.address;
        // Before anything is awaited, so that no verdict is missed and no two choose by the same count.
        let mut cut = Box::pin(connections.tunnels_cut());
        let counted = Counted::new(connections.metrics().tunnels.clone());
        let attempt = async {
            let found = lookup_host((address.host.as_str(), address.port)).await?;
            let (back, there): (Vec<_>, Vec<_>) = found.partition(|found| leads_to(*found, own));
            if there.is_empty() && !back.is_empty() {
                return Ok(None);
            }
            let stream = TcpStream::connect(there.as_slice()).await?;
            tune_to_member(&stream).map(|()| Some(stream))
        };
        let no_way = |why: &dyn fmt::Display| TunnelError::Unreachable(format!("{address}: {why}"));
        let limit = self.dialer.timeout.limit();
        let stream = tokio::select! {
            connected = timeout(limit, attempt) => match connected {
                Ok(Ok(Some(stream))) => stream,
                Ok(Ok(None)) => return Err(TunnelError::Loop(address.to_string())),
                failed => {
                    connections.metrics().connect_failures.inc();
                    return Err(match failed {
                        Ok(Err(error)) => no_way(&error),
                        _ => no_way(&format!("no connection within {limit:?}")),
                    });
                }
            },
            () = cut.as_mut() => return Err(no_way(&"the member has left rotation")),
        };
        Ok(Tunnel {
            stream: stream.into(),
            traffic: connections.metrics().traffic.clone(),
            cut,
            _counted: counted,
        })
    }
}

/// Makes each one count where members are compared: beside a few calls more or less a member is as
/// good as idle.
const TUNNEL_IN_CALLS: u32 = 16;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::{Duration, Instant};

    use tokio::net::TcpListener;
    use tokio::runtime::Handle;
    use tokio::sync::watch;

    use super::super::dial::{Dialer, Timeout};
    use super::super::health::Signals;
    use super::super::metrics::Families;
    use super::super::view::{Endpoint, Leader, Member, Source, Standing, Verdict, View};
    use super::super::vitals::Vitals;
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[tokio::test]
    async fn the_second_member_is_chosen_by_what_is_known_then() {
        let mut listeners = Vec::new();
        for _ in 0..3 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let member = |id: usize, standing| member(id, &listeners[id], standing);
        let upstream = upstream();
        upstream.adopt(view(vec![member(0, Standing::Healthy), member(1, Standing::Unproven)]));
        let mut tunnel = Box::pin(upstream.tunnel(&[]));
        // It has chosen the first, and cannot be connected before this task gives way.
        assert!(poll_fn(|cx| Poll::Ready(tunnel.as_mut().poll(cx).is_pending())).await);
        // Both are gone, and have been told.
        upstream.adopt(view(vec![member(2, Standing::Healthy)]));
        let tunnel = tunnel.await.unwrap();
        let Stream::Tcp(stream) = &tunnel.stream else { panic!("members are reached by TCP") };
        assert_eq!(stream.peer_addr().unwrap(), listeners[2].local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_member_that_is_our_own_listener_is_passed_over() {
        let (own, other) =
            (TcpListener::bind("0.0.0.0:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let upstream = upstream();
        let mut back = member(0, &own, Standing::Healthy);
        back.endpoint.address.host = "127.0.0.2".to_owned();
        let back = || back.clone();
        upstream.adopt(view(vec![back(), member(1, &other, Standing::Unproven)]));
        let listeners = [own.local_addr().unwrap()];
        let tunnel = upstream.tunnel(&listeners).await.unwrap();
        let Stream::Tcp(stream) = &tunnel.stream else { panic!("members are reached by TCP") };
        assert_eq!(stream.peer_addr().unwrap(), other.local_addr().unwrap());
        upstream.adopt(view(vec![back()]));
        assert!(matches!(upstream.tunnel(&listeners).await, Err(TunnelError::Loop(_))));
    }

    fn upstream() -> Upstream {
        let dialer = Dialer {
            control: Handle::current(),
            tls: None,
            timeout: Timeout::new(Duration::from_secs(3)),
            http_endpoints: Arc::default(),
        };
        let (_, publisher) = watch::channel(Arc::default());
        Upstream::new(dialer, Families::new(&Metrics::new()), Signals::default(), publisher)
    }

    fn view(members: Vec<Member>) -> Arc<View> {
        Arc::new(View { members, leader: Leader::Unknown, ..View::default() })
    }

    fn member(id: usize, listener: &TcpListener, standing: Standing) -> Member {
        let now = Instant::now();
        Member {
            endpoint: Endpoint {
                id: EndpointId(id as u32),
                address: format!("http://{}", listener.local_addr().unwrap()).parse().unwrap(),
                server_name: None,
                source: Source::Static,
                priority: 0,
                weight: 1,
            },
            name: None,
            standing,
            detail: String::new(),
            since: now,
            must_prove: false,
            report: None,
            vitals: Vitals::new(now),
            verdict: Verdict::Stay,
        }
    }
}
