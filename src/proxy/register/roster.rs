//! Who is registered, as MemberList tells it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::config::Config;
use super::record::Record;
use crate::proto::etcdserverpb::{Member, MemberListResponse};
use crate::proto::mvccpb::{Event, KeyValue, event::EventType};
use crate::proxy::frames::framed;

pub(super) struct Roster {
    /// For as long as nobody is registered.
    own: Record,
    registered: BTreeMap<Bytes, Record>,
}

impl Roster {
    pub fn new(config: &Config) -> Self {
        let own = Record { url: config.advertise_client_url.clone(), name: config.name.clone() };
        Self { own, registered: BTreeMap::new() }
    }

    /// All that there is.
    pub fn handle_listing(&mut self, listing: &[KeyValue]) {
        self.registered.clear();
        for pair in listing {
            self.put(pair);
        }
    }

    pub fn handle_event(&mut self, event: &Event) {
        let Some(pair) = &event.kv else { return };
        if event.r#type() == EventType::Delete {
            self.registered.remove(&pair.key);
        } else {
            self.put(pair);
        }
    }

    /// The answer to MemberList: without a header, ids and peer URLs, which a proxy has none of.
    pub fn frame(&self) -> Bytes {
        let member = |record: &Record| Member {
            name: record.name.clone(),
            client_ur_ls: vec![record.url.clone()],
            ..Member::default()
        };
        let mut members: Vec<Member> = self.registered.values().map(member).collect();
        if members.is_empty() {
            members.push(member(&self.own));
        }
        framed(&MemberListResponse { header: None, members })
    }

    pub fn count(&self) -> usize {
        self.registered.len()
    }

    /// A value that can't be read leaves what was there before, as in etcd.
    fn put(&mut self, pair: &KeyValue) {
        let is_new = !self.registered.contains_key(&pair.key);
        if is_new && self.registered.len() >= PROXIES_MAX {
            return;
        }
        if let Some(record) = Record::from_json(&pair.value) {
            // A copy: the key would keep the whole message that it came in.
            self.registered.insert(Bytes::copy_from_slice(&pair.key), record);
        }
    }
}

/// More than a cluster serves; their list takes 100 bytes each in every answer.
pub(super) const PROXIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn roster() -> Roster {
        Roster::new(&Config {
            advertise_client_url: "own:1".into(),
            name: "node".into(),
            namespace: Bytes::new(),
            session: None,
        })
    }

    fn pair(key: &'static str, url: &str) -> KeyValue {
        let record = Record { url: url.to_owned(), name: format!("n-{url}") };
        KeyValue {
            key: Bytes::from_static(key.as_bytes()),
            value: record.to_json().into(),
            ..KeyValue::default()
        }
    }

    fn event(kind: EventType, pair: KeyValue) -> Event {
        Event { r#type: kind as i32, kv: Some(pair), prev_kv: None }
    }

    fn urls(roster: &Roster) -> Vec<String> {
        let list = MemberListResponse::decode(&roster.frame()[5..]).unwrap();
        assert_eq!(list.header, None);
        list.members.into_iter().flat_map(|member| member.client_ur_ls).collect()
    }

    #[test]
    fn alone_it_lists_itself_and_else_those_that_are_registered() {
        let mut roster = roster();
        assert_eq!(urls(&roster), ["own:1"]);
        roster.handle_listing(&[pair("p/b", "b:1"), pair("p/a", "a:1")]);
        assert_eq!(urls(&roster), ["a:1", "b:1"]);
        roster.handle_event(&event(EventType::Delete, pair("p/a", "")));
        roster.handle_event(&event(EventType::Put, pair("p/c", "c:1")));
        roster.handle_event(&event(EventType::Put, KeyValue { value: "{".into(), ..pair("p/c", "") }));
        assert_eq!(urls(&roster), ["b:1", "c:1"]);
        roster.handle_listing(&[]);
        assert_eq!(urls(&roster), ["own:1"]);
    }
}
