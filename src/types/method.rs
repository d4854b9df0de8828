//! THE call-class table: for every RPC of etcd its shape, where it may go, what it does, and
//! whether it may last for ever.
//!
//! Source: the service definitions of etcd 3.4 to 3.7 (`rpc.proto`, `v3lock.proto`,
//! `v3election.proto`, gRPC's `health.proto`) and the handlers behind them.

use super::gateway;

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Rpc {
    /// Full method: `/package.Service/Method`; the label of its metrics.
    pub path: &'static str,
    /// The same, or the one behind a path of the JSON gateway; empty for the rest of HTTP.
    pub method: &'static str,
    pub shape: Shape,
    pub target: Target,
    pub effect: Effect,
    /// May wait or stream without end, so that no limit of ours may cut it, and a drain must.
    pub endless: bool,
}

impl Rpc {
    /// The row of `path`, or [`UNKNOWN`].
    pub fn of(path: &str) -> &'static Self {
        TABLE.binary_search_by(|row| row.path.cmp(path)).map_or(&UNKNOWN, |found| &TABLE[found])
    }

    /// Position for per-RPC arrays of [`COUNT`] entries.
    pub fn index(&'static self) -> usize {
        let offset = std::ptr::from_ref(self).addr().wrapping_sub(TABLE.as_ptr().addr());
        let index = offset / size_of::<Self>();
        if index < TABLE.len() { index } else { self.index_behind() }
    }

    #[cold]
    fn index_behind(&'static self) -> usize {
        let in_gateway = gateway::TABLE.iter().position(|row| std::ptr::eq(row, self));
        match (in_gateway, self.path) {
            (Some(index), _) => TABLE.len() + index,
            (None, path) if path == UNKNOWN.path => COUNT - 3,
            (None, path) if path == gateway::WEBSOCKET.path => COUNT - 2,
            (None, _) => COUNT - 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Messages in both directions: nothing may be read ahead.
    Bidirectional,
    /// One request message, then messages until the server ends.
    ServerStream,
    Unary,
}

/// Where a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any healthy member answers alike.
    Any,
    /// The same, and the work is long: the leader is spared.
    Follower,
    /// The leader saves the hop that a follower would make.
    Leader,
    /// About one member: the one named, else always the same.
    Member,
    /// Decided by a peek: a serializable request goes anywhere, another to a voter.
    Peek,
}

/// What a call does, which decides whether it may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes something, or its second run can answer differently from its first.
    Mutation,
    /// Decided by a peek at the request: a transaction, or an alarm call, may only read.
    Peek,
    Read,
}

/// Rows of both tables, unknown gRPC methods, WebSockets, and the rest of HTTP.
pub const COUNT: usize = TABLE.len() + gateway::TABLE.len() + 3;

/// The strictest treatment, for methods that no etcd known here has.
pub static UNKNOWN: Rpc = row("unknown", Shape::Bidirectional, Target::Leader, Effect::Mutation).endless();

const fn row(path: &'static str, shape: Shape, target: Target, effect: Effect) -> Rpc {
    Rpc { path, method: path, shape, target, effect, endless: false }
}

impl Rpc {
    const fn endless(self) -> Self {
        Self { endless: true, ..self }
    }
}

const fn read(path: &'static str, target: Target) -> Rpc {
    row(path, Shape::Unary, target, Effect::Read)
}

const fn mutation(path: &'static str, target: Target) -> Rpc {
    row(path, Shape::Unary, target, Effect::Mutation)
}

/// Sorted by path: [`Rpc::of`] searches it.
#[rustfmt::skip]
pub static TABLE: [Rpc; 51] = [
    mutation("/etcdserverpb.Auth/AuthDisable", Target::Leader),
    mutation("/etcdserverpb.Auth/AuthEnable", Target::Leader),
    read("/etcdserverpb.Auth/AuthStatus", Target::Leader),
    mutation("/etcdserverpb.Auth/Authenticate", Target::Leader),
    mutation("/etcdserverpb.Auth/RoleAdd", Target::Leader),
    mutation("/etcdserverpb.Auth/RoleDelete", Target::Leader),
    read("/etcdserverpb.Auth/RoleGet", Target::Leader),
    mutation("/etcdserverpb.Auth/RoleGrantPermission", Target::Leader),
    read("/etcdserverpb.Auth/RoleList", Target::Leader),
    mutation("/etcdserverpb.Auth/RoleRevokePermission", Target::Leader),
    mutation("/etcdserverpb.Auth/UserAdd", Target::Leader),
    mutation("/etcdserverpb.Auth/UserChangePassword", Target::Leader),
    mutation("/etcdserverpb.Auth/UserDelete", Target::Leader),
    read("/etcdserverpb.Auth/UserGet", Target::Leader),
    mutation("/etcdserverpb.Auth/UserGrantRole", Target::Leader),
    read("/etcdserverpb.Auth/UserList", Target::Leader),
    mutation("/etcdserverpb.Auth/UserRevokeRole", Target::Leader),
    mutation("/etcdserverpb.Cluster/MemberAdd", Target::Leader),
    read("/etcdserverpb.Cluster/MemberList", Target::Leader),
    mutation("/etcdserverpb.Cluster/MemberPromote", Target::Leader),
    mutation("/etcdserverpb.Cluster/MemberRemove", Target::Leader),
    mutation("/etcdserverpb.Cluster/MemberUpdate", Target::Leader),
    mutation("/etcdserverpb.KV/Compact", Target::Leader),
    mutation("/etcdserverpb.KV/DeleteRange", Target::Leader),
    mutation("/etcdserverpb.KV/Put", Target::Leader),
    row("/etcdserverpb.KV/Range", Shape::Unary, Target::Peek, Effect::Read),
    row("/etcdserverpb.KV/RangeStream", Shape::ServerStream, Target::Peek, Effect::Read),
    row("/etcdserverpb.KV/Txn", Shape::Unary, Target::Peek, Effect::Peek),
    // A second grant without an id leaks a lease, one with an id finds it taken.
    mutation("/etcdserverpb.Lease/LeaseGrant", Target::Leader),
    row("/etcdserverpb.Lease/LeaseKeepAlive", Shape::Bidirectional, Target::Leader, Effect::Mutation).endless(),
    read("/etcdserverpb.Lease/LeaseLeases", Target::Leader),
    mutation("/etcdserverpb.Lease/LeaseRevoke", Target::Leader),
    read("/etcdserverpb.Lease/LeaseTimeToLive", Target::Leader),
    row("/etcdserverpb.Maintenance/Alarm", Shape::Unary, Target::Leader, Effect::Peek),
    mutation("/etcdserverpb.Maintenance/Defragment", Target::Member),
    mutation("/etcdserverpb.Maintenance/Downgrade", Target::Leader),
    read("/etcdserverpb.Maintenance/Hash", Target::Member),
    read("/etcdserverpb.Maintenance/HashKV", Target::Member),
    mutation("/etcdserverpb.Maintenance/MoveLeader", Target::Leader),
    // Its last chunk is the hash of all before: one member from the first to the last byte.
    row("/etcdserverpb.Maintenance/Snapshot", Shape::ServerStream, Target::Follower, Effect::Read),
    read("/etcdserverpb.Maintenance/Status", Target::Member),
    row("/etcdserverpb.Watch/Watch", Shape::Bidirectional, Target::Any, Effect::Read).endless(),
    read("/grpc.health.v1.Health/Check", Target::Member),
    row("/grpc.health.v1.Health/Watch", Shape::ServerStream, Target::Member, Effect::Read).endless(),
    mutation("/v3electionpb.Election/Campaign", Target::Leader).endless(),
    read("/v3electionpb.Election/Leader", Target::Leader),
    row("/v3electionpb.Election/Observe", Shape::ServerStream, Target::Any, Effect::Read).endless(),
    mutation("/v3electionpb.Election/Proclaim", Target::Leader),
    mutation("/v3electionpb.Election/Resign", Target::Leader),
    mutation("/v3lockpb.Lock/Lock", Target::Leader).endless(),
    mutation("/v3lockpb.Lock/Unlock", Target::Leader),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_without_repetition() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].path < pair[1].path, "{} >= {}", pair[0].path, pair[1].path);
        }
    }

    #[test]
    fn every_row_finds_itself_and_has_its_own_index() {
        let mut indexes: Vec<usize> = TABLE
            .iter()
            .chain(&gateway::TABLE)
            .chain([&UNKNOWN, &gateway::WEBSOCKET, &gateway::HTTP])
            .map(|row| row.index())
            .collect();
        for row in &TABLE {
            assert!(std::ptr::eq(Rpc::of(row.path), row));
        }
        indexes.sort_unstable();
        assert_eq!(indexes, (0..COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn every_rpc_of_the_proto_files_has_a_row() {
        let files = [
            include_str!("../proto/rpc.proto"),
            include_str!("../proto/v3lock.proto"),
            include_str!("../proto/v3election.proto"),
            include_str!("../proto/health.proto"),
        ];
        let mut seen = 0;
        for file in files {
            let mut service = String::new();
            let package = file.lines().find_map(|line| line.strip_prefix("package ")).unwrap();
            let package = package.trim_end_matches(';');
            for line in file.lines().map(str::trim) {
                if let Some(name) = line.strip_prefix("service ") {
                    service = name.trim_end_matches(" {").to_owned();
                }
                if let Some(rest) = line.strip_prefix("rpc ") {
                    let name = rest.split('(').next().unwrap().trim();
                    let row = Rpc::of(&format!("/{package}.{service}/{name}"));
                    assert_ne!(row, &UNKNOWN, "{package}.{service}/{name}");
                    let streams = [Shape::Unary, Shape::ServerStream, Shape::Bidirectional];
                    assert_eq!(row.shape, streams[rest.matches("stream ").count()], "{}", row.path);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, TABLE.len());
    }

    #[test]
    fn an_unknown_method_gets_the_strictest_row() {
        let row = Rpc::of("/etcdserverpb.KV/Future");
        assert_eq!(row, &UNKNOWN);
        assert_eq!((row.target, row.effect, row.endless), (Target::Leader, Effect::Mutation, true));
    }
}
