//! What two equal clusters call by different names.

use etcdlet::proto::etcdserverpb as pb;

use crate::support::grpc::Channel;

/// The names that one cluster gave to things: ids, URLs, tokens.
///
/// An answer is compared with each such value replaced by the thing's name, so a proxy that answers with an id of
/// its own, or with that of another cluster, is found out; a rule that blanked the field would not see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    ids: Vec<(String, u64)>,
    texts: Vec<(String, String)>,
    /// Values that a later request needs and that answers still show as they are.
    numbers: Vec<(String, u64)>,
    term: u64,
}

impl Known {
    /// Asks a cluster of one member; `etcd_url` leads to it without a proxy.
    pub(crate) async fn discover(etcd_url: &str) -> Self {
        let channel = Channel::connect(etcd_url).await.expect("etcd accepts connections");
        let status: pb::StatusResponse = channel
            .call("/etcdserverpb.Maintenance/Status", &pb::StatusRequest {})
            .await
            .expect("etcd tells its status");
        let members: pb::MemberListResponse = channel
            .call(MEMBER_LIST, &pb::MemberListRequest::default())
            .await
            .expect("etcd lists its members");
        let header = status.header.expect("a status has a header");
        let [member] = members.members.as_slice() else { panic!("one member, not {members:?}") };

        let mut known = Self { term: header.raft_term, ..Self::default() };
        known.learn_id("cluster", header.cluster_id);
        known.learn_id("member", header.member_id);
        for url in &member.client_ur_ls {
            known.learn_text("client-url", url);
        }
        for url in &member.peer_ur_ls {
            known.learn_text("peer-url", url);
        }
        known.learn_text("name", &member.name);
        known
    }

    pub(crate) fn learn_id(&mut self, name: &str, value: u64) {
        self.ids.retain(|(other, _)| other != name);
        self.ids.push((name.to_owned(), value));
    }

    pub(crate) fn learn_text(&mut self, name: &str, value: &str) {
        self.texts.retain(|(other, _)| other != name);
        self.texts.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn remember(&mut self, name: &str, value: u64) {
        self.numbers.push((name.to_owned(), value));
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        let latest = self.numbers.iter().rev().find(|(other, _)| other == name);
        latest.map_or_else(|| panic!("no number {name}"), |(_, value)| *value)
    }

    pub(crate) fn id(&self, name: &str) -> u64 {
        self.ids
            .iter()
            .find(|(other, _)| other == name)
            .map_or_else(|| panic!("no id {name}"), |(_, value)| *value)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts
            .iter()
            .find(|(other, _)| other == name)
            .map_or_else(|| panic!("no text {name}"), |(_, value)| value)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = (&str, u64)> {
        self.ids.iter().map(|(name, value)| (name.as_str(), *value))
    }

    pub(crate) fn is_term(&self, value: u64) -> bool {
        self.term == value
    }

    pub(crate) fn name_of(&self, value: u64) -> Option<&str> {
        self.ids.iter().find(|(_, id)| *id == value).map(|(name, _)| name.as_str())
    }

    /// Replaces names inside text: ids stand there in decimal or hexadecimal, URLs with or without their scheme.
    pub(crate) fn rewrite(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.texts {
            // A member's name is an ordinary word, so only a text that is nothing else is taken for it.
            if name == "name" {
                if &text == value {
                    text = format!("<{name}>");
                }
                continue;
            }
            text = text.replace(value.as_str(), &format!("<{name}>"));
            if let Some((_, address)) = value.split_once("://") {
                text = text.replace(address, &format!("<{name} address>"));
            }
        }
        for (name, value) in &self.ids {
            let name = format!("<{name}>");
            // The longer forms first: etcdctl pads some with zeros, and others with spaces behind a space.
            text = text
                .replace(&format!("{value:016x}"), &name)
                .replace(&format!(" {value:>16x}"), &format!(" {name}"))
                .replace(&format!("{value:x}"), &name)
                .replace(&value.to_string(), &name);
        }
        text
    }
}

const MEMBER_LIST: &str = "/etcdserverpb.Cluster/MemberList";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_recognised_however_it_is_padded() {
        let mut known = Known::default();
        known.learn_id("id", 0x0abc_def0_1234_5678);
        let text = "0abcdef012345678, abcdef012345678, to  abcdef012345678, 773738358679819896";
        assert_eq!(known.rewrite(text), "<id>, <id>, to <id>, <id>");
    }
}
