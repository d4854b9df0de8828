//! What a line tells of each call: which fields of its request, and of its answer.
//!
//! A value, a password, a compared value and an event are in no row, and what is in no row is not
//! looked at.

/// One kind of call.
#[derive(Debug)]
pub(super) struct Row {
    pub op: &'static str,
    pub request: &'static [Field],
    pub answer: Answers,
}

/// What the second field of an answer says, the one behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// How many keys were deleted.
    Deleted,
    /// The id of a new lease.
    Lease,
    Nothing,
    /// Which branch of a transaction ran.
    Succeeded,
    /// The token of who has signed in.
    Token,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    /// In the `.proto` file.
    pub name: &'static str,
    pub says: Says,
}

/// What a field says, under which name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Says {
    /// A message with operations, of a transaction that is asked for.
    Branch(&'static str),
    /// The end of a range.
    End(&'static str),
    /// An id that etcd shows in hexadecimal.
    Hex(&'static str),
    /// A message that is a part of this one.
    Inside(&'static [Field]),
    Key(&'static str),
    /// One of these.
    Name(&'static str, &'static [&'static str]),
    Number(&'static str),
    /// A message that is an operation of its own.
    Op(&'static str, &'static [Field]),
    Text(&'static str),
    /// One of several.
    Texts(&'static str),
}

impl Row {
    /// The row of a gRPC method.
    pub fn of(path: &str) -> &'static Self {
        let found = ROWS.iter().find(|(row, _)| *row == path);
        found.map_or(&UNKNOWN, |(_, row)| row)
    }
}

pub(super) static UNKNOWN: Row = row("unknown", &[]);

pub(super) static HTTP: Row = row("http", &[]);

const fn row(op: &'static str, request: &'static [Field]) -> Row {
    Row { op, request, answer: Answers::Nothing }
}

const fn answered(op: &'static str, request: &'static [Field], answer: Answers) -> Row {
    Row { op, request, answer }
}

const fn field(number: u32, name: &'static str, says: Says) -> Field {
    Field { number, name, says }
}

const KEY: Field = field(1, "key", Says::Key("key"));
const RANGE_END: Field = field(2, "range_end", Says::End("range_end"));
const LEASE: Field = field(1, "ID", Says::Hex("lease"));
const USER: Field = field(1, "name", Says::Text("target_user"));
const ROLE: Field = field(1, "name", Says::Text("target_role"));
const ROLE_BY_NAME: Field = field(1, "role", Says::Text("target_role"));
const MEMBER: Field = field(1, "ID", Says::Hex("target_member"));
const NAME: Field = field(1, "name", Says::Key("key"));

static RANGE: [Field; 3] = [KEY, RANGE_END, field(4, "revision", Says::Number("at_revision"))];
static PUT: [Field; 2] = [KEY, field(3, "lease", Says::Hex("lease"))];
static DELETE: [Field; 2] = [KEY, RANGE_END];
static COMPARE: [Field; 2] =
    [field(3, "key", Says::Key("key")), field(64, "range_end", Says::End("range_end"))];

pub(super) static TXN: [Field; 3] = [
    field(1, "compare", Says::Op("compare", &COMPARE)),
    field(2, "success", Says::Branch("success")),
    field(3, "failure", Says::Branch("failure")),
];

/// Of a branch. A transaction in it has operations of its own, in branches of its own.
pub(super) static OPERATION: [Field; 4] = [
    field(1, "request_range", Says::Op("range", &RANGE)),
    field(2, "request_put", Says::Op("put", &PUT)),
    field(3, "request_delete_range", Says::Op("delete", &DELETE)),
    field(4, "request_txn", Says::Inside(&TXN)),
];

pub(super) static CREATE: [Field; 3] =
    [KEY, RANGE_END, field(3, "start_revision", Says::Number("start_revision"))];

static WATCH: [Field; 1] = [field(1, "create_request", Says::Inside(&CREATE))];
static GRANT: [Field; 2] = [field(1, "TTL", Says::Number("ttl")), field(2, "ID", Says::Hex("lease"))];
static LEASE_ONLY: [Field; 1] = [LEASE];
static USER_ONLY: [Field; 1] = [USER];
static ROLE_ONLY: [Field; 1] = [ROLE];
static MEMBER_ONLY: [Field; 1] = [MEMBER];
static ROLE_BY_NAME_ONLY: [Field; 1] = [ROLE_BY_NAME];
static MEMBER_ADD: [Field; 1] = [field(1, "peerURLs", Says::Texts("peer_urls"))];
static MEMBER_UPDATE: [Field; 2] = [MEMBER, field(2, "peerURLs", Says::Texts("peer_urls"))];
static COMPACT: [Field; 1] = [field(1, "revision", Says::Number("compact_revision"))];
static USER_GRANT: [Field; 2] =
    [field(1, "user", Says::Text("target_user")), field(2, "role", Says::Text("target_role"))];
static USER_REVOKE: [Field; 2] = [USER, field(2, "role", Says::Text("target_role"))];
static ROLE_GRANT: [Field; 2] = [ROLE, field(2, "perm", Says::Inside(&PERMISSION))];
static PERMISSION: [Field; 3] = [
    field(1, "permType", Says::Name("permission", &["READ", "WRITE", "READWRITE"])),
    field(2, "key", Says::Key("key")),
    field(3, "range_end", Says::End("range_end")),
];
static ROLE_REVOKE: [Field; 3] =
    [ROLE_BY_NAME, field(2, "key", Says::Key("key")), field(3, "range_end", Says::End("range_end"))];
static ALARM: [Field; 3] = [
    field(1, "action", Says::Name("action", &["GET", "ACTIVATE", "DEACTIVATE"])),
    field(2, "memberID", Says::Hex("target_member")),
    field(3, "alarm", Says::Name("alarm", &["NONE", "NOSPACE", "CORRUPT"])),
];
static MOVE_LEADER: [Field; 1] = [field(1, "targetID", Says::Hex("target_member"))];
static DOWNGRADE: [Field; 2] =
    [field(1, "action", Says::Name("action", &DOWNGRADES)), field(2, "version", Says::Text("version"))];
const DOWNGRADES: [&str; 3] = ["VALIDATE", "ENABLE", "CANCEL"];
static LOCK: [Field; 2] = [NAME, field(2, "lease", Says::Hex("lease"))];
static UNLOCK: [Field; 1] = [KEY];
static ELECTION: [Field; 1] = [NAME];
static LEADER: [Field; 1] = [field(1, "leader", Says::Inside(&LEADER_KEY))];
static LEADER_KEY: [Field; 2] = [field(2, "key", Says::Key("key")), field(4, "lease", Says::Hex("lease"))];

#[rustfmt::skip]
static ROWS: [(&str, Row); 51] = [
    // The most frequent ones first: this is searched from its beginning.
    ("/etcdserverpb.KV/Range", row("range", &RANGE)),
    ("/etcdserverpb.KV/Put", row("put", &PUT)),
    ("/etcdserverpb.KV/Txn", answered("txn", &TXN, Answers::Succeeded)),
    ("/etcdserverpb.KV/DeleteRange", answered("delete", &DELETE, Answers::Deleted)),
    ("/etcdserverpb.KV/RangeStream", row("range-stream", &RANGE)),
    ("/etcdserverpb.KV/Compact", row("compact", &COMPACT)),
    ("/etcdserverpb.Watch/Watch", row("watch", &WATCH)),
    ("/etcdserverpb.Lease/LeaseGrant", answered("lease-grant", &GRANT, Answers::Lease)),
    ("/etcdserverpb.Lease/LeaseKeepAlive", row("lease-keep-alive", &LEASE_ONLY)),
    ("/etcdserverpb.Lease/LeaseLeases", row("lease-list", &[])),
    ("/etcdserverpb.Lease/LeaseRevoke", row("lease-revoke", &LEASE_ONLY)),
    ("/etcdserverpb.Lease/LeaseTimeToLive", row("lease-time-to-live", &LEASE_ONLY)),
    ("/etcdserverpb.Auth/AuthDisable", row("auth-disable", &[])),
    ("/etcdserverpb.Auth/AuthEnable", row("auth-enable", &[])),
    ("/etcdserverpb.Auth/AuthStatus", row("auth-status", &[])),
    ("/etcdserverpb.Auth/Authenticate", answered("authenticate", &USER_ONLY, Answers::Token)),
    ("/etcdserverpb.Auth/RoleAdd", row("role-add", &ROLE_ONLY)),
    ("/etcdserverpb.Auth/RoleDelete", row("role-delete", &ROLE_BY_NAME_ONLY)),
    ("/etcdserverpb.Auth/RoleGet", row("role-get", &ROLE_BY_NAME_ONLY)),
    ("/etcdserverpb.Auth/RoleGrantPermission", row("role-grant-permission", &ROLE_GRANT)),
    ("/etcdserverpb.Auth/RoleList", row("role-list", &[])),
    ("/etcdserverpb.Auth/RoleRevokePermission", row("role-revoke-permission", &ROLE_REVOKE)),
    ("/etcdserverpb.Auth/UserAdd", row("user-add", &USER_ONLY)),
    ("/etcdserverpb.Auth/UserChangePassword", row("user-change-password", &USER_ONLY)),
    ("/etcdserverpb.Auth/UserDelete", row("user-delete", &USER_ONLY)),
    ("/etcdserverpb.Auth/UserGet", row("user-get", &USER_ONLY)),
    ("/etcdserverpb.Auth/UserGrantRole", row("user-grant-role", &USER_GRANT)),
    ("/etcdserverpb.Auth/UserList", row("user-list", &[])),
    ("/etcdserverpb.Auth/UserRevokeRole", row("user-revoke-role", &USER_REVOKE)),
    ("/etcdserverpb.Cluster/MemberAdd", row("member-add", &MEMBER_ADD)),
    ("/etcdserverpb.Cluster/MemberList", row("member-list", &[])),
    ("/etcdserverpb.Cluster/MemberPromote", row("member-promote", &MEMBER_ONLY)),
    ("/etcdserverpb.Cluster/MemberRemove", row("member-remove", &MEMBER_ONLY)),
    ("/etcdserverpb.Cluster/MemberUpdate", row("member-update", &MEMBER_UPDATE)),
    ("/etcdserverpb.Maintenance/Alarm", row("alarm", &ALARM)),
    ("/etcdserverpb.Maintenance/Defragment", row("defragment", &[])),
    ("/etcdserverpb.Maintenance/Downgrade", row("downgrade", &DOWNGRADE)),
    ("/etcdserverpb.Maintenance/Hash", row("hash", &[])),
    ("/etcdserverpb.Maintenance/HashKV", row("hash-kv", &[])),
    ("/etcdserverpb.Maintenance/MoveLeader", row("move-leader", &MOVE_LEADER)),
    ("/etcdserverpb.Maintenance/Snapshot", row("snapshot", &[])),
    ("/etcdserverpb.Maintenance/Status", row("status", &[])),
    ("/grpc.health.v1.Health/Check", row("health", &[])),
    ("/grpc.health.v1.Health/Watch", row("health-watch", &[])),
    ("/v3electionpb.Election/Campaign", row("campaign", &LOCK)),
    ("/v3electionpb.Election/Leader", row("leader", &ELECTION)),
    ("/v3electionpb.Election/Observe", row("observe", &ELECTION)),
    ("/v3electionpb.Election/Proclaim", row("proclaim", &LEADER)),
    ("/v3electionpb.Election/Resign", row("resign", &LEADER)),
    ("/v3lockpb.Lock/Lock", row("lock", &LOCK)),
    ("/v3lockpb.Lock/Unlock", row("unlock", &UNLOCK)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::method::TABLE;

    #[test]
    fn every_method_has_a_row_and_no_two_are_called_alike() {
        let mut ops: Vec<&str> = TABLE.iter().map(|rpc| Row::of(rpc.path).op).collect();
        assert!(!ops.contains(&UNKNOWN.op), "{ops:?}");
        ops.sort_unstable();
        ops.dedup();
        assert_eq!(ops.len(), TABLE.len());
    }

    /// By the names in the `.proto` files, whatever message they stand in.
    #[test]
    fn no_row_tells_a_value_or_a_password() {
        fn names(fields: &'static [Field], depth: usize, found: &mut Vec<&'static str>) {
            for field in fields {
                found.push(field.name);
                match field.says {
                    Says::Inside(inside) | Says::Op(_, inside) if depth > 0 => {
                        names(inside, depth - 1, found);
                    }
                    Says::Branch(_) if depth > 0 => names(&OPERATION, depth - 1, found),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        for (_, row) in &ROWS {
            names(row.request, 4, &mut found);
        }
        for secret in ["value", "password", "hashedPassword", "token", "blob"] {
            assert!(!found.contains(&secret), "{secret}");
        }
    }
}
