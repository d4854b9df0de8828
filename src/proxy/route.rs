//! Where a call goes, and how it may be treated: by its row in the method table, and a look at
//! the request where the table leaves it open.

use http::HeaderName;

use super::config::{Config, Settings};
use super::gateway;
use super::peek::{self, Kind};
use super::read_ahead::{Budget, Hold};
use crate::types::call::{Body, Broken, Call};
use crate::types::ids::EndpointId;
use crate::types::method::{Effect, Rpc, Shape, Target};
use crate::upstream::view::View;
use crate::upstream::vitals::Path;
use crate::upstream::{Aim, Gather, LaneKind, Route};

/// What was decided about a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub route: Route,
    /// What the call does, as far as a look at it can tell.
    pub effect: Effect,
    pub kind: Option<Kind>,
    /// Its answer certainly shows what a majority has agreed on.
    pub proves: bool,
    /// There is one member that it may go to.
    pub named: bool,
    /// etcd refuses it before anything else where there is no leader.
    pub has_leader: bool,
    /// It is one of the JSON gateway.
    pub gateway: bool,
}

#[derive(Debug)]
pub(super) enum Unroutable {
    /// The client left in the middle of its request.
    Abandoned,
    /// It names a member that is not known.
    NoSuchMember(String),
}

/// Reads the request ahead where it has one message, and decides. What was read is held in the
/// budget as long as the second value lives.
pub(super) async fn plan<'a>(
    call: &mut Call,
    settings: &Settings,
    budget: &'a Budget,
    view: impl Fn() -> std::sync::Arc<View>,
) -> Result<(Plan, Option<Hold<'a>>), Unroutable> {
    let named = match call.head.headers.remove(&MEMBER) {
        None => None,
        Some(name) => {
            let name = name.to_str().unwrap_or_default();
            let view = view();
            let member = view.named(name).map(|place| view.members[place].endpoint.id);
            Some(member.ok_or_else(|| Unroutable::NoSuchMember(name.to_owned()))?)
        }
    };
    let mut hold = None;
    if call.rpc.shape != Shape::Bidirectional {
        let body = std::mem::replace(&mut call.body, Body::Empty);
        let limits = settings.load().read_ahead();
        let read = match call.rpc.is_http() {
            false => budget.read(body, limits).await,
            true => Box::pin(budget.read_http(body, limits)).await,
        };
        let (body, held) = read.map_err(|_broken: Broken| Unroutable::Abandoned)?;
        call.body = body;
        hold = Some(held);
    }
    let length = hold.as_ref().map_or(0, Hold::length);
    Ok((decide(call, &settings.load(), length, named), hold))
}

fn decide(call: &Call, config: &Config, length: usize, named: Option<EndpointId>) -> Plan {
    let rpc = call.rpc;
    let message = match &call.body {
        Body::Empty => Some(&[][..]),
        Body::Full(bytes) => peek::message(bytes),
        Body::Stream(_) | Body::Trailers(_) | Body::Whole(..) => None,
    };
    let asked = rpc.is_gateway().then(|| gateway::asked(call));
    let kind = match &asked {
        Some(asked) => asked.kind,
        None => kind(call, message),
    };
    let effect = match kind {
        Some(Kind::Write) => Effect::Mutation,
        Some(Kind::LinearizableRead | Kind::SerializableRead) => Effect::Read,
        None => rpc.effect,
    };
    let unary = rpc.shape == Shape::Unary && !rpc.endless;
    let long = match &asked {
        Some(asked) => asked.long,
        None => is_long(call, length),
    };
    let lane = if rpc.endless || rpc.shape == Shape::Bidirectional {
        LaneKind::Stream
    } else if long || rpc.is_http() {
        LaneKind::Bulk
    } else {
        LaneKind::Unary
    };
    let aim = aim(rpc, config, kind, named);
    let path = match aim {
        // Some of these take long, and are meant to.
        Aim::Follower | Aim::Named(_) | Aim::Sticky => None,
        _ if rpc.endless || lane == LaneKind::Stream => None,
        _ if long => Some(Path::Bulk),
        // In JSON it takes longer: that says nothing of the way to the member.
        Aim::Local if asked.is_some() => Some(Path::Bulk),
        Aim::Local => Some(Path::Local),
        Aim::Any | Aim::Leader | Aim::Linearizable => Some(Path::Quorum),
    };
    let route = Route {
        aim,
        lane,
        path,
        evictable: unary && effect == Effect::Read && named.is_none(),
        gathers: match (unary, rpc.is_http()) {
            (true, false) => Some(Gather::Message),
            (true, true) if asked.is_some() => Some(Gather::Body),
            (true | false, _) => None,
        },
    };
    let gateway = asked.is_some();
    let has_leader = unary && !gateway && call.head.headers.contains_key(&HAS_LEADER);
    let proves = match rpc.path {
        "/etcdserverpb.KV/DeleteRange" | "/etcdserverpb.KV/Put" => true,
        "/etcdserverpb.KV/Range" => message.is_some_and(peek::is_linearizable),
        _ => asked.is_some_and(|asked| asked.proves),
    };
    Plan { route, effect, kind, proves, named: named.is_some(), has_leader, gateway }
}

fn aim(rpc: &Rpc, config: &Config, kind: Option<Kind>, named: Option<EndpointId>) -> Aim {
    match (named, rpc.target, kind) {
        // Its revision comes last: whether it is fresh can't be told from its beginning.
        (None, Target::Peek, Some(Kind::SerializableRead))
            if config.leader_aware && rpc.shape == Shape::ServerStream =>
        {
            Aim::Linearizable
        }
        (Some(member), ..) => Aim::Named(member),
        (None, Target::Follower, _) => Aim::Follower,
        (None, Target::Member, _) => Aim::Sticky,
        (None, ..) if !config.leader_aware => Aim::Any,
        (None, Target::Any, _) | (None, Target::Peek, Some(Kind::SerializableRead)) => Aim::Local,
        (None, Target::Peek, Some(Kind::LinearizableRead)) => Aim::Linearizable,
        (None, Target::Leader | Target::Peek, _) => Aim::Leader,
    }
}

/// What the request asks for, where its method alone does not say.
fn kind(call: &Call, message: Option<&[u8]>) -> Option<Kind> {
    match (call.rpc.path, message) {
        ("/etcdserverpb.KV/Range" | "/etcdserverpb.KV/RangeStream", Some(message)) => {
            Some(peek::range(message))
        }
        ("/etcdserverpb.KV/Range" | "/etcdserverpb.KV/RangeStream", None) => Some(Kind::LinearizableRead),
        ("/etcdserverpb.KV/Txn", Some(message)) => Some(peek::txn(message)),
        ("/etcdserverpb.Maintenance/Alarm", Some(message)) => Some(peek::alarm(message)),
        ("/etcdserverpb.KV/Txn" | "/etcdserverpb.Maintenance/Alarm", None) => Some(Kind::Write),
        _ => None,
    }
}

/// Whether the request or its answer may be long. A transaction's answer may be too, but hardly
/// ever is.
fn is_long(call: &Call, request: usize) -> bool {
    let long_answer = match &call.body {
        Body::Full(bytes) if is_range(call) => peek::message(bytes).is_none_or(peek::is_long_range),
        // A range that could not be looked at.
        Body::Stream(_) if is_range(call) => true,
        _ => call.rpc.shape == Shape::ServerStream,
    };
    long_answer || request > SHORT_REQUEST
}

fn is_range(call: &Call) -> bool {
    call.rpc.path == "/etcdserverpb.KV/Range"
}

/// By which a client names the member that it means: its name, or its id in hexadecimal.
static MEMBER: HeaderName = HeaderName::from_static("etcdlet-member");

static HAS_LEADER: HeaderName = HeaderName::from_static("hasleader");

/// A request up to this size fits the smallest connection window of HTTP/2, so that it waits
/// for nothing and others do not wait for it.
const SHORT_REQUEST: usize = 32 << 10;
