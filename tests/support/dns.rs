//! A name server that says what a test tells it, over UDP only.
//!
//! Just enough of RFC 1035 is written by hand that what it sends owes nothing to the code under test.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

/// A scripted name server, authoritative for everything; names that it was not told are denied.
pub(crate) struct DnsServer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    thread: Option<JoinHandle<()>>,
}

/// What it does with each query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Answer,
    /// The answer breaks off in the middle of a record.
    Cut,
    /// SERVFAIL.
    Fail,
    /// Records that are none behind a header that is right.
    Garbage,
    Silent,
    /// Only that the answer is too long for UDP; over TCP nobody listens.
    TooLong,
}

#[derive(Default)]
struct Script {
    /// By name and type.
    records: HashMap<(String, u16), Records>,
    manner: Manner,
    /// Names about which it fails whatever its manner.
    failing: Vec<String>,
    asked: Vec<String>,
    stopped: bool,
}

/// The data of each, in wire format.
struct Records {
    data: Vec<Vec<u8>>,
    ttl: u32,
}

impl DnsServer {
    pub(crate) fn start() -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into())
    }

    pub(crate) fn start_on(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = socket.local_addr().expect("a socket has an address");
        let script = Arc::new(Mutex::new(Script::default()));
        let served = script.clone();
        let thread = thread::spawn(move || serve(&socket, &served));
        Self { address, script, thread: Some(thread) }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set_a(&self, name: &str, addresses: &[Ipv4Addr], ttl: u32) {
        self.set(name, A, addresses.iter().map(|it| it.octets().to_vec()).collect(), ttl);
    }

    pub(crate) fn set_aaaa(&self, name: &str, addresses: &[Ipv6Addr], ttl: u32) {
        self.set(name, AAAA, addresses.iter().map(|it| it.octets().to_vec()).collect(), ttl);
    }

    pub(crate) fn set_cname(&self, name: &str, target: &str, ttl: u32) {
        self.set(name, CNAME, vec![encoded(target)], ttl);
    }

    /// Each service is priority, weight, port and target.
    pub(crate) fn set_srv(&self, name: &str, services: &[(u16, u16, u16, &str)], ttl: u32) {
        let record = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
            let numbers = [priority, weight, port].into_iter().flat_map(|number| number.to_be_bytes());
            numbers.chain(encoded(target)).collect()
        };
        self.set(name, SRV, services.iter().map(record).collect(), ttl);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.script().records.retain(|(known, _), _| known != name);
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.script().manner = manner;
    }

    pub(crate) fn fail(&self, fail: bool) {
        self.behave(if fail { Manner::Fail } else { Manner::Answer });
    }

    /// About this name alone, from now on.
    pub(crate) fn fail_about(&self, name: &str) {
        self.script().failing.push(name.to_owned());
    }

    pub(crate) fn silent(&self, silent: bool) {
        self.behave(if silent { Manner::Silent } else { Manner::Answer });
    }

    /// Queries that reached it so far, repeated ones too.
    pub(crate) fn queries(&self) -> usize {
        self.script().asked.len()
    }

    /// Those for this name.
    pub(crate) fn queries_for(&self, name: &str) -> usize {
        self.script().asked.iter().filter(|asked| *asked == name).count()
    }

    fn set(&self, name: &str, kind: u16, data: Vec<Vec<u8>>, ttl: u32) {
        self.script().records.insert((name.to_owned(), kind), Records { data, ttl });
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("nothing panics under this lock")
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.script().stopped = true;
        // Wakes it up; a query that comes first does as well.
        let waker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        waker.send_to(&[], self.address).expect("a datagram can be sent to this host");
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Script {
    /// The whole response to a query, if there is to be one.
    fn response(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, kind, end) = question(query)?;
        self.asked.push(name.clone());
        let records = self.answers(&name, kind);
        let denied = !self.records.keys().any(|(known, _)| *known == name);
        let manner = if self.failing.contains(&name) { Manner::Fail } else { self.manner };
        let (code, too_long) = match manner {
            Manner::Silent => return None,
            Manner::Fail => (2, 0),
            Manner::TooLong => (0, 0x02),
            _ if denied => (3, 0),
            Manner::Answer | Manner::Cut | Manner::Garbage => (0, 0),
        };
        let answering = !matches!(manner, Manner::Fail | Manner::TooLong);
        let count = if answering { u16::try_from(records.len()).expect("few records") } else { 0 };
        let mut response = query[..2].to_vec();
        // Of the flags, it is a response and authoritative, and recursion is available.
        response.extend([0x85 | too_long, 0x80 | code, 0, 1]);
        response.extend(count.to_be_bytes());
        response.extend([0, 0, 0, 0]);
        response.extend(&query[HEADER..end]);
        match manner {
            Manner::Garbage => response.extend([0xff; 40]),
            _ if answering => response.extend(records.concat()),
            _ => {}
        }
        if manner == Manner::Cut {
            response.truncate(response.len() - 3);
        }
        Some(response)
    }

    /// Records in wire format, those of a CNAME's target behind the CNAME.
    fn answers(&self, name: &str, kind: u16) -> Vec<Vec<u8>> {
        let of_kind = |kind: u16| {
            let Records { data, ttl } = self.records.get(&(name.to_owned(), kind))?;
            Some(data.iter().map(|data| record(name, kind, *ttl, data)).collect::<Vec<_>>())
        };
        let mut answers = of_kind(kind).unwrap_or_default();
        if let Some(Records { data, .. }) = self.records.get(&(name.to_owned(), CNAME)) {
            answers.extend(of_kind(CNAME).unwrap_or_default());
            let (target, _) = decoded(&data[0], 0).expect("it was encoded here");
            answers.extend(self.answers(&target, kind));
        }
        answers
    }
}

fn serve(socket: &UdpSocket, script: &Mutex<Script>) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let mut script = script.lock().expect("nothing panics under this lock");
        if script.stopped {
            return;
        }
        if let Some(response) = script.response(&buffer[..length]) {
            // Who asked may be gone.
            drop(socket.send_to(&response, from));
        }
    }
}

/// Name and type that are asked for, and where the question ends.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (name, at) = decoded(query, HEADER)?;
    let kind = query.get(at..at + 2)?.try_into().map(u16::from_be_bytes).ok()?;
    Some((name, kind, at + 4))
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = encoded(name);
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    record.extend(u16::try_from(data.len()).expect("a short record").to_be_bytes());
    record.extend(data);
    record
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels
        .flat_map(|label| [&[u8::try_from(label.len()).expect("a short label")], label.as_bytes()].concat())
        .collect();
    bytes.push(0);
    bytes
}

/// The name at `at`, in small letters and without compression, and where it ends.
fn decoded(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(bytes.get(at..at + length)?).to_lowercase());
        at += length;
    }
}

const HEADER: usize = 12;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const SRV: u16 = 33;
