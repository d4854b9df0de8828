//! Membership. A second voter would never start and take the quorum away, so only a learner is added.

use etcdlet::proto::etcdserverpb as pb;

use super::{MEMBER_ADD, MEMBER_LIST, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_UPDATE};
use crate::differential::entry::{Entry, call, entry};
use crate::differential::known::Known;

pub(crate) fn entries() -> Vec<Entry> {
    let list = |linearizable| pb::MemberListRequest { linearizable };
    let add = |url: &str, is_learner| pb::MemberAddRequest { peer_ur_ls: vec![url.to_owned()], is_learner };
    let learner = |known: &Known| known.id("learner");
    vec![
        call("members", MEMBER_LIST, list(true)),
        call("members, as this one sees them", MEMBER_LIST, list(false)),
        call("member add without a URL", MEMBER_ADD, pb::MemberAddRequest::default()),
        call("member add with a bad URL", MEMBER_ADD, add("no url", true)),
        call("member add with a path in the URL", MEMBER_ADD, add("http://127.0.0.1:1/x", true)),
        entry("member add with a URL in use").unary_with(MEMBER_ADD, |known| pb::MemberAddRequest {
            peer_ur_ls: vec![known.text("peer-url").to_owned()],
            is_learner: true,
        }),
        entry("member add of a learner")
            .unary(MEMBER_ADD, add("http://127.0.0.1:1", true))
            .learn_id("learner", &[2, 1]),
        call("members with a learner", MEMBER_LIST, list(true)),
        call("member add of one learner too many", MEMBER_ADD, add("http://127.0.0.1:2", true)),
        entry("member update").unary_with(MEMBER_UPDATE, move |known| pb::MemberUpdateRequest {
            id: learner(known),
            peer_ur_ls: vec!["http://127.0.0.1:3".to_owned()],
        }),
        // Not to a bad URL: etcd does not look at it, and dies when it dials the member.
        entry("member update to a URL in use").unary_with(MEMBER_UPDATE, move |known| {
            pb::MemberUpdateRequest {
                id: learner(known),
                peer_ur_ls: vec![known.text("peer-url").to_owned()],
            }
        }),
        call(
            "member update of an unknown member",
            MEMBER_UPDATE,
            pb::MemberUpdateRequest { id: 1, peer_ur_ls: vec!["http://127.0.0.1:3".to_owned()] },
        ),
        entry("member promote of a learner that never came")
            .unary_with(MEMBER_PROMOTE, move |known| pb::MemberPromoteRequest { id: learner(known) }),
        entry("member promote of a voter")
            .unary_with(MEMBER_PROMOTE, |known| pb::MemberPromoteRequest { id: known.id("member") }),
        call("member promote of an unknown member", MEMBER_PROMOTE, pb::MemberPromoteRequest { id: 1 }),
        entry("member remove")
            .unary_with(MEMBER_REMOVE, move |known| pb::MemberRemoveRequest { id: learner(known) }),
        entry("member remove again")
            .unary_with(MEMBER_REMOVE, move |known| pb::MemberRemoveRequest { id: learner(known) }),
        call("member remove of an unknown member", MEMBER_REMOVE, pb::MemberRemoveRequest { id: 1 }),
        call("members afterwards", MEMBER_LIST, list(true)),
    ]
}
