//! Watchers of all that the load writes, each of which does what clientv3 does: when its stream breaks, it opens
//! another one and goes on from its own position.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::report::{Break, Fate, Report};
use super::{Line, Shared, WATCH};
use crate::support::grpc::{Answer, End, Event, Stream};

/// What one watcher saw.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// In the order in which they came.
    events: Vec<Seen>,
    pub(super) breaks: Vec<Break>,
    /// What no watch may show: a revision out of its order, a watcher that is cancelled.
    wrong: Vec<String>,
}

#[derive(Debug)]
struct Seen {
    key: Vec<u8>,
    value: Vec<u8>,
    revision: i64,
    at: Instant,
}

/// Where a watcher is.
struct Position {
    /// Of the first event that it has not seen; `None` before it was created.
    next: Option<i64>,
    /// Of the last event that it has seen.
    last: i64,
}

/// Ends when the load has ended and its last acked write was seen, or was waited for in vain. Says once that it is
/// there.
pub(super) async fn watch(line: Arc<Line>, shared: Arc<Shared>, ready: mpsc::Sender<()>) -> Watched {
    let mut watched = Watched::default();
    let mut position = Position { next: None, last: 0 };
    let mut ready = Some(ready);
    let mut stopped = None;
    while !is_over(&shared, &position, &mut stopped) {
        let broken = match open(&line, &shared, &position).await {
            Ok(mut stream) => loop {
                match stream.next(LOOK_EVERY).await {
                    Event::Message(message) => {
                        if let Err(wrong) = watched.note(&message.decode(), &mut position) {
                            watched.wrong.push(wrong);
                        }
                        if let Some(ready) = ready.take_if(|_| position.next.is_some()) {
                            ready.send(()).await.ok();
                        }
                    }
                    Event::Silence if is_over(&shared, &position, &mut stopped) => return watched,
                    Event::Silence => {}
                    Event::End(end) => break why(stream, &end).await,
                }
            },
            Err(why) => why,
        };
        watched.breaks.push(Break { at: Instant::now(), why: broken });
        line.forget().await;
        sleep(REOPEN_AFTER).await;
    }
    watched
}

/// Whether all that it waits for has come, or has not come for too long.
fn is_over(shared: &Shared, position: &Position, stopped: &mut Option<Instant>) -> bool {
    if !shared.written.load(Ordering::SeqCst) {
        return false;
    }
    let late = stopped.get_or_insert_with(Instant::now).elapsed() > LAST_EVENT_LIMIT;
    late || position.last >= shared.records().acked_revision
}

async fn open(line: &Line, shared: &Shared, position: &Position) -> Result<Stream, String> {
    let channel = line.channel().await.map_err(|status| status.message)?;
    let mut stream =
        channel.stream(WATCH, http::HeaderMap::new()).await.map_err(|error| error.to_string())?;
    let create = pb::WatchCreateRequest {
        key: shared.prefix.clone().into(),
        range_end: format!("{}0", shared.prefix.trim_end_matches('/')).into(),
        start_revision: position.next.unwrap_or(0),
        ..Default::default()
    };
    let union = pb::watch_request::RequestUnion::CreateRequest(create);
    stream.send_message(&pb::WatchRequest { request_union: Some(union) });
    Ok(stream)
}

async fn why(stream: Stream, end: &End) -> String {
    let answer: Answer = stream.answer(LOOK_EVERY).await;
    let status = answer.status();
    status.code.map_or_else(|| format!("{end:?}"), |code| format!("{code} {:?}", status.message))
}

impl Watched {
    fn note(&mut self, response: &pb::WatchResponse, position: &mut Position) -> Result<(), String> {
        if response.canceled {
            return Err(format!("cancelled: {response:?}"));
        }
        let header = response.header.as_ref().ok_or("a response without a header")?;
        if response.created && position.next.is_none() {
            // Inclusive: the header is read when the watcher is there already.
            position.next = Some(header.revision);
        }
        let at = Instant::now();
        for event in &response.events {
            let kv = event.kv.as_ref().ok_or("an event without a key")?;
            // The load puts each key in a revision of its own.
            if kv.mod_revision <= position.last || Some(kv.mod_revision) < position.next {
                let Position { next, last } = position;
                return Err(format!("revision {} behind {last}, next was {next:?}", kv.mod_revision));
            }
            (position.last, position.next) = (kv.mod_revision, Some(kv.mod_revision + 1));
            let (key, value) = (kv.key.to_vec(), kv.value.to_vec());
            self.events.push(Seen { key, value, revision: kv.mod_revision, at });
        }
        Ok(())
    }

    /// What it saw that was not written, saw otherwise, saw twice or did not see.
    fn violations(&self, report: &Report) -> Vec<String> {
        let mut seen: HashMap<&[u8], (&Seen, usize)> = HashMap::new();
        for event in &self.events {
            seen.entry(&event.key).or_insert((event, 0)).1 += 1;
        }
        let mut found = self.wrong.clone();
        for write in &report.writes {
            let key = &write.key;
            match (write.fate, seen.remove(key.as_bytes())) {
                (Fate::Acked, None) => found.push(format!("{key}: acked and not shown")),
                (Fate::Refused, Some(_)) => found.push(format!("{key}: refused and shown")),
                (_, Some((_, times))) if times > 1 => found.push(format!("{key}: shown {times} times")),
                (_, Some((event, _))) if event.value != write.value.as_bytes() => {
                    found.push(format!("{key}: shown with a value that was not written"));
                }
                (Fate::Acked, Some((event, _))) if write.revision != event.revision => {
                    found.push(format!("{key}: written at {}, shown at {}", write.revision, event.revision));
                }
                (_, Some(_)) | (Fate::Ambiguous | Fate::Refused, None) => {}
            }
        }
        found.extend(seen.keys().map(|key| format!("{}: never written", String::from_utf8_lossy(key))));
        found
    }

    /// The longest time from when a write was acked until it was shown.
    fn lag(&self, acked: &BTreeMap<i64, Instant>) -> Duration {
        let lag = |event: &Seen| Some(event.at.saturating_duration_since(*acked.get(&event.revision)?));
        self.events.iter().filter_map(lag).max().unwrap_or_default()
    }
}

impl Report {
    /// All that a watcher lost, repeated or made up.
    pub(crate) fn watch_violations(&self) -> Vec<String> {
        let of_each = self.watched.iter().enumerate().flat_map(|(number, watched)| {
            watched.violations(self).into_iter().map(move |what| format!("watcher {number}: {what}"))
        });
        of_each.collect()
    }

    /// The longest time from when a write was acked until every watcher had been shown it.
    pub(crate) fn watch_lag(&self) -> Duration {
        let acked = self.writes.iter().filter(|write| write.fate == Fate::Acked);
        let acked: BTreeMap<i64, Instant> = acked.map(|write| (write.revision, write.ended)).collect();
        self.watched.iter().map(|watched| watched.lag(&acked)).max().unwrap_or_default()
    }

    /// How often each watcher's stream broke.
    pub(crate) fn watch_breaks(&self) -> Vec<usize> {
        self.watched.iter().map(|watched| watched.breaks.len()).collect()
    }

    pub(crate) fn events_seen(&self) -> usize {
        self.watched.iter().map(|watched| watched.events.len()).sum()
    }
}

/// How often it is looked whether the load has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const REOPEN_AFTER: Duration = Duration::from_millis(50);
/// In which the last acked write must be shown.
const LAST_EVENT_LIMIT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::super::report::Write;
    use super::{Fate, Instant, Position, Report, Watched, pb};

    #[test]
    fn what_is_lost_repeated_out_of_order_or_made_up_is_noticed() {
        let mut watched = Watched::default();
        let mut position = Position { next: None, last: 0 };
        let response = |created, events: &[(i64, &str)]| pb::WatchResponse {
            header: Some(pb::ResponseHeader { revision: 4, ..Default::default() }),
            created,
            events: events.iter().map(|&(revision, key)| event(revision, key)).collect(),
            ..Default::default()
        };
        watched.note(&response(true, &[]), &mut position).unwrap();
        watched.note(&response(false, &[(5, "seen"), (7, "refused")]), &mut position).unwrap();
        watched
            .note(&response(false, &[(8, "twice"), (9, "twice"), (10, "made up")]), &mut position)
            .unwrap();
        for behind in [3, 9, 10] {
            watched.note(&response(false, &[(behind, "behind")]), &mut position).unwrap_err();
        }
        let now = Instant::now();
        let writes = [("seen", Fate::Acked, 5), ("lost", Fate::Acked, 6), ("refused", Fate::Refused, 0)];
        let writes = writes.into_iter().chain([("twice", Fate::Acked, 8), ("unknown", Fate::Ambiguous, 0)]);
        let report = Report {
            started: now,
            stopped: now,
            prefix: String::new(),
            calls: Vec::new(),
            writes: writes
                .map(|(key, fate, revision)| Write {
                    key: key.into(),
                    value: String::new(),
                    fate,
                    revision,
                    ended: now,
                })
                .collect(),
            watched: vec![watched],
            kept: Vec::new(),
        };
        let mut found = report.watch_violations();
        found.sort();
        assert_eq!(
            found,
            [
                "watcher 0: lost: acked and not shown",
                "watcher 0: made up: never written",
                "watcher 0: refused: refused and shown",
                "watcher 0: twice: shown 2 times",
            ]
        );
    }

    fn event(revision: i64, key: &str) -> etcdlet::proto::mvccpb::Event {
        let kv = etcdlet::proto::mvccpb::KeyValue {
            key: key.to_owned().into(),
            mod_revision: revision,
            ..Default::default()
        };
        etcdlet::proto::mvccpb::Event { kv: Some(kv), ..Default::default() }
    }
}
