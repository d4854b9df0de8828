//! Whose token it is, without telling the token.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prometheus::IntGauge;

/// What is known of tokens.
pub(super) struct Tokens {
    /// With a key that nobody knows, another one in each process: from a hash nobody finds the token.
    hasher: RandomState,
    users: Mutex<Users>,
    max: usize,
    count: IntGauge,
}

/// Who was given which token, by its hash; the latest ones.
#[derive(Default)]
struct Users {
    names: HashMap<u64, String>,
    order: VecDeque<u64>,
}

/// Whose call it is, as far as its token says.
pub(super) struct Holder {
    pub user: Option<String>,
    pub hash: u64,
}

impl Holder {
    pub fn of(token: &[u8], tokens: &Tokens) -> Self {
        let hash = tokens.hash(token);
        Self { user: named(token).or_else(|| tokens.user(hash)), hash }
    }
}

impl Tokens {
    pub fn new(max: usize, count: IntGauge) -> Self {
        Self { hasher: RandomState::new(), users: Mutex::default(), max, count }
    }

    /// By which the calls of one token can be told together.
    pub fn hash(&self, token: &[u8]) -> u64 {
        self.hasher.hash_one(token)
    }

    /// A member has given this token to this user.
    pub fn learn(&self, token: u64, user: &str) {
        let Users { names, order } = &mut *self.lock();
        if names.insert(token, user.to_owned()).is_none() {
            order.push_back(token);
        }
        if order.len() > self.max
            && let Some(oldest) = order.pop_front()
        {
            names.remove(&oldest);
        }
        self.count.set(order.len() as i64);
    }

    /// Who was seen to get it.
    fn user(&self, token: u64) -> Option<String> {
        self.lock().names.get(&token).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Users> {
        self.users.lock().expect("nobody panics while holding the names")
    }
}

/// The user in the claims of a JSON web token. Nobody has checked its signature here: where that
/// is wrong, etcd refuses the calls for which it asks who it is, and no others.
fn named(token: &[u8]) -> Option<String> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("username")?.as_str()?.to_owned())
}

#[cfg(test)]
impl Default for Tokens {
    fn default() -> Self {
        Self::new(100, IntGauge::new("tokens", "For tests.").unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_token_names_its_user() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"username":"alice","revision":7,"exp":1}"#);
        assert_eq!(named(format!("e30.{claims}.c2ln").as_bytes()).as_deref(), Some("alice"));
        for token in ["", "abcdefghijklmnop.17", "a.b.c", "a.e30.c", &format!("a.{claims}.c.d")] {
            assert_eq!(named(token.as_bytes()), None, "{token}");
        }
    }

    #[test]
    fn a_simple_token_is_of_who_was_given_it() {
        let tokens = Tokens::default();
        let first = tokens.hash(b"a.1");
        tokens.learn(first, "alice");
        assert_eq!(Holder::of(b"a.1", &tokens).user.as_deref(), Some("alice"));
        assert_eq!(Holder::of(b"a.2", &tokens).user, None);
        for other in 0..tokens.max as u64 {
            tokens.learn(first.wrapping_add(1 + other), "bob");
        }
        assert_eq!(Holder::of(b"a.1", &tokens).user, None);
        assert_eq!((tokens.lock().names.len(), tokens.count.get()), (tokens.max, tokens.max as i64));
        assert_ne!(first, Tokens::default().hash(b"a.1"));
    }
}
