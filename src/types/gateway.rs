//! What paths outside of gRPC mean: the JSON gateway's, each of which is an RPC, and those by which a
//! member tells of itself.
//!
//! Source: the `google.api.http` options of etcd 3.4 to 3.7 (`rpc.proto`, `v3lock.proto`,
//! `v3election.proto`), and the handlers of `server/embed/serve.go`.

use http::header::{CONNECTION, HeaderName, UPGRADE};
use http::request::Parts;
use http::{Method, Version};

use super::method::{self, Effect, Rpc, Shape, Target};

impl Rpc {
    /// The row of a request outside of gRPC.
    pub fn of_http(head: &Parts) -> &'static Self {
        match below_v3(head.uri.path()) {
            None if matches!(head.uri.path(), "/proxy/health" | "/proxy/metrics") => &OWN,
            Some(_) if is_websocket(head) => &WEBSOCKET,
            Some(path) if head.method == Method::POST => row_below_v3(path).unwrap_or(&GATEWAY),
            // RFC 9110, section 9.2.1. Of POST paths too: etcd answers with an error or, to OPTIONS,
            // with what browsers may do.
            _ if head.method.is_safe() => &INFO,
            _ => &HTTP,
        }
    }

    /// Whether it is a request in JSON.
    pub fn is_gateway(&'static self) -> bool {
        TABLE.as_ptr_range().contains(&std::ptr::from_ref(self)) || std::ptr::eq(self, &GATEWAY)
    }

    /// Whether it is outside of gRPC.
    pub fn is_http(&'static self) -> bool {
        !method::TABLE.as_ptr_range().contains(&std::ptr::from_ref(self))
            && !std::ptr::eq(self, &method::UNKNOWN)
    }

    /// Whether etcdlet answers it itself.
    pub fn is_own(&'static self) -> bool {
        std::ptr::eq(self, &OWN)
    }

    pub fn is_websocket(&'static self) -> bool {
        std::ptr::eq(self, &WEBSOCKET)
    }
}

/// The row of a path of the JSON gateway, however it is asked for.
pub fn row(path: &str) -> Option<&'static Rpc> {
    row_below_v3(below_v3(path)?)
}

fn row_below_v3(path: &str) -> Option<&'static Rpc> {
    let found = TABLE.binary_search_by(|row| row.path["/v3".len()..].cmp(path));
    found.ok().map(|found| &TABLE[found])
}

/// Whether a path is the JSON gateway's, so that answers to it are JSON.
pub fn is_gateway_path(path: &str) -> bool {
    below_v3(path).is_some()
}

/// What comes behind the version. Older releases have aliases of it.
fn below_v3(path: &str) -> Option<&str> {
    let mut below = ["/v3", "/v3beta", "/v3alpha"].iter().filter_map(|version| path.strip_prefix(version));
    below.find(|rest| rest.starts_with('/'))
}

/// As etcd's gateway recognises it (`IsWebSocketUpgrade` of gorilla/websocket).
fn is_websocket(head: &Parts) -> bool {
    let names = |header: HeaderName, token: &str| {
        let values = head.headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && names(CONNECTION, "upgrade")
        && names(UPGRADE, "websocket")
}

const fn plain(path: &'static str, shape: Shape, target: Target, effect: Effect) -> Rpc {
    Rpc { path, method: "", shape, target, effect, endless: false }
}

/// What changes nothing: health, version, metrics, and whatever else is asked for by GET.
pub static INFO: Rpc = plain("http", Shape::Unary, Target::Member, Effect::Read);

/// What is asked of etcdlet, as of etcd's grpc-proxy.
pub static OWN: Rpc = plain("http", Shape::Unary, Target::Any, Effect::Read);

/// Everything else.
pub static HTTP: Rpc = plain("http", Shape::Bidirectional, Target::Member, Effect::Mutation);

/// A call of the gateway that no etcd known here has: the strictest treatment.
pub static GATEWAY: Rpc = plain("http", Shape::Bidirectional, Target::Leader, Effect::Mutation);

/// A connection that becomes a stream of JSON. Nothing happens before it has become one, so that the
/// request may be made again until then.
pub static WEBSOCKET: Rpc =
    Rpc { endless: true, ..plain("websocket", Shape::Bidirectional, Target::Any, Effect::Read) };

/// `path` is treated as this RPC.
const fn at(path: &'static str, rpc: &str) -> Rpc {
    let mut row = 0;
    while row < method::TABLE.len() {
        let Rpc { path: method, shape, target, effect, endless, .. } = method::TABLE[row];
        if is_same(method.as_bytes(), rpc.as_bytes()) {
            return Rpc { path, method, shape, target, effect, endless };
        }
        row += 1;
    }
    panic!("no such RPC")
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Sorted by path.
#[rustfmt::skip]
pub static TABLE: [Rpc; 51] = [
    at("/v3/auth/authenticate", "/etcdserverpb.Auth/Authenticate"),
    at("/v3/auth/disable", "/etcdserverpb.Auth/AuthDisable"),
    at("/v3/auth/enable", "/etcdserverpb.Auth/AuthEnable"),
    at("/v3/auth/role/add", "/etcdserverpb.Auth/RoleAdd"),
    at("/v3/auth/role/delete", "/etcdserverpb.Auth/RoleDelete"),
    at("/v3/auth/role/get", "/etcdserverpb.Auth/RoleGet"),
    at("/v3/auth/role/grant", "/etcdserverpb.Auth/RoleGrantPermission"),
    at("/v3/auth/role/list", "/etcdserverpb.Auth/RoleList"),
    at("/v3/auth/role/revoke", "/etcdserverpb.Auth/RoleRevokePermission"),
    at("/v3/auth/status", "/etcdserverpb.Auth/AuthStatus"),
    at("/v3/auth/user/add", "/etcdserverpb.Auth/UserAdd"),
    at("/v3/auth/user/changepw", "/etcdserverpb.Auth/UserChangePassword"),
    at("/v3/auth/user/delete", "/etcdserverpb.Auth/UserDelete"),
    at("/v3/auth/user/get", "/etcdserverpb.Auth/UserGet"),
    at("/v3/auth/user/grant", "/etcdserverpb.Auth/UserGrantRole"),
    at("/v3/auth/user/list", "/etcdserverpb.Auth/UserList"),
    at("/v3/auth/user/revoke", "/etcdserverpb.Auth/UserRevokeRole"),
    at("/v3/cluster/member/add", "/etcdserverpb.Cluster/MemberAdd"),
    at("/v3/cluster/member/list", "/etcdserverpb.Cluster/MemberList"),
    at("/v3/cluster/member/promote", "/etcdserverpb.Cluster/MemberPromote"),
    at("/v3/cluster/member/remove", "/etcdserverpb.Cluster/MemberRemove"),
    at("/v3/cluster/member/update", "/etcdserverpb.Cluster/MemberUpdate"),
    at("/v3/election/campaign", "/v3electionpb.Election/Campaign"),
    at("/v3/election/leader", "/v3electionpb.Election/Leader"),
    at("/v3/election/observe", "/v3electionpb.Election/Observe"),
    at("/v3/election/proclaim", "/v3electionpb.Election/Proclaim"),
    at("/v3/election/resign", "/v3electionpb.Election/Resign"),
    at("/v3/kv/compaction", "/etcdserverpb.KV/Compact"),
    at("/v3/kv/deleterange", "/etcdserverpb.KV/DeleteRange"),
    at("/v3/kv/lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    at("/v3/kv/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    at("/v3/kv/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    at("/v3/kv/put", "/etcdserverpb.KV/Put"),
    at("/v3/kv/range", "/etcdserverpb.KV/Range"),
    at("/v3/kv/txn", "/etcdserverpb.KV/Txn"),
    at("/v3/lease/grant", "/etcdserverpb.Lease/LeaseGrant"),
    // A lease may be renewed twice, and clients of the gateway ask for one renewal a request.
    Rpc { effect: Effect::Read, ..at("/v3/lease/keepalive", "/etcdserverpb.Lease/LeaseKeepAlive") },
    at("/v3/lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    at("/v3/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    at("/v3/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    at("/v3/lock/lock", "/v3lockpb.Lock/Lock"),
    at("/v3/lock/unlock", "/v3lockpb.Lock/Unlock"),
    at("/v3/maintenance/alarm", "/etcdserverpb.Maintenance/Alarm"),
    at("/v3/maintenance/defragment", "/etcdserverpb.Maintenance/Defragment"),
    at("/v3/maintenance/downgrade", "/etcdserverpb.Maintenance/Downgrade"),
    at("/v3/maintenance/hash", "/etcdserverpb.Maintenance/Hash"),
    at("/v3/maintenance/hashkv", "/etcdserverpb.Maintenance/HashKV"),
    at("/v3/maintenance/snapshot", "/etcdserverpb.Maintenance/Snapshot"),
    at("/v3/maintenance/status", "/etcdserverpb.Maintenance/Status"),
    at("/v3/maintenance/transfer-leadership", "/etcdserverpb.Maintenance/MoveLeader"),
    at("/v3/watch", "/etcdserverpb.Watch/Watch"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn row(method: &str, path: &str, headers: &[(&str, &str)]) -> &'static Rpc {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Rpc::of_http(&request.body(()).unwrap().into_parts().0)
    }

    fn post(path: &str) -> &'static Rpc {
        row("POST", path, &[])
    }

    #[test]
    fn the_table_is_sorted_and_every_row_finds_itself() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].path < pair[1].path, "{} >= {}", pair[0].path, pair[1].path);
        }
        for row in &TABLE {
            assert!(std::ptr::eq(post(row.path), row), "{}", row.path);
            assert_eq!(super::row(row.path), Some(row));
            for version in ["/v3beta", "/v3alpha"] {
                assert!(std::ptr::eq(post(&row.path.replace("/v3", version)), row), "{}", row.path);
            }
            assert!(row.is_gateway());
            assert_ne!(Rpc::of(row.method), &method::UNKNOWN);
        }
    }

    #[test]
    fn every_rpc_but_the_newest_and_grpc_s_own_has_a_path() {
        let named = |rpc: &Rpc| {
            let name = rpc.path.rsplit('/').next().unwrap();
            !rpc.path.starts_with("/grpc.") && name != "RangeStream"
        };
        // Three of the leases' have two.
        assert_eq!(method::TABLE.iter().filter(|rpc| named(rpc)).count() + 3, TABLE.len());
    }

    #[test]
    fn a_path_is_treated_as_its_rpc() {
        let of = |path: &str| {
            let Rpc { shape, target, effect, endless, .. } = *post(path);
            (shape, target, effect, endless)
        };
        assert_eq!(of("/v3/kv/range"), (Shape::Unary, Target::Peek, Effect::Read, false));
        assert_eq!(of("/v3/kv/put"), (Shape::Unary, Target::Leader, Effect::Mutation, false));
        assert_eq!(of("/v3/watch"), (Shape::Bidirectional, Target::Any, Effect::Read, true));
        assert_eq!(of("/v3/lease/keepalive"), (Shape::Bidirectional, Target::Leader, Effect::Read, true));
        assert_eq!(of("/v3/kv/tomorrow"), (Shape::Bidirectional, Target::Leader, Effect::Mutation, false));
    }

    #[test]
    fn other_methods_and_paths_are_not_the_gateway_s() {
        for (method, path) in [
            ("GET", "/health"),
            ("HEAD", "/version"),
            ("GET", "/v3/kv/put"),
            ("OPTIONS", "/v3/kv/put"),
            ("GET", "/v3x/kv/put"),
        ] {
            assert!(std::ptr::eq(row(method, path, &[]), &INFO), "{method} {path}");
        }
        for (method, path) in [("POST", "/version"), ("DELETE", "/v3/kv/put"), ("POST", "/v3x/kv/put")] {
            assert!(std::ptr::eq(row(method, path, &[]), &HTTP), "{method} {path}");
        }
        assert!(is_gateway_path("/v3beta/kv/put") && !is_gateway_path("/v3") && !is_gateway_path("/health"));
    }

    #[test]
    fn an_upgrade_to_websocket_is_one_on_the_gateway_s_paths_only() {
        let asked = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")];
        assert!(row("GET", "/v3/watch", &asked).is_websocket());
        assert!(!row("GET", "/health", &asked).is_websocket());
        assert!(!row("GET", "/v3/watch", &asked[1..]).is_websocket());
        assert!(!row("GET", "/v3/watch", &[asked[0], ("Upgrade", "h2c")]).is_websocket());
    }
}
