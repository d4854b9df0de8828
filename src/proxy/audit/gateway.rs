//! The JSON gateway: which RPC a path is, and what an answer says.

use serde_json::Value;

/// The gRPC method behind a path of the gateway, as the options in etcd's `rpc.proto`,
/// `v3lock.proto` and `v3election.proto` have it.
pub(super) fn method(path: &str) -> Option<&'static str> {
    let versions = ["/v3/", "/v3beta/", "/v3alpha/"];
    let inner = versions.iter().find_map(|version| path.strip_prefix(version))?;
    PATHS.iter().find(|(known, _)| *known == inner).map(|(_, method)| *method)
}

/// The text of an error. One about the request's form is left out: it may quote the request, and so
/// a value.
pub(super) fn error(body: &[u8]) -> Option<String> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let text = match &json {
        Some(json) => json.get("message").or_else(|| json.get("error"))?.as_str()?,
        // Our own are plain text.
        None => std::str::from_utf8(body).ok()?.trim_end(),
    };
    ["etcdserver: ", "etcdlet: "].iter().any(|from| text.starts_with(from)).then(|| text.to_owned())
}

#[rustfmt::skip]
const PATHS: [(&str, &str); 51] = [
    ("kv/range", "/etcdserverpb.KV/Range"),
    ("kv/put", "/etcdserverpb.KV/Put"),
    ("kv/deleterange", "/etcdserverpb.KV/DeleteRange"),
    ("kv/txn", "/etcdserverpb.KV/Txn"),
    ("kv/compaction", "/etcdserverpb.KV/Compact"),
    ("watch", "/etcdserverpb.Watch/Watch"),
    ("lease/grant", "/etcdserverpb.Lease/LeaseGrant"),
    ("lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    ("lease/keepalive", "/etcdserverpb.Lease/LeaseKeepAlive"),
    ("lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    ("lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    ("kv/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    ("kv/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    ("kv/lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    ("cluster/member/add", "/etcdserverpb.Cluster/MemberAdd"),
    ("cluster/member/remove", "/etcdserverpb.Cluster/MemberRemove"),
    ("cluster/member/update", "/etcdserverpb.Cluster/MemberUpdate"),
    ("cluster/member/list", "/etcdserverpb.Cluster/MemberList"),
    ("cluster/member/promote", "/etcdserverpb.Cluster/MemberPromote"),
    ("maintenance/alarm", "/etcdserverpb.Maintenance/Alarm"),
    ("maintenance/status", "/etcdserverpb.Maintenance/Status"),
    ("maintenance/defragment", "/etcdserverpb.Maintenance/Defragment"),
    ("maintenance/hash", "/etcdserverpb.Maintenance/Hash"),
    ("maintenance/hashkv", "/etcdserverpb.Maintenance/HashKV"),
    ("maintenance/snapshot", "/etcdserverpb.Maintenance/Snapshot"),
    ("maintenance/transfer-leadership", "/etcdserverpb.Maintenance/MoveLeader"),
    ("maintenance/downgrade", "/etcdserverpb.Maintenance/Downgrade"),
    ("auth/enable", "/etcdserverpb.Auth/AuthEnable"),
    ("auth/disable", "/etcdserverpb.Auth/AuthDisable"),
    ("auth/status", "/etcdserverpb.Auth/AuthStatus"),
    ("auth/authenticate", "/etcdserverpb.Auth/Authenticate"),
    ("auth/user/add", "/etcdserverpb.Auth/UserAdd"),
    ("auth/user/get", "/etcdserverpb.Auth/UserGet"),
    ("auth/user/list", "/etcdserverpb.Auth/UserList"),
    ("auth/user/delete", "/etcdserverpb.Auth/UserDelete"),
    ("auth/user/changepw", "/etcdserverpb.Auth/UserChangePassword"),
    ("auth/user/grant", "/etcdserverpb.Auth/UserGrantRole"),
    ("auth/user/revoke", "/etcdserverpb.Auth/UserRevokeRole"),
    ("auth/role/add", "/etcdserverpb.Auth/RoleAdd"),
    ("auth/role/get", "/etcdserverpb.Auth/RoleGet"),
    ("auth/role/list", "/etcdserverpb.Auth/RoleList"),
    ("auth/role/delete", "/etcdserverpb.Auth/RoleDelete"),
    ("auth/role/grant", "/etcdserverpb.Auth/RoleGrantPermission"),
    ("auth/role/revoke", "/etcdserverpb.Auth/RoleRevokePermission"),
    ("lock/lock", "/v3lockpb.Lock/Lock"),
    ("lock/unlock", "/v3lockpb.Lock/Unlock"),
    ("election/campaign", "/v3electionpb.Election/Campaign"),
    ("election/proclaim", "/v3electionpb.Election/Proclaim"),
    ("election/leader", "/v3electionpb.Election/Leader"),
    ("election/observe", "/v3electionpb.Election/Observe"),
    ("election/resign", "/v3electionpb.Election/Resign"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::method::{Rpc, UNKNOWN};

    #[test]
    fn every_path_is_a_known_method_in_each_version_of_the_gateway() {
        for (path, expected) in PATHS {
            for version in ["v3", "v3beta", "v3alpha"] {
                assert_eq!(method(&format!("/{version}/{path}")), Some(expected));
            }
            assert_ne!(Rpc::of(expected), &UNKNOWN, "{expected}");
        }
        for path in ["/v3/kv", "/v2/keys/a", "/health", "/v3/kv/put/"] {
            assert_eq!(method(path), None, "{path}");
        }
    }

    #[test]
    fn an_error_is_told_only_where_it_can_not_quote_the_request() {
        let etcd = br#"{"error":"etcdserver: permission denied","code":7,"message":"etcdserver: permission denied"}"#;
        assert_eq!(error(etcd).as_deref(), Some("etcdserver: permission denied"));
        let quoting =
            br#"{"code":3,"message":"proto: (line 1:20): invalid value for bytes type: \"secret\""}"#;
        assert_eq!(error(quoting), None);
        assert_eq!(error(b"404 page not found\n"), None);
    }
}
