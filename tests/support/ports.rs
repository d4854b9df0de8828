//! Free loopback ports.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex};

/// A port that nothing listens on and that this test binary hands out only once.
///
/// From below the range of outgoing connections, so that no connection takes the port of a server that a test
/// has stopped and means to start again. Another process may still win it: callers start again with others then.
pub(crate) fn free_port() -> u16 {
    let mut given = GIVEN.lock().expect("nothing panics under this lock");
    for _ in 0..1000 {
        let port = fastrand::u16(12_000..32_000);
        if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            return port;
        }
    }
    panic!("no free loopback port");
}

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// How often a fixture tries other ports, and what a server's log says (in small letters) when it lost one.
pub(crate) const PORT_ATTEMPTS: usize = 5;
pub(crate) const PORT_LOST: &str = "address already in use";
