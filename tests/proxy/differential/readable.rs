//! Decoded messages for the report of a difference.

use std::fmt::Debug;

use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::{v3electionpb, v3lockpb};
use prost::Message;

/// The answer of a method with its field names; `None` if the method or the bytes are foreign.
pub(crate) fn readable(path: &str, bytes: &[u8]) -> Option<String> {
    let (service, method) = path.trim_start_matches('/').split_once('/')?;
    match service {
        "etcdserverpb.KV" => kv(method, bytes),
        "etcdserverpb.Watch" => show::<pb::WatchResponse>(bytes),
        "etcdserverpb.Lease" => lease(method, bytes),
        "etcdserverpb.Cluster" => cluster(method, bytes),
        "etcdserverpb.Maintenance" => maintenance(method, bytes),
        "etcdserverpb.Auth" => auth(method, bytes),
        "v3lockpb.Lock" if method == "Lock" => show::<v3lockpb::LockResponse>(bytes),
        "v3electionpb.Election" => election(method, bytes),
        _ => None,
    }
}

fn kv(method: &str, bytes: &[u8]) -> Option<String> {
    match method {
        "Compact" => show::<pb::CompactionResponse>(bytes),
        "DeleteRange" => show::<pb::DeleteRangeResponse>(bytes),
        "Put" => show::<pb::PutResponse>(bytes),
        "Range" => show::<pb::RangeResponse>(bytes),
        "RangeStream" => show::<pb::RangeStreamResponse>(bytes),
        "Txn" => show::<pb::TxnResponse>(bytes),
        _ => None,
    }
}

fn lease(method: &str, bytes: &[u8]) -> Option<String> {
    match method {
        "LeaseGrant" => show::<pb::LeaseGrantResponse>(bytes),
        "LeaseKeepAlive" => show::<pb::LeaseKeepAliveResponse>(bytes),
        "LeaseLeases" => show::<pb::LeaseLeasesResponse>(bytes),
        "LeaseRevoke" => show::<pb::LeaseRevokeResponse>(bytes),
        "LeaseTimeToLive" => show::<pb::LeaseTimeToLiveResponse>(bytes),
        _ => None,
    }
}

fn cluster(method: &str, bytes: &[u8]) -> Option<String> {
    match method {
        "MemberAdd" => show::<pb::MemberAddResponse>(bytes),
        "MemberList" => show::<pb::MemberListResponse>(bytes),
        "MemberPromote" => show::<pb::MemberPromoteResponse>(bytes),
        "MemberRemove" => show::<pb::MemberRemoveResponse>(bytes),
        "MemberUpdate" => show::<pb::MemberUpdateResponse>(bytes),
        _ => None,
    }
}

fn maintenance(method: &str, bytes: &[u8]) -> Option<String> {
    match method {
        "Alarm" => show::<pb::AlarmResponse>(bytes),
        "Downgrade" => show::<pb::DowngradeResponse>(bytes),
        "Hash" => show::<pb::HashResponse>(bytes),
        "HashKV" => show::<pb::HashKvResponse>(bytes),
        "Status" => show::<pb::StatusResponse>(bytes),
        _ => None,
    }
}

fn auth(method: &str, bytes: &[u8]) -> Option<String> {
    match method {
        "AuthStatus" => show::<pb::AuthStatusResponse>(bytes),
        "Authenticate" => show::<pb::AuthenticateResponse>(bytes),
        "RoleGet" => show::<pb::AuthRoleGetResponse>(bytes),
        "RoleList" => show::<pb::AuthRoleListResponse>(bytes),
        "UserGet" => show::<pb::AuthUserGetResponse>(bytes),
        "UserList" => show::<pb::AuthUserListResponse>(bytes),
        // The others answer with a header only.
        _ => show::<pb::AuthEnableResponse>(bytes),
    }
}

fn election(method: &str, bytes: &[u8]) -> Option<String> {
    match method {
        "Campaign" => show::<v3electionpb::CampaignResponse>(bytes),
        "Leader" | "Observe" => show::<v3electionpb::LeaderResponse>(bytes),
        _ => None,
    }
}

fn show<M: Message + Default + Debug>(bytes: &[u8]) -> Option<String> {
    M::decode(bytes).ok().map(|message| format!("{message:?}"))
}
