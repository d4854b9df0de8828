//! Which member a call goes to, by one view.

use std::time::Duration;

use super::view::{Leader, Member, Reason, Standing, View};
use crate::types::ids::EndpointId;

/// What a call wants of its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Any member alike.
    Any,
    /// A follower if there is one: the answer is long work.
    Follower,
    Leader,
    /// A read that goes through the leader, wherever it is asked.
    Linearizable,
    /// The same, but the leader has enough to do.
    Local,
    /// This member and no other.
    Named(EndpointId),
    /// Always the same member, as long as it is healthy.
    Sticky,
}

impl Aim {
    /// The members that it may have in mind, if need be.
    pub(super) fn may_be(self, view: &View) -> impl Iterator<Item = &Member> {
        view.members.iter().filter(move |member| match self {
            Self::Named(id) => member.endpoint.id == id,
            _ => true,
        })
    }
}

/// Places among the members, at most [`MEMBERS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places(u64);

impl Places {
    pub fn contains(self, place: usize) -> bool {
        self.0 & (1 << (place % MEMBERS_MAX)) != 0
    }

    pub fn insert(&mut self, place: usize) {
        self.0 |= 1 << (place % MEMBERS_MAX);
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Endpoints that a view may have. An etcd cluster has some 7 members at most; a name that leads
/// to more addresses is not one of a cluster.
pub const MEMBERS_MAX: usize = 64;

/// The place of the member for a call, none of `tried`; `None` when there is none left, or when
/// the call wants a leader and there is none. `load` counts the streams and calls under way on
/// the member at a place. Two are drawn by chance, in proportion to their weights, and the one
/// with the lower cost gets the call: nearly as good as the best of all, and callers that decide
/// alike do not all run to one.
pub fn choose(view: &View, aim: Aim, tried: Places, load: impl Fn(usize) -> u32) -> Option<usize> {
    let leader = match view.leader {
        Leader::Known(place) => Some(place),
        Leader::Behind | Leader::None | Leader::Unknown => None,
    };
    let may_answer = |place: &usize| !tried.contains(*place) && rank(&view.members[*place]).is_some();
    match aim {
        Aim::Named(id) => {
            let place = view.members.iter().position(|member| member.endpoint.id == id);
            return place.filter(may_answer);
        }
        Aim::Leader if leader.is_some() => return leader.filter(may_answer),
        Aim::Leader if view.leader == Leader::None => return None,
        Aim::Sticky if view.sticky.as_ref().is_some_and(may_answer) => return view.sticky,
        Aim::Any | Aim::Follower | Aim::Leader | Aim::Linearizable | Aim::Local | Aim::Sticky => {}
    }
    let ranked = || {
        let untried = view.members.iter().enumerate().filter(|(place, _)| !tried.contains(*place));
        untried.filter_map(|(place, member)| {
            let is_leader = aim == Aim::Follower && leader == Some(place);
            Some(((rank(member)?, member.endpoint.priority, is_leader), place))
        })
    };
    let best = ranked().map(|(rank, _)| rank).min()?;
    let among = || ranked().filter(|(rank, _)| *rank == best).map(|(_, place)| place);
    let own_weight = |place: usize| f64::from(view.members[place].endpoint.weight.max(1));
    // The leader is nearly always among the two that are compared, or nearly never.
    let (chance, worth) = match aim {
        Aim::Linearizable => (LEADER_IS_DRAWN, LEADER_SAVES_A_HOP),
        Aim::Local => (1.0 / LEADER_IS_DRAWN, LEADER_IS_BUSY),
        _ => (1.0, 1.0),
    };
    let of_leader = |place: usize, factor: f64| if leader == Some(place) { factor } else { 1.0 };
    let weight = |place: usize| own_weight(place) * of_leader(place, chance);
    let first = draw(among(), weight)?;
    let Some(second) = draw(among().filter(|place| *place != first), weight) else { return Some(first) };
    let distance = |place: usize| steps(view.members[place].vitals.latency().unwrap_or_default());
    let cost = |place: usize| {
        let queue = f64::from(load(place)) + LOAD_AT_REST;
        distance(place) * queue / (own_weight(place) * of_leader(place, worth))
    };
    let takes_first = if distance(first) == distance(second) {
        cost(first) <= cost(second)
    } else {
        // Few calls to the one that is farther, but some: nobody else tells how it is.
        let (first, second) = (cost(first).powi(2), cost(second).powi(2));
        fastrand::f64() * (first + second) < second
    };
    Some(if takes_first { first } else { second })
}

/// One of `places` by chance, in proportion to their weights.
fn draw(places: impl Iterator<Item = usize> + Clone, weight: impl Fn(usize) -> f64) -> Option<usize> {
    let total: f64 = places.clone().map(&weight).sum();
    let mut left = fastrand::f64() * total;
    let mut last = None;
    for place in places {
        last = Some(place);
        left -= weight(place);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// A latency in powers of two: members that are alike must not be told apart by noise.
fn steps(latency: Duration) -> f64 {
    let ratio = latency.max(LATENCY_MIN).as_secs_f64() / LATENCY_MIN.as_secs_f64();
    ratio.log2().floor().exp2()
}

/// Lower is better; `None` is never.
fn rank(member: &Member) -> Option<u8> {
    match member.standing {
        _ if member.must_prove => None,
        Standing::Healthy => Some(0),
        Standing::Unproven => Some(1),
        Standing::Out(Reason::AnotherMember | Reason::ForeignCluster | Reason::Loop) => None,
        Standing::Out(reason) => Some(2 + reason as u8),
    }
}

/// A hop within one site, all of which are equal.
const LATENCY_MIN: Duration = Duration::from_millis(1);

/// Short calls that a member answers at once, and that make no difference yet.
const LOAD_AT_REST: f64 = 16.0;

const LEADER_IS_DRAWN: f64 = 64.0;

/// A linearizable read costs the leader a round of heartbeats, and a follower a round trip to the
/// leader before that.
const LEADER_SAVES_A_HOP: f64 = 4.0;

/// All writes of the cluster go through it.
const LEADER_IS_BUSY: f64 = 0.125;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::view::{Endpoint, Source, Verdict};
    use super::super::vitals::Vitals;
    use super::*;

    fn view(standings: &[Standing], leader: Leader) -> View {
        let now = Instant::now();
        let member = |(place, standing): (usize, &Standing)| Member {
            endpoint: Endpoint {
                id: EndpointId(place as u32),
                address: format!("http://127.0.0.1:{}", place + 1).parse().unwrap(),
                server_name: None,
                source: Source::Static,
                priority: 0,
                weight: 1,
            },
            name: Some(format!("m{place}")),
            standing: *standing,
            detail: String::new(),
            since: now,
            must_prove: false,
            report: None,
            vitals: Vitals::new(now),
            verdict: Verdict::Stay,
        };
        View { members: standings.iter().enumerate().map(member).collect(), leader, ..View::default() }
    }

    /// How often each of the places is chosen, of 3,000.
    fn shares(view: &View, aim: Aim) -> Vec<usize> {
        let mut shares = vec![0; view.members.len()];
        for _ in 0..3000 {
            if let Some(place) = choose(view, aim, Places::default(), |_| 0) {
                shares[place] += 1;
            }
        }
        shares
    }

    fn tried(places: &[usize]) -> Places {
        let mut tried = Places::default();
        places.iter().for_each(|place| tried.insert(*place));
        tried
    }

    const HEALTHY: Standing = Standing::Healthy;

    #[test]
    fn writes_go_to_the_leader_and_nowhere_else() {
        let view = view(&[HEALTHY; 3], Leader::Known(1));
        assert_eq!(shares(&view, Aim::Leader), [0, 3000, 0]);
        assert_eq!(choose(&view, Aim::Leader, tried(&[1]), |_| 0), None);
    }

    #[test]
    fn writes_wait_where_there_is_no_leader_and_go_anywhere_where_nobody_says() {
        assert_eq!(shares(&view(&[HEALTHY; 3], Leader::None), Aim::Leader), [0, 0, 0]);
        for leader in [Leader::Unknown, Leader::Behind] {
            let shares = shares(&view(&[HEALTHY; 3], leader), Aim::Leader);
            assert!(shares.iter().all(|share| *share > 500), "{shares:?}");
        }
    }

    #[test]
    fn local_reads_go_to_followers_and_linearizable_ones_to_the_leader() {
        let view = view(&[HEALTHY; 3], Leader::Known(0));
        let local = shares(&view, Aim::Local);
        assert!(local[0] == 0 && local[1] > 1000 && local[2] > 1000, "{local:?}");
        let linearizable = shares(&view, Aim::Linearizable);
        assert!(linearizable[0] > 2970, "{linearizable:?}");
    }

    #[test]
    fn a_loaded_leader_gives_reads_away() {
        let view = view(&[HEALTHY; 2], Leader::Known(0));
        for (of_leader, chosen) in [(40, 0), (80, 1)] {
            let load = |place| if place == 0 { of_leader } else { 2 };
            assert_eq!(choose(&view, Aim::Linearizable, Places::default(), load), Some(chosen));
        }
    }

    #[test]
    fn health_is_an_order_of_preference_and_a_foreign_cluster_is_never_an_answer() {
        let (lagging, silent) = (Standing::Out(Reason::Lagging), Standing::Out(Reason::Silent));
        let foreign = Standing::Out(Reason::ForeignCluster);
        let view = view(&[silent, foreign, lagging, HEALTHY], Leader::Unknown);
        let mut order = Vec::new();
        while let Some(place) = choose(&view, Aim::Local, tried(&order), |_| 0) {
            order.push(place);
        }
        assert_eq!(order, [3, 2, 0]);
    }

    #[test]
    fn nearer_and_heavier_members_get_more() {
        let mut view = view(&[HEALTHY; 2], Leader::Unknown);
        view.members[0].vitals.on_latency(Duration::from_millis(9));
        view.members[1].vitals.on_latency(Duration::from_millis(1));
        let near = shares(&view, Aim::Local);
        assert!(near[0] > 0 && near[1] > 2800, "{near:?}");
        view.members[0].endpoint.weight = 100;
        let heavy = shares(&view, Aim::Local);
        assert!(heavy[0] > 2800, "{heavy:?}");
    }

    #[test]
    fn members_that_are_alike_get_fair_shares_and_heavy_ones_nearly_all() {
        let mut view = view(&[HEALTHY; 3], Leader::Unknown);
        for (member, micros) in view.members.iter().zip([150, 600, 1900]) {
            member.vitals.on_latency(Duration::from_micros(micros));
        }
        let alike = shares(&view, Aim::Local);
        assert!(alike.iter().all(|share| *share > 850), "{alike:?}");
        view.members[2].endpoint.weight = 100;
        let heavy = shares(&view, Aim::Local);
        assert!(heavy[2] > 2950, "{heavy:?}");
    }

    #[test]
    fn a_lower_priority_number_comes_first_while_it_is_healthy() {
        let mut view = view(&[HEALTHY; 2], Leader::Unknown);
        view.members[0].endpoint.priority = 10;
        assert_eq!(shares(&view, Aim::Local), [0, 3000]);
        view.members[1].standing = Standing::Out(Reason::Unreachable);
        assert_eq!(shares(&view, Aim::Local), [3000, 0]);
    }

    #[test]
    fn long_work_goes_to_a_follower_and_sticky_calls_to_one_member() {
        let mut view = view(&[HEALTHY; 2], Leader::Known(0));
        assert_eq!(shares(&view, Aim::Follower), [0, 3000]);
        view.sticky = Some(0);
        assert_eq!(shares(&view, Aim::Sticky), [3000, 0]);
        assert_eq!(choose(&view, Aim::Sticky, tried(&[0]), |_| 0), Some(1));
    }

    #[test]
    fn a_member_is_found_by_name_and_by_id() {
        let view = view(&[HEALTHY; 3], Leader::Unknown);
        assert_eq!(view.named("m2"), Some(2));
        assert_eq!(view.named("nobody"), None);
    }
}
