//! Which calls can be kept in a namespace, and which are refused because nobody could tell.

use http::header::{CONTENT_LENGTH, HeaderName};

use super::messages::{self, Message};
use crate::types::call::Call;
use crate::types::method::UNKNOWN;

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// These messages are edited: of the request, of the answer.
    Edited(&'static Message, &'static Message),
    /// It has no keys, or is not about this client's.
    Passes,
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A message that could be read only by whoever unpacks it.
    Compressed,
    /// JSON, or anything else outside of gRPC that might have keys.
    Gateway,
    UnknownMethod,
}

pub(super) fn judge(call: &Call) -> Verdict {
    let path = call.head.uri.path();
    if !call.is_grpc() {
        return if is_harmless(path) { Verdict::Passes } else { Verdict::Refused(Refusal::Gateway) };
    }
    match messages::of(call.rpc.path) {
        // etcd answers in the encoding of the request.
        Some(_) if !is_plain(call) => Verdict::Refused(Refusal::Compressed),
        Some((request, answer)) => Verdict::Edited(request, answer),
        None if *call.rpc != UNKNOWN || is_of_known_service(path) => Verdict::Passes,
        None => Verdict::Refused(Refusal::UnknownMethod),
    }
}

/// Takes out of the head what would not be true of an edited call.
pub(super) fn prepare(call: &mut Call) {
    call.head.headers.remove(CONTENT_LENGTH);
    // Nobody answers compressed then.
    call.head.headers.remove(&ACCEPT_ENCODING);
}

fn is_plain(call: &Call) -> bool {
    call.head.headers.get_all(&ENCODING).iter().all(|encoding| encoding == "identity")
}

/// What a member says of itself, named as nobody could misunderstand it. A path that is written in
/// another way may be taken for one of the gateway, which etcd's HTTP server decides after it has
/// decoded it.
fn is_harmless(path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
    let is_simple = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte));
    is_simple && !path.contains("..") && first.is_some_and(|first| HARMLESS.contains(&first))
}

/// A method that is not known, of a service whose methods pass.
fn is_of_known_service(path: &str) -> bool {
    let mut parts = path.split('/');
    let (root, service, method, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_name = |method: &str| method.bytes().all(|byte| byte.is_ascii_alphanumeric());
    root == Some("")
        && service.is_some_and(|service| SERVICES.contains(&service))
        && method.is_some_and(is_name)
        && rest.is_none()
}

static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

const HARMLESS: [&str; 7] = ["debug", "health", "livez", "metrics", "proxy", "readyz", "version"];

const SERVICES: [&str; 4] =
    ["etcdserverpb.Auth", "etcdserverpb.Cluster", "etcdserverpb.Maintenance", "grpc.health.v1.Health"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::call::{Body, Wire};
    use crate::types::client::Client;
    use crate::types::method::{Rpc, TABLE};

    fn call(path: &str, headers: &[(&'static str, &'static str)]) -> Call {
        let mut request = http::Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let is_grpc = crate::types::call::is_grpc(&head.headers);
        let rpc = if is_grpc { Rpc::of(head.uri.path()) } else { Rpc::of_http(&head) };
        let client = Client::own();
        Call { rpc, wire: Wire::H2, deadline: None, head: Box::new(head), client, body: Body::Empty }
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc");

    fn refusal(path: &str, headers: &[(&'static str, &'static str)]) -> Option<Refusal> {
        match judge(&call(path, headers)) {
            Verdict::Refused(refusal) => Some(refusal),
            Verdict::Edited(..) | Verdict::Passes => None,
        }
    }

    #[test]
    fn every_known_method_with_keys_is_edited_and_the_others_pass() {
        for row in &TABLE {
            let has_keys = ["KV/", "Watch/Watch", "LeaseTimeToLive", "Election/", "Lock/"];
            let edited = has_keys.iter().any(|part| row.path.contains(part))
                && !row.path.contains("Compact")
                && !row.path.contains("Health");
            let verdict = judge(&call(row.path, &[GRPC]));
            assert_eq!(matches!(verdict, Verdict::Edited(..)), edited, "{}", row.path);
            assert!(!matches!(verdict, Verdict::Refused(_)), "{}", row.path);
        }
    }

    #[test]
    fn a_method_that_nobody_knows_is_refused() {
        for path in [
            "/etcdserverpb.KV/Future",
            "/etcdserverpb.KV/R%61nge",
            "/etcdserverpb%2EKV/Range",
            "//etcdserverpb.KV/Range",
            "/etcdserverpb.KV/Range/",
            "/etcdserverpb.Watch/Future",
            "/etcdserverpb.Lease/Future",
            "/v3lockpb.Lock/TryLock",
            "/v3electionpb.Election/Future",
            "/etcdserverpb.Future/Range",
            "/etcdserverpb.Maintenance/../etcdserverpb.KV/Range",
            "/etcdserverpb.Maintenance/%2E%2E/etcdserverpb.KV",
            "/health",
        ] {
            assert_eq!(refusal(path, &[GRPC]), Some(Refusal::UnknownMethod), "{path}");
        }
        for path in ["/etcdserverpb.Maintenance/Future", "/grpc.health.v1.Health/List"] {
            assert_eq!(refusal(path, &[GRPC]), None, "{path}");
        }
    }

    #[test]
    fn outside_of_grpc_only_what_a_member_says_of_itself_passes() {
        for path in
            ["/health", "/health?serializable=true", "/version", "/metrics", "/debug/vars", "/readyz/x"]
        {
            assert_eq!(refusal(path, &[]), None, "{path}");
        }
        for path in [
            "/v3/kv/range",
            "/v3beta/kv/range",
            "/v3alpha/watch",
            "/%763/kv/range",
            "//v3/kv/range",
            "/health/../v3/kv/range",
            "/health/%2e%2e/v3/kv/range",
            "/v2/keys",
            "/",
            "*",
        ] {
            assert_eq!(refusal(path, &[]), Some(Refusal::Gateway), "{path}");
        }
    }

    /// etcd looks at each of them, or at the first one only, before it takes a path for one of the gateway.
    #[test]
    fn of_several_content_types_none_is_overlooked() {
        for both in [[("content-type", "text/plain"), GRPC], [GRPC, ("content-type", "text/plain")]] {
            let verdict = judge(&call("/etcdserverpb.KV/Range", &both));
            assert!(matches!(verdict, Verdict::Edited(..)), "{verdict:?}");
            assert_eq!(refusal("/v3/kv/range", &both), Some(Refusal::UnknownMethod));
        }
    }

    #[test]
    fn compressed_calls_are_refused_where_they_would_be_edited() {
        let gzip = [GRPC, ("grpc-encoding", "gzip")];
        assert_eq!(refusal("/etcdserverpb.KV/Range", &gzip), Some(Refusal::Compressed));
        assert_eq!(refusal("/etcdserverpb.Maintenance/Status", &gzip), None);
        let twice = [GRPC, ("grpc-encoding", "identity"), ("grpc-encoding", "gzip")];
        assert_eq!(refusal("/etcdserverpb.KV/Range", &twice), Some(Refusal::Compressed));
        assert_eq!(refusal("/etcdserverpb.KV/Range", &[GRPC, ("grpc-encoding", "identity")]), None);
        let mut call = call("/etcdserverpb.KV/Range", &[GRPC, ("grpc-accept-encoding", "gzip")]);
        prepare(&mut call);
        assert!(!call.head.headers.contains_key("grpc-accept-encoding"));
    }
}
