//! The member list as clients of this node may use it: every member is reached by etcdlet.
//!
//! Clients that ask for the members and then connect to them (etcd's client with auto-sync,
//! Patroni, `etcdctl --cluster`) would leave etcdlet behind. On demand, the client URLs in the
//! answer of `MemberList`, also in JSON, are replaced by etcdlet's own; ids, names and peer URLs stay.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use serde_json::Value;

use super::peek;
use crate::types::method::Rpc;
use crate::upstream::Answer;

pub(super) fn is_asked_by(rpc: &Rpc) -> bool {
    matches!(rpc.path, "/etcdserverpb.Cluster/MemberList" | "/v3/cluster/member/list")
}

/// Replaces the client URLs in an answer, in JSON or gRPC, by `url`. What is no member list stays.
pub(super) fn localize(answer: &mut Answer, url: &str, in_json: bool) {
    let Some(data) = &mut answer.body.data else { return };
    let localized = if in_json { localize_json(data, url) } else { localize_frame(data, url) };
    let Some(localized) = localized else { return };
    *data = localized;
    if let Some(length) = answer.head.headers.get_mut(CONTENT_LENGTH) {
        *length = data.len().into();
    }
}

fn localize_json(json: &[u8], url: &str) -> Option<Bytes> {
    let mut list: Value = serde_json::from_slice(json).ok()?;
    for member in list.get_mut("members")?.as_array_mut()? {
        if let Some(urls) = member.get_mut("clientURLs").and_then(Value::as_array_mut)
            && !urls.is_empty()
        {
            *urls = vec![url.into()];
        }
    }
    Some(list.to_string().into())
}

/// The answer (one plain gRPC frame) with the client URLs of every member that has any replaced
/// by `url`. `None` for what is no member list.
fn localize_frame(frame: &[u8], url: &str) -> Option<Bytes> {
    const MEMBERS: u32 = 2;
    let mut list = BytesMut::with_capacity(frame.len());
    for field in peek::raw_fields(peek::message(frame)?) {
        let field = field?;
        match field.bytes.filter(|_| field.number == MEMBERS) {
            Some(member) => put(&mut list, MEMBERS, &localize_member(member, url)?),
            None => list.put_slice(field.raw),
        }
    }
    let mut framed = BytesMut::with_capacity(5 + list.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(list.len()).ok()?);
    framed.put_slice(&list);
    Some(framed.freeze())
}

fn localize_member(member: &[u8], url: &str) -> Option<BytesMut> {
    const CLIENT_URLS: u32 = 4;
    let mut localized = BytesMut::with_capacity(member.len());
    let mut has_urls = false;
    for field in peek::raw_fields(member) {
        let field = field?;
        if field.number != CLIENT_URLS {
            localized.put_slice(field.raw);
        } else if !has_urls {
            has_urls = true;
            put(&mut localized, CLIENT_URLS, url.as_bytes());
        }
    }
    Some(localized)
}

/// A field of bytes.
fn put(message: &mut BytesMut, number: u32, bytes: &[u8]) {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, message);
    prost::encoding::encode_varint(bytes.len() as u64, message);
    message.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb::{Member, MemberListResponse, ResponseHeader};
    use prost::Message;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut frame = vec![0];
        frame.extend((message.len() as u32).to_be_bytes());
        frame.extend(message);
        frame
    }

    fn list(urls: &[&[&str]]) -> MemberListResponse {
        let member = |(place, urls): (usize, &&[&str])| Member {
            id: place as u64 + 1,
            name: format!("m{place}"),
            peer_ur_ls: vec!["http://10.0.0.1:2380".into()],
            client_ur_ls: urls.iter().map(|url| (*url).to_owned()).collect(),
            is_learner: place == 1,
        };
        let header = Some(ResponseHeader { cluster_id: 7, ..Default::default() });
        MemberListResponse { header, members: urls.iter().enumerate().map(member).collect() }
    }

    #[test]
    fn client_urls_become_ours_and_everything_else_stays() {
        let mut message = list(&[&["http://a:1", "http://b:2"], &[]]).encode_to_vec();
        // A field of tomorrow.
        message.extend([0x7a, 2, b'h', b'i']);
        let localized = localize_frame(&framed(&message), "http://127.0.0.1:2379").unwrap();
        let expected = list(&[&["http://127.0.0.1:2379"], &[]]);
        assert_eq!(MemberListResponse::decode(&localized[5..]).unwrap(), expected);
        assert!(localized.ends_with(&[0x7a, 2, b'h', b'i']));
    }

    #[test]
    fn in_json_the_same_happens() {
        let list = br#"{"header":{"cluster_id":"7"}, "members":[{"ID":"18446744073709551615","clientURLs":["http://a:1","http://b:2"],"name":"m0"},{"ID":"2"}]}"#;
        let expected = r#"{"header":{"cluster_id":"7"},"members":[{"ID":"18446744073709551615","clientURLs":["http://h:1"],"name":"m0"},{"ID":"2"}]}"#;
        assert_eq!(localize_json(list, "http://h:1").unwrap(), expected);
        for other in ["{}", "[]", "not JSON", r#"{"members":7}"#] {
            assert_eq!(localize_json(other.as_bytes(), "http://h:1"), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_list_is_left_alone() {
        assert_eq!(localize_frame(b"", "http://h:1"), None);
        assert_eq!(localize_frame(&framed(&[0xff; 9]), "http://h:1"), None);
        assert_eq!(localize_frame(&[1, 0, 0, 0, 0], "http://h:1"), None, "compressed");
    }
}
