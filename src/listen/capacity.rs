//! How many connections there may be: of all listeners, of each, of each client.
//!
//! What is over a limit when that is lowered stays; nobody new comes in until it is below again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::config::Limits;
use crate::types::client::Peer;

/// Of all listeners, on whichever threads.
pub struct Capacity {
    limits: ArcSwap<Limits>,
    open: AtomicUsize,
    peers: Mutex<HashMap<Origin, usize>>,
}

/// Of one listener. Cheap to clone.
#[derive(Clone)]
pub struct Entrance(Arc<Inner>);

struct Inner {
    capacity: Arc<Capacity>,
    limit: AtomicUsize,
    open: AtomicUsize,
}

/// The place of one connection, free again when it is dropped.
pub struct Slot {
    entrance: Entrance,
    origin: Option<Origin>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    All,
    Listener,
    Peer,
}

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Ip(IpAddr),
    User(u32),
}

impl Capacity {
    pub fn new(limits: Limits) -> Arc<Self> {
        let limits = ArcSwap::from_pointee(limits);
        Arc::new(Self { limits, open: AtomicUsize::new(0), peers: Mutex::default() })
    }

    /// For the next connection.
    pub fn limits(&self) -> Arc<Limits> {
        self.limits.load_full()
    }

    /// What is open keeps the limits of HTTP that it has.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }
}

impl Entrance {
    pub fn new(capacity: Arc<Capacity>, connections: Option<usize>) -> Self {
        let entrance =
            Self(Arc::new(Inner { capacity, limit: AtomicUsize::new(0), open: AtomicUsize::new(0) }));
        entrance.set_limit(connections);
        entrance
    }

    pub fn set_limit(&self, connections: Option<usize>) {
        self.0.limit.store(connections.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    pub fn admit(&self, peer: &Peer) -> Result<Slot, Full> {
        let Inner { capacity, limit, open } = &*self.0;
        let limits = capacity.limits.load();
        let mut slot = Slot { entrance: self.clone(), origin: None };
        // Counted first, so that no two threads take the last place; what is over goes with the slot.
        let all = capacity.open.fetch_add(1, Ordering::Relaxed);
        let own = open.fetch_add(1, Ordering::Relaxed);
        if all >= limits.connections {
            return Err(Full::All);
        }
        if own >= limit.load(Ordering::Relaxed) {
            return Err(Full::Listener);
        }
        let Some(origin) = Origin::of(peer) else { return Ok(slot) };
        let mut peers = capacity.peers.lock().expect("nobody panics while counting peers");
        let count = peers.entry(origin).or_default();
        if limits.connections_per_peer.is_some_and(|limit| *count >= limit) {
            drop(peers);
            return Err(Full::Peer);
        }
        *count += 1;
        slot.origin = Some(origin);
        Ok(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Inner { capacity, open, .. } = &*self.entrance.0;
        capacity.open.fetch_sub(1, Ordering::Relaxed);
        open.fetch_sub(1, Ordering::Relaxed);
        let Some(origin) = self.origin else { return };
        let mut peers = capacity.peers.lock().expect("nobody panics while counting peers");
        if let Some(count) = peers.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&origin);
            }
        }
    }
}

impl Full {
    /// Label of the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::All => "limit",
            Self::Listener => "listener limit",
            Self::Peer => "peer limit",
        }
    }
}

impl Origin {
    fn of(peer: &Peer) -> Option<Self> {
        match peer {
            Peer::Ip(address) => Some(Self::Ip(address.ip().to_canonical())),
            Peer::Own => None,
            Peer::Unix { uid, .. } => Some(Self::User(*uid)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Duration;

    pub fn limits(connections: usize, per_peer: Option<usize>) -> Limits {
        Limits {
            connections,
            connections_per_peer: per_peer,
            streams_per_connection: 1,
            header_list: 1,
            handshake_timeout: Duration::ZERO,
            header_timeout: Duration::ZERO,
            http1_idle_timeout: Duration::ZERO,
            h2_idle_timeout: None,
            keepalive_min_time: Duration::ZERO,
            keepalive_interval: Duration::ZERO,
            keepalive_timeout: Duration::ZERO,
        }
    }

    fn ip(text: &str) -> Peer {
        Peer::Ip(text.parse().unwrap())
    }

    #[test]
    fn each_limit_holds_and_a_place_that_is_left_is_free_again() {
        let capacity = Capacity::new(limits(3, Some(2)));
        let (one, other) = (Entrance::new(capacity.clone(), Some(2)), Entrance::new(capacity, None));
        let first = one.admit(&ip("10.0.0.1:1")).unwrap();
        let _second = one.admit(&ip("10.0.0.1:2")).unwrap();
        assert_eq!(one.admit(&ip("10.0.0.2:1")).err(), Some(Full::Listener));
        assert_eq!(other.admit(&ip("[::ffff:10.0.0.1]:3")).err(), Some(Full::Peer));
        let _third = other.admit(&Peer::Unix { uid: 1, pid: None }).unwrap();
        assert_eq!(other.admit(&ip("10.0.0.3:1")).err(), Some(Full::All));
        drop(first);
        assert!(one.admit(&ip("10.0.0.1:4")).is_ok());
    }

    #[test]
    fn limits_shrink_and_grow_while_connections_are_open() {
        let capacity = Capacity::new(limits(2, None));
        let entrance = Entrance::new(capacity.clone(), None);
        let peer = ip("10.0.0.1:1");
        let (one, two) = (entrance.admit(&peer).unwrap(), entrance.admit(&peer).unwrap());
        capacity.set_limits(limits(1, None));
        drop(one);
        assert_eq!(entrance.admit(&peer).err(), Some(Full::All));
        drop(two);
        let _one = entrance.admit(&peer).unwrap();
        capacity.set_limits(limits(9, Some(1)));
        assert_eq!(entrance.admit(&peer).err(), Some(Full::Peer));
        entrance.set_limit(Some(1));
        assert_eq!(entrance.admit(&peer).err(), Some(Full::Listener));
    }

    #[test]
    fn nothing_is_kept_of_clients_that_have_gone() {
        let capacity = Capacity::new(limits(9, Some(1)));
        let entrance = Entrance::new(capacity.clone(), None);
        for user in 0..3 {
            let peer = Peer::Unix { uid: user, pid: None };
            let _slot = entrance.admit(&peer).unwrap();
            assert!(entrance.admit(&peer).is_err());
        }
        assert!(capacity.peers.lock().unwrap().is_empty());
        assert_eq!(capacity.open.load(Ordering::Relaxed), 0);
    }
}
