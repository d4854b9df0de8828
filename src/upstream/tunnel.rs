//! Ways to members for bytes that pass as they are.

use std::pin::Pin;
use std::sync::Arc;

use prometheus::IntGauge;
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::timeout;

use super::balance::{Aim, Places, choose};
use super::connections::Connections;
use super::pool::Upstream;
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
        let mut tried = Vec::new();
        let mut error = TunnelError::NoMember;
        while let Some(connections) = self.choose_for_tunnel(&tried) {
            tried.push(connections.endpoint.id);
            match self.connect(&connections).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(why) => {
                    let url = &connections.endpoint.address;
                    tracing::debug!(%url, why, "no tunnel");
                    error = TunnelError::Unreachable(format!("{url}: {why}"));
                    self.suspect();
                }
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

    async fn connect(&self, connections: &Connections) -> Result<Tunnel, String> {
        let address = &connections.endpoint.address;
        // Before anything is awaited, so that no verdict is missed and no two choose by the same count.
        let mut cut = Box::pin(connections.tunnels_cut());
        let counted = Counted::new(connections.metrics().tunnels.clone());
        let attempt = async {
            let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
            tune_to_member(&stream).map(|()| stream)
        };
        let limit = self.dialer.timeout.limit();
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
        let mut tunnel = Box::pin(upstream.tunnel());
        // It has chosen the first, and cannot be connected before this task gives way.
        poll_fn(|cx| Poll::Ready(assert!(tunnel.as_mut().poll(cx).is_pending()))).await;
        // Both are gone, and have been told.
        upstream.adopt(view(vec![member(2, Standing::Healthy)]));
        let tunnel = tunnel.await.unwrap();
        let Stream::Tcp(stream) = &tunnel.stream else { panic!("members are reached by TCP") };
        assert_eq!(stream.peer_addr().unwrap(), listeners[2].local_addr().unwrap());
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
