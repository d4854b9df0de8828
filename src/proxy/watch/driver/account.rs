//! What the feeds of all users are opened with: a token of etcdlet's own user (`upstream.auth`).
//!
//! ```text
//!   pass ──> is there one? ──> it
//!              └ none ──> Authenticate, once for all who wait ──> a token; or none, while auth is off
//!                              └ refused ──> nobody asks again for a while
//!   spend ──> a member refused it: the next one who needs one asks anew
//! ```
//!
//! Invariants: neither password nor token is ever logged; a pass that was refused is not handed out
//! again, unless it is so young that a member may have to learn of it; the cluster is not asked more
//! than once a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::HeaderValue;
use prost::Message;

use super::super::core::{Parted, Range};
use super::framed;
use crate::proto::etcdserverpb::{AuthenticateRequest, AuthenticateResponse};
use crate::proxy::caller::Caller;
use crate::proxy::{Proxy, peek, retry};
use crate::types::call::{Body, Call, Wire};
use crate::types::client::Client;
use crate::types::method::Rpc;
use crate::types::status::{Code, percent_decode};
use crate::upstream::health::Credentials;

pub(in crate::proxy::watch) struct Account {
    /// Held by who asks for a pass.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Ranges that it may not read, and when that was told.
    told: Mutex<HashMap<Range, Instant>>,
}

struct State {
    credentials: Credentials,
    pass: Option<Pass>,
    /// The last question.
    asked_at: Option<Instant>,
    /// The credentials were refused; they may be put right meanwhile.
    refused_at: Option<Instant>,
    made: u64,
}

#[derive(Clone)]
pub(super) struct Pass {
    /// None while auth is not enabled.
    token: Option<HeaderValue>,
    number: u64,
    made_at: Instant,
}

pub(super) enum NoPass {
    Refused,
    Unanswered,
}

/// What a member means who refuses a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another user might.
    Permission,
    /// Another pass would do.
    Pass,
}

impl Account {
    pub fn new(credentials: Credentials) -> Self {
        let state = State { credentials, pass: None, asked_at: None, refused_at: None, made: 0 };
        Self { asking: tokio::sync::Mutex::default(), state: Mutex::new(state), told: Mutex::default() }
    }

    /// Another password, or another user: whoever needs a pass from now on asks with these.
    pub fn set(&self, credentials: &Credentials) {
        let mut state = self.state();
        if state.credentials != *credentials {
            state.credentials = credentials.clone();
            (state.pass, state.refused_at) = (None, None);
        }
    }

    /// For streams of `caller`.
    pub(super) async fn pass(&self, proxy: &Arc<Proxy>, caller: &Caller) -> Result<Pass, NoPass> {
        let _asking = self.asking.lock().await;
        loop {
            let pause = {
                let state = self.state();
                if let Some(pass) = &state.pass {
                    return Ok(pass.clone());
                }
                if state.refused_at.is_some_and(|refused_at| refused_at.elapsed() < REFUSED_PAUSE) {
                    return Err(NoPass::Refused);
                }
                state.asked_at.map_or(Duration::ZERO, |asked_at| ASK_PAUSE.saturating_sub(asked_at.elapsed()))
            };
            tokio::time::sleep(pause).await;
            let credentials = {
                let mut state = self.state();
                state.asked_at = Some(Instant::now());
                state.credentials.clone()
            };
            let answer = authenticate(proxy, caller, &credentials).await;
            if let Some(pass) = self.on_answer(&credentials, answer) {
                return pass;
            }
        }
    }

    /// `None` when there are other credentials by now, of which the answer says nothing.
    fn on_answer(
        &self,
        asked_with: &Credentials,
        answer: Result<Option<HeaderValue>, NoPass>,
    ) -> Option<Result<Pass, NoPass>> {
        let mut state = self.state();
        if state.credentials != *asked_with {
            return None;
        }
        state.refused_at = matches!(answer, Err(NoPass::Refused)).then(Instant::now);
        state.made += 1;
        let number = state.made;
        let pass = answer.map(|token| Pass { token, number, made_at: Instant::now() });
        state.pass = pass.as_ref().ok().cloned();
        Some(pass)
    }

    /// A member has refused it. One that is young may only not be known everywhere yet.
    pub(super) fn spend(&self, pass: &Pass) {
        if pass.is_young() {
            return;
        }
        let mut state = self.state();
        state.pass.take_if(|present| present.number == pass.number);
    }

    /// Says, now and then, that its user may not read a range.
    pub fn on_parted(&self, parted: &Parted) {
        let mut told = self.told.lock().expect("nobody panics while holding the ranges");
        told.retain(|_, told_at| told_at.elapsed() < TELL_PAUSE);
        if told.len() >= TELL_MAX || told.insert(parted.range.clone(), Instant::now()).is_some() {
            return;
        }
        let (key, range_end) = parted.range.wire();
        let (key, range_end) = (key.escape_ascii(), range_end.escape_ascii());
        tracing::warn!(
            username = self.state().credentials.username,
            %key,
            %range_end,
            "upstream.auth may not read this range: its watches are shared by token only"
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the pass")
    }
}

impl Pass {
    /// What a stream is opened with.
    pub fn sign(&self, caller: &Caller) -> Caller {
        match &self.token {
            Some(token) => caller.with_token(token),
            None => caller.clone(),
        }
    }

    /// What it means that a member refused a watch with `reason` to who has this pass.
    pub fn refusal(&self, reason: &str) -> Option<Refusal> {
        match refusal_of(reason)? {
            // Older releases say so whatever they dislike.
            Refusal::Permission if self.made_at.elapsed() > FRESH => Some(Refusal::Pass),
            refusal => Some(refusal),
        }
    }

    /// How long to wait with another one, if this one was refused.
    pub fn pause(&self) -> Duration {
        if self.is_young() { YOUNG_PAUSE.mul_f64(0.5 + fastrand::f64()) } else { Duration::ZERO }
    }

    fn is_young(&self) -> bool {
        self.made_at.elapsed() < ASK_PAUSE
    }
}

/// A token; none while auth is off.
async fn authenticate(
    proxy: &Arc<Proxy>,
    caller: &Caller,
    credentials: &Credentials,
) -> Result<Option<HeaderValue>, NoPass> {
    let Credentials { username, password } = credentials;
    let request = AuthenticateRequest { name: username.clone(), password: password.clone() };
    let call = Call {
        rpc: Rpc::of(AUTHENTICATE),
        wire: Wire::H2,
        head: caller.head(AUTHENTICATE),
        deadline: None,
        client: Client::own(),
        body: Body::Full(framed(&request)),
    };
    let answered = proxy.answer(call, Instant::now()).await;
    let answer = answered.map_err(|_| NoPass::Unanswered)?.answer;
    if let Some((code, text)) = retry::error_of(&answer) {
        let text = percent_decode(text.map_or(b"", HeaderValue::as_bytes));
        return match code {
            Code::FailedPrecondition if text == NOT_ENABLED => Ok(None),
            Code::Canceled | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Unavailable => {
                Err(NoPass::Unanswered)
            }
            // Members that have not applied the same yet.
            _ if refusal_of(&text) == Some(Refusal::Pass) => Err(NoPass::Unanswered),
            _ => {
                tracing::warn!(
                    username,
                    error = %text,
                    "upstream.auth is refused: watches are shared by token only"
                );
                Err(NoPass::Refused)
            }
        };
    }
    let message = answer.body.data.as_deref().and_then(peek::message);
    let response = message.and_then(|message| AuthenticateResponse::decode(message).ok());
    let token = response.and_then(|response| HeaderValue::from_str(&response.token).ok());
    let mut token = token.filter(|token| !token.is_empty()).ok_or(NoPass::Unanswered)?;
    token.set_sensitive(true);
    Ok(Some(token))
}

fn refusal_of(reason: &str) -> Option<Refusal> {
    let is = |texts: &[&str]| texts.iter().any(|text| reason.ends_with(text));
    if is(&OTHER_PASS) {
        Some(Refusal::Pass)
    } else if is(&[DENIED]) {
        Some(Refusal::Permission)
    } else {
        None
    }
}

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// Texts of etcd's `api/v3rpc/rpctypes/error.go`.
const NOT_ENABLED: &str = "etcdserver: authentication is not enabled";
const DENIED: &str = "etcdserver: permission denied";
const OTHER_PASS: [&str; 3] = [
    "etcdserver: user name is empty",
    "etcdserver: invalid auth token",
    "etcdserver: revision of auth store is old",
];

/// Between two attempts with credentials that were refused: each costs the cluster a hash.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// Between two questions for a token, however often it is refused.
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// Followers have applied what the leader has by then.
const YOUNG_PAUSE: Duration = Duration::from_millis(100);

/// A pass that is older may be what a member dislikes when it denies permission.
const FRESH: Duration = Duration::from_secs(60);

/// Between two warnings of the same range, and how many are remembered.
const TELL_PAUSE: Duration = Duration::from_secs(600);
const TELL_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_etcds_words() {
        let pass = Pass { token: None, number: 1, made_at: Instant::now() };
        for (reason, expected) in [
            ("rpc error: code = Unauthenticated desc = etcdserver: invalid auth token", Some(Refusal::Pass)),
            ("rpc error: code = InvalidArgument desc = etcdserver: user name is empty", Some(Refusal::Pass)),
            (
                "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old",
                Some(Refusal::Pass),
            ),
            (
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                Some(Refusal::Permission),
            ),
            ("mvcc: watcher range is empty", None),
            ("", None),
        ] {
            assert_eq!(pass.refusal(reason), expected, "{reason}");
        }
    }

    #[test]
    fn an_answer_to_credentials_that_were_replaced_says_nothing_of_the_new_ones() {
        let [old, new] = ["old", "new"]
            .map(|password| Credentials { username: "u".into(), password: password.to_owned() });
        let account = Account::new(old.clone());
        account.set(&new);
        assert!(account.on_answer(&old, Err(NoPass::Refused)).is_none());
        assert!(account.state().refused_at.is_none());
        let token = |text| Ok(Some(HeaderValue::from_static(text)));
        assert!(account.on_answer(&old, token("of the old one")).is_none());
        assert!(account.state().pass.is_none());
        assert!(account.on_answer(&new, token("of the new one")).is_some_and(|pass| pass.is_ok()));
        assert!(account.state().pass.is_some());
    }

    #[test]
    fn what_was_spent_is_not_spent_twice() {
        let credentials = Credentials { username: "u".into(), password: "p".into() };
        let account = Account::new(credentials);
        let made_at = Instant::now() - ASK_PAUSE;
        let pass = |number| Pass { token: None, number, made_at };
        account.state().pass = Some(pass(2));
        account.spend(&pass(1));
        assert!(account.state().pass.is_some());
        account.spend(&Pass { made_at: Instant::now(), ..pass(2) });
        assert!(account.state().pass.is_some(), "a young one is kept");
        account.spend(&pass(2));
        assert!(account.state().pass.is_none());
    }
}
