use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::client::{Caller, Connection, Method};
use super::tally::Tally;

/// Callers that each send their next call when the last is answered.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) method: Method,
    /// To each address.
    pub(crate) connections: usize,
    pub(crate) in_flight_per_connection: usize,
    /// Calls in one turn of a contender, all connections together.
    pub(crate) calls: u64,
    /// Used in turn.
    pub(crate) bodies: Vec<Bytes>,
    pub(crate) reply_bytes_min: usize,
}

/// The open connections of a plan.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Held because dropping one closes it.
    _connections: Vec<Connection>,
    /// Of each slot, one for each address.
    callers: Vec<Vec<Caller>>,
    bodies: Arc<[Bytes]>,
    reply_bytes_min: usize,
}

impl Pool {
    /// With several addresses, each call goes to the next one, as etcd's own client does it.
    pub(crate) async fn open(addresses: &[SocketAddr], plan: &Plan) -> std::io::Result<Self> {
        let mut connections = Vec::new();
        let mut callers = Vec::new();
        for _ in 0..plan.connections {
            let mut slot = Vec::new();
            for address in addresses {
                let connection = Connection::open(*address).await.map_err(std::io::Error::other)?;
                slot.push(connection.caller(plan.method));
                connections.push(connection);
            }
            callers.extend(std::iter::repeat_n(slot, plan.in_flight_per_connection));
        }
        Ok(Self {
            _connections: connections,
            callers,
            bodies: plan.bodies.clone().into(),
            reply_bytes_min: plan.reply_bytes_min,
        })
    }

    pub(crate) async fn run(&self, calls: u64) -> Tally {
        let next = Arc::new(AtomicU64::new(0));
        let mut loops = JoinSet::new();
        let start = Instant::now();
        for slot in &self.callers {
            let (slot, next, bodies) = (slot.clone(), Arc::clone(&next), Arc::clone(&self.bodies));
            let reply_bytes_min = self.reply_bytes_min;
            loops.spawn(async move { call_until(slot, calls, &next, &bodies, reply_bytes_min).await });
        }
        let mut tally = Tally::default();
        for part in loops.join_all().await {
            tally.absorb(part);
        }
        tally.elapsed = start.elapsed();
        tally
    }
}

/// Numbers are claimed from `next`, so that a slow connection makes fewer calls instead of a long tail.
async fn call_until(
    mut slot: Vec<Caller>,
    calls: u64,
    next: &AtomicU64,
    bodies: &[Bytes],
    reply_bytes_min: usize,
) -> Tally {
    let mut tally = Tally::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= calls {
            return tally;
        }
        let body = bodies[number as usize % bodies.len()].clone();
        let turn = number as usize % slot.len();
        let start = Instant::now();
        let outcome = slot[turn].unary(body, reply_bytes_min).await;
        tally.add(start.elapsed(), outcome);
    }
}
