//! Which calls may go on: a call must not come back to where it has been, and must ask for what its
//! listener serves.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

use crate::types::call::Call;
use crate::types::client::{INFO_PATHS, Serves};
use crate::types::hop::{self, HOP};
use crate::types::status::{Code, Status};

pub(super) struct Admission {
    own: HeaderValue,
}

impl Admission {
    pub fn new() -> Self {
        Self { own: hop::own() }
    }

    /// Marks the call, or refuses it: an endpoint leads back here.
    pub fn admit(&self, metadata: &mut HeaderMap) -> Result<(), Status> {
        let mut hops = 0;
        for hop in metadata.get_all(&HOP) {
            hops += 1;
            if hop == self.own || hops >= HOPS_MAX {
                tracing::error!(hops, "an endpoint of this etcdlet leads back to itself");
                return Err(Status::new(Code::FailedPrecondition, hop::LOOP));
            }
        }
        let marked = metadata.try_append(&HOP, self.own.clone());
        marked.map(|_| ()).map_err(|_full| TOO_MANY_HEADERS)
    }
}

/// Refuses what is not to be found at the call's listener.
pub(super) fn find(call: &Call) -> Result<(), Status> {
    match call.client.terms.serves {
        Serves::Info if !INFO_PATHS.contains(&call.head.uri.path()) => {
            let code = if call.is_grpc() { Code::Unimplemented } else { Code::NotFound };
            Err(Status::new(code, "etcdlet: this listener serves metrics and health only"))
        }
        Serves::All | Serves::Info => Ok(()),
    }
}

/// A map of headers holds about 24,000 names.
pub(super) const TOO_MANY_HEADERS: Status =
    Status { code: Code::ResourceExhausted, message: Cow::Borrowed("etcdlet: too many headers") };

/// A chain longer than this is taken for a loop between processes that hide their marks.
const HOPS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_passes_once_and_not_twice() {
        let admission = Admission::new();
        let mut metadata = HeaderMap::new();
        assert_eq!(admission.admit(&mut metadata), Ok(()));
        assert_eq!(metadata.get_all(&HOP).iter().count(), 1);
        assert_eq!(admission.admit(&mut metadata).unwrap_err().code, Code::FailedPrecondition);
    }

    #[test]
    fn a_chain_of_proxies_is_allowed_up_to_a_limit() {
        let admission = Admission::new();
        let mut metadata = HeaderMap::new();
        for hop in 0..HOPS_MAX - 1 {
            metadata.append(&HOP, HeaderValue::from(hop));
        }
        assert_eq!(admission.admit(&mut metadata), Ok(()));
        let mut metadata = HeaderMap::new();
        for hop in 0..HOPS_MAX {
            metadata.append(&HOP, HeaderValue::from(hop));
        }
        assert!(admission.admit(&mut metadata).is_err());
    }
}
