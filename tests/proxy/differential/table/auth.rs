//! The whole life of authentication: users and roles, a store under guard, and the way back.

use etcdlet::proto::authpb;
use etcdlet::proto::etcdserverpb as pb;
use pb::watch_request::RequestUnion;

use super::{
    ALARM, COMPACT, DEFRAGMENT, DELETE, GRANT, HASH_KV, HEALTH_CHECK, KEEP_ALIVE, LEASES, LOCK, MEMBER_ADD,
    MEMBER_LIST, MOVE_LEADER, PUT, RANGE, REVOKE, SNAPSHOT, STATUS, TIME_TO_LIVE, TXN, WATCH, delete, prefix,
    put, range,
};
use crate::differential::entry::{Call, Entry, Step, call, entry};

/// Ends with authentication off again.
pub(crate) fn entries() -> Vec<Entry> {
    let parts = [
        users(),
        roles(),
        on(),
        keys(),
        guarded(),
        leases(),
        watches(),
        tokens(),
        changes(),
        protected(),
        off(),
    ];
    parts.into_iter().flatten().collect()
}

fn users() -> Vec<Entry> {
    let no_password = pb::AuthUserAddRequest {
        options: Some(authpb::UserAddOptions { no_password: true }),
        ..user("carol", "")
    };
    vec![
        call("auth: status", AUTH_STATUS, pb::AuthStatusRequest {}),
        call("auth: enable without root", ENABLE, pb::AuthEnableRequest {}),
        call("auth: disable what is not on", DISABLE, pb::AuthDisableRequest {}),
        call("auth: authenticate while it is off", AUTHENTICATE, login("root", "root")),
        call("auth: user add root", USER_ADD, user("root", "root")),
        call("auth: enable without the role", ENABLE, pb::AuthEnableRequest {}),
        call("auth: user add", USER_ADD, user("alice", "a")),
        call("auth: user add again", USER_ADD, user("alice", "a")),
        call("auth: user add without a name", USER_ADD, user("", "a")),
        call("auth: user add without a password", USER_ADD, user("bob", "")),
        call("auth: user add for certificates", USER_ADD, no_password),
        call(
            "auth: user add with a long password",
            USER_ADD,
            pb::AuthUserAddRequest { password: "p".repeat(100), ..user("dave", "") },
        ),
        call("auth: user list", USER_LIST, pb::AuthUserListRequest {}),
        call("auth: user get", USER_GET, pb::AuthUserGetRequest { name: "alice".to_owned() }),
        call("auth: user get of nobody", USER_GET, pb::AuthUserGetRequest { name: "nobody".to_owned() }),
        call(
            "auth: password",
            PASSWORD,
            pb::AuthUserChangePasswordRequest {
                name: "alice".to_owned(),
                password: "alice".to_owned(),
                ..Default::default()
            },
        ),
        call(
            "auth: password of nobody",
            PASSWORD,
            pb::AuthUserChangePasswordRequest {
                name: "nobody".to_owned(),
                password: "x".to_owned(),
                ..Default::default()
            },
        ),
        call(
            "auth: user delete of nobody",
            USER_DELETE,
            pb::AuthUserDeleteRequest { name: "nobody".to_owned() },
        ),
        call("auth: user delete", USER_DELETE, pb::AuthUserDeleteRequest { name: "bob".to_owned() }),
    ]
}

fn roles() -> Vec<Entry> {
    let role = |name: &str| pb::AuthRoleAddRequest { name: name.to_owned() };
    let get = |name: &str| pb::AuthRoleGetRequest { role: name.to_owned() };
    let no_permission = pb::AuthRoleGrantPermissionRequest { name: "reader".to_owned(), perm: None };
    vec![
        call("auth: role add", ROLE_ADD, role("reader")),
        call("auth: role add again", ROLE_ADD, role("reader")),
        call("auth: role add without a name", ROLE_ADD, role("")),
        call("auth: a second role", ROLE_ADD, role("writer")),
        call("auth: role add root", ROLE_ADD, role("root")),
        call("auth: role list", ROLE_LIST, pb::AuthRoleListRequest {}),
        call("auth: grant a range", ROLE_GRANT, permission("reader", 0, "auth/", "auth0")),
        call("auth: grant a key", ROLE_GRANT, permission("writer", 1, "auth/w", "")),
        call("auth: grant the same key otherwise", ROLE_GRANT, permission("writer", 2, "auth/w", "")),
        call("auth: grant nothing", ROLE_GRANT, no_permission),
        call("auth: grant an empty key", ROLE_GRANT, permission("reader", 0, "", "")),
        call("auth: grant a reversed range", ROLE_GRANT, permission("reader", 0, "b", "a")),
        call("auth: grant to no role", ROLE_GRANT, permission("nobody", 0, "a", "b")),
        call("auth: grant an unknown kind", ROLE_GRANT, permission("reader", 9, "k", "")),
        call("auth: role get", ROLE_GET, get("reader")),
        call("auth: role get of root", ROLE_GET, get("root")),
        call("auth: role get of none", ROLE_GET, get("nobody")),
        call("auth: revoke what was not granted", ROLE_REVOKE, revoke("reader", "other", "")),
        call("auth: revoke from no role", ROLE_REVOKE, revoke("nobody", "k", "")),
        call("auth: revoke the unknown kind", ROLE_REVOKE, revoke("reader", "k", "")),
        call("auth: role to a user", USER_GRANT, to_user("alice", "reader")),
        call("auth: role to a user again", USER_GRANT, to_user("alice", "reader")),
        call("auth: role to nobody", USER_GRANT, to_user("nobody", "reader")),
        call("auth: no role to a user", USER_GRANT, to_user("alice", "nobody")),
        call("auth: second role to a user", USER_GRANT, to_user("alice", "writer")),
        call("auth: role from a user that lacks it", USER_REVOKE, from_user("alice", "root")),
        call("auth: user get with roles", USER_GET, pb::AuthUserGetRequest { name: "alice".to_owned() }),
        call(
            "auth: role delete of none",
            ROLE_DELETE,
            pb::AuthRoleDeleteRequest { role: "nobody".to_owned() },
        ),
    ]
}

fn on() -> Vec<Entry> {
    vec![
        call("auth: root becomes root", USER_GRANT, to_user("root", "root")),
        call("auth: enable", ENABLE, pb::AuthEnableRequest {}),
        entry("auth: authenticate root")
            .unary(AUTHENTICATE, login("root", "root"))
            .learn_text("root token", &[2]),
        entry("auth: authenticate alice")
            .unary(AUTHENTICATE, login("alice", "alice"))
            .learn_text("alice token", &[2]),
        call("auth: authenticate with a wrong password", AUTHENTICATE, login("alice", "a")),
        call("auth: authenticate nobody", AUTHENTICATE, login("nobody", "x")),
        call("auth: authenticate without a name", AUTHENTICATE, login("", "")),
        call("auth: authenticate without a password to give", AUTHENTICATE, login("carol", "x")),
        call("auth: enable again without a token", ENABLE, pb::AuthEnableRequest {}),
        call("auth: enable again", ENABLE, pb::AuthEnableRequest {}).token("root token"),
        call("auth: status without a token", AUTH_STATUS, pb::AuthStatusRequest {}),
        call("auth: status, alice", AUTH_STATUS, pb::AuthStatusRequest {}).token("alice token"),
        call("auth: status, root", AUTH_STATUS, pb::AuthStatusRequest {}).token("root token"),
    ]
}

fn keys() -> Vec<Entry> {
    let txn = |key: &'static str| pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(key, "t"))) }],
        ..Default::default()
    };
    let mut table = vec![
        call("auth: root puts what alice reads", PUT, put("auth/r", "1")).token("root token"),
        call("auth: alice reads", RANGE, range("auth/r")).token("alice token"),
        call("auth: alice reads her range", RANGE, prefix("auth/")).token("alice token"),
        call("auth: alice reads more than hers", RANGE, prefix("aut")).token("alice token"),
        call("auth: alice writes what she reads", PUT, put("auth/r", "2")).token("alice token"),
        call("auth: alice writes", PUT, put("auth/w", "1")).token("alice token"),
        call(
            "auth: alice writes, seeing the old",
            PUT,
            pb::PutRequest { prev_kv: true, ..put("auth/w", "2") },
        )
        .token("alice token"),
        call("auth: alice in a transaction", TXN, txn("auth/w")).token("alice token"),
        call("auth: alice in a forbidden transaction", TXN, txn("auth/r")).token("alice token"),
        call("auth: alice deletes", DELETE, delete("auth/w")).token("alice token"),
        call("auth: alice deletes what is not hers", DELETE, delete("auth/r")).token("alice token"),
        call("auth: an empty key comes before permissions", RANGE, range("")).token("alice token"),
    ];
    let serializable = || pb::RangeRequest { serializable: true, ..range("auth/r") };
    for (who, token) in
        [("nobody", None), ("a liar", Some("lie.1")), ("a liar without a number", Some("lie"))]
    {
        let as_who = |entry: Entry| match token {
            Some(token) => entry.meta("token", token),
            None => entry,
        };
        table.push(as_who(call(format!("auth: {who} reads"), RANGE, range("auth/r"))));
        table.push(as_who(call(format!("auth: {who} reads, serializable"), RANGE, serializable())));
        table.push(as_who(call(format!("auth: {who} writes"), PUT, put("auth/w", "x"))));
        table.push(as_who(call(format!("auth: {who} deletes"), DELETE, delete("auth/w"))));
        table.push(as_who(call(format!("auth: {who} in a transaction"), TXN, txn("auth/w"))));
        table.push(as_who(call(
            format!("auth: {who} compacts"),
            COMPACT,
            pb::CompactionRequest { revision: 60, physical: true },
        )));
    }
    table
}

/// What each kind of user may do besides reading and writing.
fn guarded() -> Vec<Entry> {
    let calls = |who: &str| {
        vec![
            call(format!("auth: {who}, members"), MEMBER_LIST, pb::MemberListRequest { linearizable: true }),
            call(
                format!("auth: {who}, member add"),
                MEMBER_ADD,
                pb::MemberAddRequest { peer_ur_ls: vec!["no url".to_owned()], is_learner: true },
            ),
            call(format!("auth: {who}, member status"), STATUS, pb::StatusRequest {}),
            call(format!("auth: {who}, alarms"), ALARM, pb::AlarmRequest::default()),
            call(
                format!("auth: {who}, set no alarm"),
                ALARM,
                pb::AlarmRequest { action: 2, member_id: 1, alarm: 1 },
            ),
            call(format!("auth: {who}, defragment"), DEFRAGMENT, pb::DefragmentRequest {}),
            call(format!("auth: {who}, hash of the keys"), HASH_KV, pb::HashKvRequest { revision: 50 }),
            call(format!("auth: {who}, move leader"), MOVE_LEADER, pb::MoveLeaderRequest { target_id: 1 }),
            call(
                format!("auth: {who}, compact"),
                COMPACT,
                pb::CompactionRequest { revision: 1, physical: false },
            ),
            call(
                format!("auth: {who}, health"),
                HEALTH_CHECK,
                etcdlet::proto::health::HealthCheckRequest::default(),
            ),
            call(
                format!("auth: {who}, lock"),
                LOCK,
                etcdlet::proto::v3lockpb::LockRequest { name: "m".into(), lease: 4711 },
            ),
            call(format!("auth: {who}, users"), USER_LIST, pb::AuthUserListRequest {}),
            call(
                format!("auth: {who}, user alice"),
                USER_GET,
                pb::AuthUserGetRequest { name: "alice".to_owned() },
            ),
            call(
                format!("auth: {who}, user root"),
                USER_GET,
                pb::AuthUserGetRequest { name: "root".to_owned() },
            ),
            call(format!("auth: {who}, roles"), ROLE_LIST, pb::AuthRoleListRequest {}),
            call(
                format!("auth: {who}, role reader"),
                ROLE_GET,
                pb::AuthRoleGetRequest { role: "reader".to_owned() },
            ),
            call(
                format!("auth: {who}, role root"),
                ROLE_GET,
                pb::AuthRoleGetRequest { role: "root".to_owned() },
            ),
            call(format!("auth: {who}, user add"), USER_ADD, user("root", "again")),
            call(
                format!("auth: {who}, role add"),
                ROLE_ADD,
                pb::AuthRoleAddRequest { name: "reader".to_owned() },
            ),
            entry(format!("auth: {who}, snapshot"))
                .step(Step::Snapshot(Call::new(SNAPSHOT).message(pb::SnapshotRequest {}))),
        ]
    };
    let with = |who: &str, token| calls(who).into_iter().map(move |entry| entry.token(token));
    calls("nobody")
        .into_iter()
        .chain(with("alice", "alice token"))
        .chain(with("root", "root token"))
        .collect()
}

fn leases() -> Vec<Entry> {
    let ttl = |keys| pb::LeaseTimeToLiveRequest { id: 5000, keys };
    let attach = |key: &'static str| pb::PutRequest { lease: 5000, ..put(key, "l") };
    let alive = |name: &str| entry(name).open(KEEP_ALIVE).meta("x-none", "1");
    let alive_to_end = |entry: Entry| entry.send(pb::LeaseKeepAliveRequest { id: 5000 }).half_close().end();
    vec![
        call("auth: nobody grants a lease", GRANT, pb::LeaseGrantRequest { ttl: 600, id: 5001 }),
        call("auth: alice grants a lease", GRANT, pb::LeaseGrantRequest { ttl: 600, id: 5000 })
            .token("alice token"),
        call("auth: alice attaches", PUT, attach("auth/w")).token("alice token"),
        call("auth: root attaches", PUT, attach("root/only")).token("root token"),
        call("auth: alice attaches beside root", PUT, attach("auth/w")).token("alice token"),
        call("auth: alice sees the lease", TIME_TO_LIVE, ttl(false)).token("alice token"),
        call("auth: alice does not see its keys", TIME_TO_LIVE, ttl(true)).token("alice token"),
        call("auth: nobody sees the lease", TIME_TO_LIVE, ttl(false)),
        call("auth: nobody does not see its keys", TIME_TO_LIVE, ttl(true)),
        call("auth: alice lists leases", LEASES, pb::LeaseLeasesRequest {}).token("alice token"),
        call("auth: root lists leases", LEASES, pb::LeaseLeasesRequest {}).token("root token"),
        alive_to_end(alive("auth: alice keeps the lease alive").token("alice token")),
        alive_to_end(alive("auth: root keeps the lease alive").token("root token")),
        alive_to_end(alive("auth: nobody keeps the lease alive")),
        call("auth: alice revokes", REVOKE, pb::LeaseRevokeRequest { id: 5000 }).token("alice token"),
        call("auth: root revokes", REVOKE, pb::LeaseRevokeRequest { id: 5000 }).token("root token"),
    ]
}

fn watches() -> Vec<Entry> {
    let create = |key: &'static str, range_end: &'static str| pb::WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(pb::WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            ..Default::default()
        })),
    };
    let watch = |name: &str| entry(name).open(WATCH);
    vec![
        watch("auth: alice watches")
            .token("alice token")
            .send(create("auth/", "auth0"))
            .receive(1)
            .unary(PUT, put("auth/w", "1"))
            .token("alice token")
            .receive(1),
        watch("auth: alice watches more than hers, then hers")
            .token("alice token")
            .send(create("a", "b"))
            .receive(1)
            .send(create("auth/r", ""))
            .receive(1),
        watch("auth: nobody watches").send(create("auth/r", "")).receive(1).quiet(),
        watch("auth: a liar watches").meta("token", "lie.1").send(create("auth/r", "")).receive(1).quiet(),
    ]
}

fn tokens() -> Vec<Entry> {
    let ask = |name: &str| call(name, RANGE, range("auth/r"));
    vec![
        ask("auth: a good token before a bad one").token("alice token").meta("token", "lie.1"),
        ask("auth: a bad token before a good one").meta("token", "lie.1").token("alice token"),
        ask("auth: an empty token").meta("token", ""),
        // etcd waits until it has applied the raft entry whose index the token names.
        entry("auth: a token of the future")
            .open_unary(RANGE, range("auth/r"))
            .meta("token", "abcdefghijklmnop.99999")
            .quiet()
            .step(Step::Reset),
        ask("auth: a good bearer").bearer("alice token"),
        ask("auth: a bad bearer").meta("authorization", "Bearer lie.1"),
        ask("auth: basic").meta("authorization", "Basic YTpi"),
        ask("auth: gateway metadata").token("alice token").meta("grpcgateway-accept", "*/*"),
        // Each side's burst would show in the next authentication if a token were shared or lost.
        entry("auth: many authenticated calls at once")
            .step(Step::Burst(20, Call::new(RANGE).message(range("auth/r"))))
            .token("alice token"),
    ]
}

fn changes() -> Vec<Entry> {
    let password = |password: &str| pb::AuthUserChangePasswordRequest {
        name: "alice".to_owned(),
        password: password.to_owned(),
        ..Default::default()
    };
    vec![
        call("auth: root revokes a permission", ROLE_REVOKE, revoke("writer", "auth/w", ""))
            .token("root token"),
        call("auth: alice no longer writes", PUT, put("auth/w", "3")).token("alice token"),
        call("auth: alice still reads", RANGE, range("auth/r")).token("alice token"),
        call(
            "auth: root deletes a role",
            ROLE_DELETE,
            pb::AuthRoleDeleteRequest { role: "reader".to_owned() },
        )
        .token("root token"),
        call("auth: alice no longer reads", RANGE, range("auth/r")).token("alice token"),
        call("auth: root takes a role away", USER_REVOKE, from_user("alice", "writer")).token("root token"),
        call("auth: root sees what alice has", USER_GET, pb::AuthUserGetRequest { name: "alice".to_owned() })
            .token("root token"),
        call("auth: alice changes her password", PASSWORD, password("x")).token("alice token"),
        call("auth: root changes alice's password", PASSWORD, password("new")).token("root token"),
        call("auth: alice's token is void", RANGE, range("auth/r")).token("alice token"),
        call("auth: alice's old password is void", AUTHENTICATE, login("alice", "alice")),
        entry("auth: alice's new password")
            .unary(AUTHENTICATE, login("alice", "new"))
            .learn_text("alice token", &[2]),
        call("auth: root deletes alice", USER_DELETE, pb::AuthUserDeleteRequest { name: "alice".to_owned() })
            .token("root token"),
        call("auth: alice is gone", RANGE, range("auth/r")).token("alice token"),
    ]
}

fn protected() -> Vec<Entry> {
    vec![
        call("auth: root cannot go", USER_DELETE, pb::AuthUserDeleteRequest { name: "root".to_owned() })
            .token("root token"),
        call(
            "auth: root's role cannot go",
            ROLE_DELETE,
            pb::AuthRoleDeleteRequest { role: "root".to_owned() },
        )
        .token("root token"),
        call("auth: root cannot lose its role", USER_REVOKE, from_user("root", "root")).token("root token"),
    ]
}

fn off() -> Vec<Entry> {
    vec![
        call("auth: nobody disables", DISABLE, pb::AuthDisableRequest {}),
        call("auth: root disables", DISABLE, pb::AuthDisableRequest {}).token("root token"),
        call("auth: everybody reads", RANGE, prefix("auth/")),
        call("auth: the old token does no harm", PUT, put("auth/w", "4")).token("root token"),
        call("auth: status when it is off again", AUTH_STATUS, pb::AuthStatusRequest {}),
    ]
}

fn user(name: &str, password: &str) -> pb::AuthUserAddRequest {
    pb::AuthUserAddRequest { name: name.to_owned(), password: password.to_owned(), ..Default::default() }
}

fn login(name: &str, password: &str) -> pb::AuthenticateRequest {
    pb::AuthenticateRequest { name: name.to_owned(), password: password.to_owned() }
}

fn to_user(user: &str, role: &str) -> pb::AuthUserGrantRoleRequest {
    pb::AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() }
}

fn from_user(name: &str, role: &str) -> pb::AuthUserRevokeRoleRequest {
    pb::AuthUserRevokeRoleRequest { name: name.to_owned(), role: role.to_owned() }
}

fn permission(
    role: &str,
    kind: i32,
    key: &'static str,
    end: &'static str,
) -> pb::AuthRoleGrantPermissionRequest {
    let perm = authpb::Permission { perm_type: kind, key: key.into(), range_end: end.into() };
    pb::AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(perm) }
}

fn revoke(role: &str, key: &'static str, end: &'static str) -> pb::AuthRoleRevokePermissionRequest {
    pb::AuthRoleRevokePermissionRequest { role: role.to_owned(), key: key.into(), range_end: end.into() }
}

const ENABLE: &str = "/etcdserverpb.Auth/AuthEnable";
const DISABLE: &str = "/etcdserverpb.Auth/AuthDisable";
const AUTH_STATUS: &str = "/etcdserverpb.Auth/AuthStatus";
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
const USER_ADD: &str = "/etcdserverpb.Auth/UserAdd";
const USER_GET: &str = "/etcdserverpb.Auth/UserGet";
const USER_LIST: &str = "/etcdserverpb.Auth/UserList";
const USER_DELETE: &str = "/etcdserverpb.Auth/UserDelete";
const PASSWORD: &str = "/etcdserverpb.Auth/UserChangePassword";
const USER_GRANT: &str = "/etcdserverpb.Auth/UserGrantRole";
const USER_REVOKE: &str = "/etcdserverpb.Auth/UserRevokeRole";
const ROLE_ADD: &str = "/etcdserverpb.Auth/RoleAdd";
const ROLE_GET: &str = "/etcdserverpb.Auth/RoleGet";
const ROLE_LIST: &str = "/etcdserverpb.Auth/RoleList";
const ROLE_DELETE: &str = "/etcdserverpb.Auth/RoleDelete";
const ROLE_GRANT: &str = "/etcdserverpb.Auth/RoleGrantPermission";
const ROLE_REVOKE: &str = "/etcdserverpb.Auth/RoleRevokePermission";
