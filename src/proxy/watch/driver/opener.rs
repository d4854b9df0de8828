//! As whom the feeds of an identity are opened.

use bytes::{BufMut, BytesMut};

use super::super::core::Identity;
use crate::proxy::caller::Caller;

#[derive(Clone)]
pub(super) enum Opener {
    /// As etcdlet itself, for all who differ in nothing but their tokens.
    Account(Caller),
    /// As the clients themselves.
    Clients(Caller),
}

impl Opener {
    pub fn of_everybody(caller: &Caller) -> Self {
        Self::Account(caller.without_token())
    }

    pub fn identity(&self) -> Identity {
        Identity(match self {
            Self::Account(caller) => {
                let bytes = caller.bytes();
                let mut marked = BytesMut::with_capacity(1 + bytes.len());
                marked.put_u8(ACCOUNT);
                marked.extend_from_slice(&bytes);
                marked.freeze()
            }
            Self::Clients(caller) => caller.bytes(),
        })
    }

    pub fn requires_leader(&self) -> bool {
        let (Self::Account(caller) | Self::Clients(caller)) = self;
        caller.requires_leader()
    }
}

/// No caller's bytes begin with it: they begin with a length of eight bytes.
const ACCOUNT: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn users_are_one_and_never_one_of_them() {
        let caller = |pairs: &[(&'static str, &'static str)]| {
            let metadata: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            Caller::by(&metadata)
        };
        let nobody = caller(&[]);
        let all = Opener::of_everybody(&nobody).identity();
        for token in [caller(&[("token", "a")]), caller(&[("token", "b")]), caller(&[("authorization", "a")])]
        {
            assert_eq!(Opener::of_everybody(&token).identity(), all);
            assert_ne!(Opener::Clients(token).identity(), all);
        }
        assert_ne!(Opener::Clients(nobody).identity(), all);
        let leader = caller(&[("token", "a"), ("hasleader", "true")]);
        assert_ne!(Opener::of_everybody(&leader).identity(), all);
    }
}
