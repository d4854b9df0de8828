//! Days in the life of three members, told probe by probe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Core, ListedMember, News, Outcome, Output, Probe, Seed};
use super::{Config, Weight};
use crate::types::ids::{ClusterId, EndpointId, MemberId, Term};
use crate::upstream::view::{Leader, Member, Reason, Report, Source, Standing, Verdict, View};
use crate::upstream::vitals::Path;

/// A core whose members do as they are told.
struct World {
    core: Core,
    now: Instant,
    members: Vec<Script>,
    news: Vec<News>,
    view: Arc<View>,
    probes: [usize; 3],
    /// Without an answer: id, probe, when it was sent.
    hanging: Vec<(EndpointId, Probe, Instant)>,
}

/// How a member answers.
#[derive(Clone)]
struct Script {
    url: &'static str,
    state: State,
    cluster: u64,
    id: u64,
    term: u64,
    leader: u64,
    applied: u64,
    learner: bool,
    version: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Up,
    Down,
    Frozen,
    /// Status only.
    Stuck,
    /// Status is for others.
    Closed,
    /// It wants TLS, say.
    Garbled,
}

const MS: Duration = Duration::from_millis(1);

impl World {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let urls = ["http://a:1", "http://b:1", "http://c:1"];
        let script = |(place, url): (usize, &&'static str)| Script {
            url,
            state: State::Up,
            cluster: 7,
            id: place as u64 + 1,
            term: 2,
            leader: 1,
            applied: 100,
            learner: false,
            version: "3.5.30",
        };
        let members: Vec<Script> = urls.iter().enumerate().map(script).collect();
        let mut core = Core::new(config, 1, now);
        core.handle_seeds(&urls.map(seed), now);
        Self {
            core,
            now,
            members,
            news: Vec::new(),
            view: Arc::default(),
            probes: [0; 3],
            hanging: Vec::new(),
        }
    }

    fn started() -> Self {
        let mut world = Self::new(config());
        world.run(2000);
        world.news.clear();
        world
    }

    /// Time passes in steps of 5 ms; probes are answered within one.
    fn run(&mut self, millis: u64) {
        let end = self.now + MS * millis as u32;
        while self.now < end {
            self.core.handle_timeout(self.now);
            let mut answers = Vec::new();
            while let Some(output) = self.core.poll_output(self.now) {
                match output {
                    Output::News(news) => self.news.push(news),
                    Output::Probe(id, probe) => {
                        let url = self.core.endpoint(id).unwrap().address.to_string();
                        answers.push((id, probe, self.now, url));
                    }
                    Output::Removed(_) => {}
                    Output::View(view) => self.view = view,
                }
            }
            let sent_at = self.now;
            self.now += 5 * MS;
            for (id, probe, sent, url) in answers {
                self.probes[probe as usize] += 1;
                match self.answer(&url, probe, sent_at) {
                    Some(outcome) => self.core.handle_outcome(id, probe, sent, outcome, self.now),
                    None => self.hanging.push((id, probe, sent)),
                }
            }
            let limit = self.now - 1500 * MS;
            while self.hanging.first().is_some_and(|(_, _, sent)| *sent <= limit) {
                let (id, probe, sent) = self.hanging.remove(0);
                self.core.handle_outcome(id, probe, sent, Outcome::TimedOut, self.now);
            }
        }
    }

    fn answer(&self, url: &str, probe: Probe, sent_at: Instant) -> Option<Outcome> {
        let Some(script) = self.members.iter().find(|script| script.url == url) else {
            return Some(Outcome::Failed("nobody is there".into()));
        };
        Some(match (script.state, probe) {
            (State::Frozen, _) | (State::Stuck, Probe::Read | Probe::Members) => return None,
            (State::Down, _) => Outcome::Failed("connection refused".into()),
            (State::Garbled, _) => Outcome::Garbled("no HTTP/2 there".into()),
            (State::Closed, Probe::Status) => Outcome::Closed { not_ready: None },
            (_, Probe::Read) if script.leader == 0 => Outcome::Refused("no leader".into()),
            (_, Probe::Read) => Outcome::Read,
            (_, Probe::Members) => Outcome::Members(ClusterId(script.cluster), self.list()),
            (_, Probe::Status) => Outcome::Status(Report {
                cluster_id: ClusterId(script.cluster),
                member_id: MemberId(script.id),
                term: Term(script.term),
                leader: Some(script.leader).filter(|leader| *leader != 0).map(MemberId),
                applied_index: script.applied,
                learner: script.learner,
                version: script.version.into(),
                errors: Vec::new(),
                sent_at,
                received_at: self.now,
            }),
        })
    }

    fn list(&self) -> Vec<ListedMember> {
        let listed = |script: &Script| ListedMember {
            id: MemberId(script.id),
            name: format!("m{}", script.id),
            client_urls: vec![script.url.parse().unwrap()],
            learner: script.learner,
        };
        self.members.iter().map(listed).collect()
    }

    fn elect(&mut self, term: u64, leader: u64, followers: &[usize]) {
        for place in followers {
            (self.members[*place].term, self.members[*place].leader) = (term, leader);
        }
    }

    fn member(&self, url: &str) -> &Member {
        self.view.members.iter().find(|member| member.endpoint.address.to_string() == url).unwrap()
    }

    fn standing(&self, place: usize) -> Standing {
        self.member(self.members[place].url).standing
    }

    fn leader_url(&self) -> Option<String> {
        match self.view.leader {
            Leader::Known(place) => Some(self.view.members[place].endpoint.address.to_string()),
            _ => None,
        }
    }
}

fn config() -> Config {
    Config {
        idle_interval: 5000 * MS,
        suspicion_after: 250 * MS,
        suspicion_interval: 100 * MS,
        silent_after: 400 * MS,
        lag_entries_max: 5000,
        sync_members: true,
        sync_interval: 30_000 * MS,
        weights: Vec::new(),
        cluster_id: None,
    }
}

fn seed(url: &str) -> Seed {
    Seed { address: url.parse().unwrap(), server_name: None, source: Source::Static, priority: 0, weight: 1 }
}

const OUT: fn(Reason) -> Standing = Standing::Out;

#[test]
fn a_healthy_cluster_is_learnt_and_then_asked_rarely() {
    let mut world = World::started();
    assert!((0..3).all(|place| world.standing(place) == Standing::Healthy));
    assert_eq!(world.leader_url().unwrap(), "http://a:1");
    assert_eq!(world.member("http://b:1").name.as_deref(), Some("m2"));
    assert!(!world.view.suspicion);
    world.probes = [0; 3];
    world.run(60_000);
    let [members, reads, status] = world.probes;
    assert_eq!(reads, 0);
    assert!((30..=36).contains(&status), "{status} in a minute, of 3 members");
    assert!(members <= 3, "{members}");
}

#[test]
fn a_killed_leader_is_out_at_once_and_calls_wait_for_the_next() {
    let mut world = World::started();
    world.members[0].state = State::Down;
    world.core.handle_suspicion(world.now);
    world.run(50);
    assert_eq!(world.standing(0), OUT(Reason::Unreachable));
    assert_eq!(world.view.leader, Leader::None, "its followers do not know yet");
    // They wait for a leader as well, and so do reads that they are asked for.
    world.members[1].state = State::Stuck;
    world.members[2].state = State::Stuck;
    world.run(1000);
    assert_eq!(world.view.leader, Leader::None);
    world.members[1].state = State::Up;
    world.members[2].state = State::Up;
    world.elect(3, 2, &[1, 2]);
    world.run(150);
    assert_eq!(world.leader_url().unwrap(), "http://b:1");
    assert_eq!(world.member("http://a:1").verdict, Verdict::CutAll);
}

#[test]
fn a_leader_that_only_we_cannot_reach_is_reached_by_its_followers() {
    let mut world = World::started();
    world.members[0].state = State::Down;
    world.core.handle_suspicion(world.now);
    world.run(300);
    assert_eq!(world.view.leader, Leader::Behind);
}

#[test]
fn whoever_was_out_comes_back_by_a_read_through_the_leader() {
    let mut world = World::started();
    world.members[2].state = State::Down;
    world.core.handle_suspicion(world.now);
    world.run(500);
    assert_eq!(world.standing(2), OUT(Reason::Unreachable));
    world.members[2].state = State::Stuck;
    world.run(5000);
    assert!(world.standing(2) != Standing::Healthy);
    world.members[2].state = State::Up;
    // The read that hangs has its time first.
    world.run(3000);
    assert_eq!(world.standing(2), Standing::Healthy);
}

#[test]
fn a_frozen_follower_is_silent_and_its_calls_are_cut() {
    let mut world = World::started();
    world.members[1].state = State::Frozen;
    let id = world.member("http://b:1").endpoint.id;
    world.core.handle_silence(id, Path::Local, 250 * MS, world.now);
    world.run(450);
    assert_eq!(world.standing(1), OUT(Reason::Silent));
    assert_eq!(world.member("http://b:1").verdict, Verdict::CutAll);
}

#[test]
fn an_idle_node_finds_a_frozen_member_too() {
    let mut world = World::started();
    world.members[1].state = State::Frozen;
    world.run(6400);
    assert_eq!(world.standing(1), OUT(Reason::Silent));
}

#[test]
fn a_frozen_leader_keeps_its_writes_until_another_is_elected() {
    let mut world = World::started();
    world.members[0].state = State::Frozen;
    world.members[1].state = State::Stuck;
    world.members[2].state = State::Stuck;
    world.core.handle_suspicion(world.now);
    world.run(600);
    assert_eq!(world.standing(0), OUT(Reason::Silent));
    assert_eq!(world.member("http://a:1").verdict, Verdict::CutStreams);
    assert_eq!(world.view.leader, Leader::None);
    world.elect(3, 3, &[1, 2]);
    world.members[1].state = State::Up;
    world.members[2].state = State::Up;
    world.run(150);
    assert_eq!(world.leader_url().unwrap(), "http://c:1");
    assert_eq!(world.member("http://a:1").verdict, Verdict::CutAll);
}

#[test]
fn when_nobody_answers_nobody_is_called_silent() {
    let mut world = World::started();
    world.members.iter_mut().for_each(|member| member.state = State::Frozen);
    world.core.handle_suspicion(world.now);
    world.run(10_000);
    assert!((0..3).all(|place| world.standing(place) == Standing::Healthy));
}

#[test]
fn a_leader_that_is_cut_off_is_not_believed_when_the_others_deny_it() {
    let mut world = World::started();
    world.elect(2, 0, &[1, 2]);
    world.core.handle_suspicion(world.now);
    world.run(150);
    assert_eq!(world.view.leader, Leader::None);
    assert!(world.news.contains(&News::LeaderLost { term: Term(2) }));
    world.elect(3, 2, &[1, 2]);
    world.run(500);
    assert_eq!(world.leader_url().unwrap(), "http://b:1");
    assert_eq!(world.standing(0), OUT(Reason::Partitioned));
    assert_eq!(world.member("http://a:1").verdict, Verdict::CutAll);
    assert!(world.news.contains(&News::Elected { leader: MemberId(2), term: Term(3), first: false }));
}

/// A member that is just changing its term tells the new leader with the old one.
#[test]
fn a_leader_that_is_heard_of_with_two_terms_has_still_replaced_the_one_before() {
    let mut world = World::started();
    world.members[0].state = State::Stuck;
    world.elect(2, 3, &[1]);
    world.core.handle_suspicion(world.now);
    world.run(10);
    // It hears of the new leader too, but nobody hears it.
    world.elect(3, 3, &[0, 1, 2]);
    world.run(800);
    assert_eq!(world.leader_url().unwrap(), "http://c:1");
    assert!(world.news.contains(&News::Elected { leader: MemberId(3), term: Term(2), first: false }));
    assert!(world.news.contains(&News::Elected { leader: MemberId(3), term: Term(3), first: false }));
    assert_eq!(world.standing(0), OUT(Reason::Stuck));
    assert_eq!(world.member("http://a:1").verdict, Verdict::CutAll);
}

#[test]
fn a_higher_term_without_a_leader_does_not_unseat_one() {
    let mut world = World::started();
    // A follower that is cut off and was started without PreVote counts up alone.
    (world.members[2].term, world.members[2].leader) = (90, 0);
    world.core.handle_suspicion(world.now);
    world.run(1000);
    assert_eq!(world.leader_url().unwrap(), "http://a:1");
    assert_eq!(world.standing(2), OUT(Reason::Leaderless));
}

#[test]
fn a_member_that_answers_status_but_no_reads_is_stuck_and_keeps_its_writes() {
    let mut world = World::started();
    world.members[2].state = State::Stuck;
    world.core.handle_suspicion(world.now);
    world.run(600);
    assert_eq!(world.standing(2), OUT(Reason::Stuck));
    assert_eq!(world.member("http://c:1").verdict, Verdict::EvictReads);
}

#[test]
fn a_member_that_is_silent_but_runs_keeps_its_streams() {
    let mut world = World::started();
    world.members[2].state = State::Frozen;
    world.core.handle_suspicion(world.now);
    world.run(250);
    let id = world.member("http://c:1").endpoint.id;
    let (_, _, sent) =
        *world.hanging.iter().find(|(of, probe, _)| *of == id && *probe == Probe::Status).unwrap();
    world.core.handle_outcome(id, Probe::Status, sent, Outcome::Alive, world.now);
    world.run(400);
    assert_eq!(world.standing(2), OUT(Reason::Stuck));
    assert_eq!(world.member("http://c:1").verdict, Verdict::EvictReads);
}

/// A pulse says that the process ran then, not that it still does.
#[test]
fn a_member_that_was_only_slow_and_then_freezes_is_silent() {
    let mut world = World::started();
    world.members[2].state = State::Frozen;
    world.core.handle_suspicion(world.now);
    world.run(250);
    let id = world.member("http://c:1").endpoint.id;
    let sent = world.hanging.iter().find(|(of, probe, _)| (*of, *probe) == (id, Probe::Status)).unwrap().2;
    world.core.handle_outcome(id, Probe::Status, sent, Outcome::Alive, world.now);
    world.run(1000);
    assert_eq!(world.standing(2), OUT(Reason::Stuck));
    world.run(3000);
    assert_eq!(world.standing(2), OUT(Reason::Silent));
}

/// Followers notice the death of a leader one after the other.
#[test]
fn the_first_that_misses_a_dead_leader_keeps_what_it_serves() {
    let mut world = World::started();
    world.members[0].state = State::Down;
    // Its reads wait for the leader that it still believes in.
    world.members[2].state = State::Stuck;
    world.core.handle_suspicion(world.now);
    world.run(300);
    world.elect(2, 0, &[1]);
    world.run(900);
    assert!(world.member("http://b:1").verdict < Verdict::CutStreams);
    world.members[2].state = State::Up;
    world.elect(3, 2, &[1, 2]);
    world.run(500);
    assert_eq!(world.standing(1), Standing::Healthy);
    assert_eq!(world.leader_url().unwrap(), "http://b:1");
}

/// What was written to it waits for a majority that it does not have.
#[test]
fn a_leader_that_steps_down_for_another_one_loses_its_calls_at_once() {
    let mut world = World::started();
    world.elect(2, 0, &[0]);
    world.elect(3, 2, &[1, 2]);
    world.core.handle_suspicion(world.now);
    world.run(500);
    assert_eq!(world.standing(0), OUT(Reason::Leaderless));
    assert_eq!(world.member("http://a:1").verdict, Verdict::CutAll);
}

#[test]
fn a_member_that_has_lost_the_leader_alone_loses_its_calls_in_the_end() {
    let mut world = World::started();
    world.elect(2, 0, &[1]);
    world.core.handle_suspicion(world.now);
    world.run(1000);
    assert_eq!(world.standing(1), OUT(Reason::Leaderless));
    assert_eq!(world.member("http://b:1").verdict, Verdict::EvictReads);
    world.run(2000);
    assert_eq!(world.member("http://b:1").verdict, Verdict::CutAll);
}

#[test]
fn a_member_that_lags_twice_running_is_out_until_it_has_caught_up() {
    let mut world = World::started();
    (world.members[0].applied, world.members[1].applied) = (9000, 9000);
    world.run(5800);
    assert_eq!(world.standing(2), Standing::Healthy, "once is no proof");
    world.run(12_000);
    assert_eq!(world.standing(2), OUT(Reason::Lagging));
    world.members[2].applied = 8990;
    world.run(6000);
    assert_eq!(world.standing(2), Standing::Healthy);
}

#[test]
fn a_foreign_cluster_gets_nothing_and_its_calls_are_cut() {
    let mut world = World::started();
    (world.members[2].cluster, world.members[2].leader) = (8, 3);
    world.run(6000);
    assert_eq!(world.standing(2), OUT(Reason::ForeignCluster));
    assert_eq!(world.member("http://c:1").verdict, Verdict::CutAll);
    assert_eq!(world.leader_url().unwrap(), "http://a:1");
}

/// Its process has gone, and nobody knows yet what comes back.
#[test]
fn a_foreign_member_stays_foreign_while_it_is_down() {
    let mut world = World::started();
    world.members[2].cluster = 9;
    world.run(7000);
    assert_eq!(world.standing(2), OUT(Reason::ForeignCluster));
    world.members[2].state = State::Down;
    world.run(7000);
    assert_eq!(world.standing(2), OUT(Reason::ForeignCluster));
    (world.members[2].state, world.members[2].cluster) = (State::Up, 7);
    world.run(7000);
    assert_eq!(world.standing(2), Standing::Healthy);
}

#[test]
fn most_of_the_seeds_decide_which_cluster_it_is() {
    let mut world = World::new(config());
    (world.members[0].cluster, world.members[0].leader) = (8, 1);
    world.elect(2, 2, &[1, 2]);
    world.run(2000);
    assert_eq!(world.view.cluster_id, Some(ClusterId(7)));
    assert_eq!(world.standing(0), OUT(Reason::ForeignCluster));
    assert_eq!(world.leader_url().unwrap(), "http://b:1");
}

#[test]
fn another_cluster_takes_over_when_every_seed_agrees_on_it_for_a_while() {
    let mut world = World::started();
    world.members.iter_mut().for_each(|member| (member.cluster, member.term) = (8, 1));
    world.core.handle_suspicion(world.now);
    world.run(9000);
    assert_eq!(world.view.cluster_id, Some(ClusterId(7)));
    world.run(3000);
    assert_eq!((world.view.cluster_id, world.view.epoch), (Some(ClusterId(8)), 1));
    assert_eq!(world.leader_url().unwrap(), "http://a:1");
    assert!((0..3).all(|place| world.standing(place) == Standing::Healthy));
}

#[test]
fn a_cluster_that_was_set_by_hand_is_never_given_up() {
    let mut world = World::new(Config { cluster_id: Some(ClusterId(7)), ..config() });
    world.run(2000);
    world.members.iter_mut().for_each(|member| member.cluster = 8);
    world.run(60_000);
    assert_eq!(world.view.cluster_id, Some(ClusterId(7)));
    assert!((0..3).all(|place| world.standing(place) == OUT(Reason::ForeignCluster)));
}

#[test]
fn members_that_the_cluster_lists_join_after_proof_and_leave_with_the_list() {
    let mut world = World::started();
    let newcomer = Script { url: "http://d:1", id: 4, ..world.members[1].clone() };
    let stray = Script { url: "http://e:1", id: 5, cluster: 9, ..world.members[1].clone() };
    world.members.extend([newcomer, stray]);
    world.run(33_000);
    assert_eq!(world.member("http://d:1").standing, Standing::Healthy);
    assert_eq!(world.member("http://d:1").endpoint.source, Source::Members);
    assert_eq!(world.member("http://e:1").standing, OUT(Reason::ForeignCluster));
    world.members.truncate(3);
    world.run(35_000);
    assert_eq!(world.view.members.len(), 3, "{:?}", world.view.members);
}

/// Its index may be of the time before a restore.
#[test]
fn nobody_lags_behind_a_member_that_is_gone() {
    let mut world = World::started();
    world.members[2].applied = 1_000_000;
    world.members[0].applied = 999_999;
    world.members[1].applied = 999_999;
    world.run(7000);
    world.members[2].state = State::Down;
    world.run(7000);
    (world.members[0].applied, world.members[1].applied) = (10, 10);
    world.run(20_000);
    assert!((0..2).all(|place| world.standing(place) == Standing::Healthy));
}

#[test]
fn learners_are_listed_but_not_used() {
    let mut world = World::started();
    world.members[2].learner = true;
    world.run(6000);
    assert_eq!(world.standing(2), OUT(Reason::Learner));
    world.members[2].learner = false;
    world.run(6000);
    assert_eq!(world.standing(2), Standing::Healthy);
}

#[test]
fn where_status_is_forbidden_members_are_alive_and_nobody_knows_the_leader() {
    let mut world = World::new(config());
    world.members.iter_mut().for_each(|member| member.state = State::Closed);
    world.run(3000);
    assert!((0..3).all(|place| world.standing(place) == Standing::Healthy));
    assert_eq!(world.view.leader, Leader::Unknown);
    assert!(!world.view.suspicion);
}

#[test]
fn a_leader_is_not_believed_in_for_ever_when_status_becomes_forbidden() {
    let mut world = World::started();
    world.members.iter_mut().for_each(|member| member.state = State::Closed);
    world.run(14_000);
    assert!((0..3).all(|place| world.standing(place) == Standing::Healthy));
    assert_eq!((world.view.leader, world.view.term), (Leader::Unknown, Term(0)));
    assert!(!world.view.suspicion);
    world.members.iter_mut().for_each(|member| member.state = State::Up);
    world.run(7000);
    assert_eq!(world.leader_url().unwrap(), "http://a:1");
}

#[test]
fn the_sticky_member_has_the_oldest_version_and_stays() {
    let mut world = World::started();
    (world.members[0].version, world.members[1].version) = ("3.10.0", "3.9.2");
    world.members[2].version = "3.9.2";
    world.run(12_000);
    let sticky = world.view.sticky.unwrap();
    assert!(sticky > 0);
    world.members[0].version = "3.9.2";
    world.run(30_000);
    assert_eq!(world.view.sticky, Some(sticky));
    let url = world.view.members[sticky].endpoint.address.to_string();
    let script = world.members.iter_mut().find(|member| member.url == url).unwrap();
    script.state = State::Down;
    world.run(7000);
    assert_ne!(world.view.sticky, Some(sticky));
}

#[test]
fn failing_discovery_keeps_what_is_known_and_new_seeds_keep_what_is_known_of_the_old() {
    let mut world = World::started();
    world.core.handle_discovery_error("no answer".into());
    world.run(100);
    assert_eq!(world.view.members.len(), 3);
    assert_eq!(world.view.discovery_error.as_deref(), Some("no answer"));
    world.core.handle_seeds(&["http://a:1", "http://b:1"].map(seed), world.now);
    world.run(5);
    assert_eq!(world.view.members.len(), 2);
    assert!((0..2).all(|place| world.standing(place) == Standing::Healthy));
    assert_eq!(world.view.discovery_error, None);
    // The cluster still lists the third.
    world.run(3000);
    assert_eq!(world.member("http://c:1").endpoint.source, Source::Members);
}

#[test]
fn another_configuration_takes_effect_and_the_cluster_stays() {
    let mut world = World::started();
    let cluster = world.view.cluster_id;
    let weights = vec![Weight { host: "a".into(), port: None, weight: 4 }];
    let cluster_id = Some(ClusterId(0xbad));
    let other = Config { weights, sync_members: false, cluster_id, ..config() };
    let seeds = ["http://a:1", "http://b:1"].map(seed);
    world.core.handle_config(other, world.now);
    world.core.handle_seeds(&seeds, world.now);
    world.run(3000);
    // The cluster lists the third.
    assert_eq!(world.view.members.len(), 2);
    assert!((0..2).all(|place| world.standing(place) == Standing::Healthy));
    assert_eq!(
        (world.member("http://a:1").endpoint.weight, world.member("http://b:1").endpoint.weight),
        (4, 1)
    );
    assert_eq!(world.view.cluster_id, cluster);
    world.core.handle_config(config(), world.now);
    world.core.handle_seeds(&seeds, world.now);
    world.run(3000);
    assert_eq!(world.member("http://c:1").endpoint.source, Source::Members);
    assert_eq!(world.member("http://a:1").endpoint.weight, 1);
}

#[test]
fn a_long_fault_is_watched_less_closely() {
    let mut world = World::started();
    world.members.iter_mut().for_each(|member| member.leader = 0);
    world.core.handle_suspicion(world.now);
    world.run(11_000);
    world.probes = [0; 3];
    world.run(10_000);
    let [_, _, status] = world.probes;
    assert!((24..=36).contains(&status), "{status} of 3 members in 10 s");
}

#[test]
fn members_that_take_connections_and_do_not_understand_us_are_left_in_peace() {
    let mut world = World::started();
    let statuses = |world: &mut World, state, millis| {
        world.members.iter_mut().for_each(|member| member.state = state);
        // The first notices at its next turn, and 10 s later it is over.
        world.run(16_000);
        world.probes = [0; 3];
        world.run(millis);
        world.probes[Probe::Status as usize]
    };
    let asked = statuses(&mut world, State::Garbled, 60_000);
    assert!((30..=39).contains(&asked), "{asked} of 3 members in 60 s, 12 each");
    // Whoever is only down is wanted as soon as it is up.
    let asked = statuses(&mut world, State::Down, 10_000);
    assert!((24..=36).contains(&asked), "{asked} of 3 members in 10 s");
    world.members.iter_mut().for_each(|member| member.state = State::Up);
    world.run(2000);
    assert!((0..3).all(|place| world.standing(place) == Standing::Healthy));
}
