//! The Lock and Election services.

use etcdlet::proto::{etcdserverpb as pb, v3electionpb as election, v3lockpb as lock};

use super::{CAMPAIGN, GRANT, LEADER, LOCK, OBSERVE, PROCLAIM, RANGE, RESIGN, REVOKE, UNLOCK, prefix};
use crate::differential::entry::{Entry, Step, call, entry};
use crate::differential::known::Known;

pub(crate) fn entries() -> Vec<Entry> {
    let mut table = vec![
        call("session of the first", GRANT, pb::LeaseGrantRequest { ttl: 600, id: 2001 }),
        call("session of the second", GRANT, pb::LeaseGrantRequest { ttl: 700, id: 2002 }),
    ];
    table.extend(locks());
    table.extend(elections());
    table.push(call("end of the first session", REVOKE, pb::LeaseRevokeRequest { id: 2001 }));
    table.push(call("end of the second session", REVOKE, pb::LeaseRevokeRequest { id: 2002 }));
    table.extend(own_sessions());
    table
}

fn locks() -> Vec<Entry> {
    let take = |lease| lock::LockRequest { name: "mutex".into(), lease };
    let give = |key: &'static str| lock::UnlockRequest { key: key.into() };
    vec![
        call("lock", LOCK, take(2001)),
        call("lock again by the same session", LOCK, take(2001)),
        entry("lock waits for its turn")
            .open_unary(LOCK, take(2002))
            .quiet()
            .unary(UNLOCK, give("mutex/7d1"))
            .end()
            .unary(RANGE, prefix("mutex/")),
        entry("lock, given up by the client").open_unary(LOCK, take(2001)).quiet().step(Step::Reset).until(
            RANGE,
            pb::RangeRequest { count_only: true, ..prefix("mutex/") },
            one_is_left,
        ),
        entry("lock until the deadline")
            .open_unary(LOCK, take(2001))
            .meta("grpc-timeout", "300m")
            .deadline()
            .until(RANGE, pb::RangeRequest { count_only: true, ..prefix("mutex/") }, one_is_left),
        call("lock with an unknown lease", LOCK, take(4711)),
        call("lock of no name", LOCK, lock::LockRequest { lease: 2002, ..Default::default() }),
        call("unlock of that", UNLOCK, give("/7d2")),
        call("unlock", UNLOCK, give("mutex/7d2")),
        call("unlock again", UNLOCK, give("mutex/7d2")),
        call("unlock of nothing", UNLOCK, give("")),
    ]
}

fn elections() -> Vec<Entry> {
    let campaign = |lease, value: &'static str| election::CampaignRequest {
        name: "office".into(),
        lease,
        value: value.into(),
    };
    let leader = || election::LeaderRequest { name: "office".into() };
    let won = |known: &Known| election::LeaderKey {
        name: "office".into(),
        key: "office/7d1".into(),
        rev: known.number("office revision").cast_signed(),
        lease: 2001,
    };
    let stranger = election::LeaderKey { name: "office".into(), key: "office/1".into(), rev: 1, lease: 1 };
    vec![
        call("election: nobody leads", LEADER, leader()),
        entry("election: campaign")
            .unary(CAMPAIGN, campaign(2001, "one"))
            .step(Step::Remember("office revision", &[2, 3])),
        call("election: campaign again with another value", CAMPAIGN, campaign(2001, "uno")),
        call("election: leader", LEADER, leader()),
        entry("election: observe and proclaim")
            .open_unary(OBSERVE, leader())
            .receive(1)
            .unary_with(PROCLAIM, move |known| election::ProclaimRequest {
                leader: Some(won(known)),
                value: "eins".into(),
            })
            .receive(1),
        entry("election: the second waits until the first resigns")
            .open_unary(OBSERVE, leader())
            .receive(1)
            .open_unary(CAMPAIGN, campaign(2002, "two"))
            .quiet()
            .unary_with(RESIGN, move |known| election::ResignRequest { leader: Some(won(known)) })
            .end()
            .on(0)
            .receive(1)
            .quiet(),
        entry("election: campaign, given up by the client")
            .open_unary(CAMPAIGN, campaign(2001, "one"))
            .quiet()
            .step(Step::Reset)
            .until(RANGE, pb::RangeRequest { count_only: true, ..prefix("office/") }, one_is_left),
        call(
            "election: proclaim by a stranger",
            PROCLAIM,
            election::ProclaimRequest { leader: Some(stranger.clone()), value: "x".into() },
        ),
        call("election: proclaim by nobody", PROCLAIM, election::ProclaimRequest::default()),
        call("election: resign of a stranger", RESIGN, election::ResignRequest { leader: Some(stranger) }),
        call("election: resign of nobody", RESIGN, election::ResignRequest::default()),
        call("election: campaign with an unknown lease", CAMPAIGN, campaign(4711, "x")),
        entry("election: observe, reset by the client")
            .open_unary(OBSERVE, leader())
            .receive(1)
            .step(Step::Reset),
    ]
}

/// Sessions that the server opens: they live 60 s, so nothing that is compared may come after their end.
fn own_sessions() -> Vec<Entry> {
    vec![
        entry("lock without a lease")
            .unary(LOCK, lock::LockRequest { name: "own".into(), lease: 0 })
            .step(Step::LearnLeaseOfKey("lock's lease", &[2]))
            .unary(RANGE, prefix("own/"))
            .unary_with(REVOKE, |known| pb::LeaseRevokeRequest {
                id: known.id("lock's lease").cast_signed(),
            }),
        entry("election: campaign without a lease")
            .unary(CAMPAIGN, election::CampaignRequest { name: "seat".into(), lease: 0, value: "v".into() })
            .step(Step::LearnLeaseOfKey("seat's lease", &[2, 2]))
            .unary_with(REVOKE, |known| pb::LeaseRevokeRequest {
                id: known.id("seat's lease").cast_signed(),
            }),
    ]
}

fn one_is_left(answer: &crate::support::grpc::Answer) -> bool {
    answer.messages.first().is_some_and(|message| message.decode::<pb::RangeResponse>().count == 1)
}
