//! Whether a member holds exactly what the writes' fates say.

use std::collections::HashMap;

use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::mvccpb::KeyValue;
use tokio::runtime;

use super::report::{Fate, Report, Write};
use super::{Channel, RANGE};

/// Asks a member directly, by a linearizable read, for all that the load wrote, and returns what must not be: acked
/// writes that are lost, refused ones that were applied, any that was applied more than once or with another value.
pub(crate) fn audit(endpoint: &str, report: &Report) -> Vec<String> {
    let held = read(endpoint, &report.prefix);
    let mut found: Vec<String> =
        report.writes.iter().filter_map(|write| violation(write, held.get(write.key.as_bytes()))).collect();
    let applied = |fate| {
        let of_fate = report.writes.iter().filter(|write| write.fate == fate);
        of_fate.filter(|write| held.contains_key(write.key.as_bytes())).count()
    };
    println!("the member holds {} keys, {} of ambiguous writes", held.len(), applied(Fate::Ambiguous));
    if held.len() > report.writes.len() {
        found.push(format!("{} keys are held, {} were written", held.len(), report.writes.len()));
    }
    found
}

fn violation(write: &Write, held: Option<&KeyValue>) -> Option<String> {
    let Write { key, value, fate, revision: _, ended: _ } = write;
    match (fate, held) {
        (Fate::Acked, None) => Some(format!("{key}: acked and lost")),
        (Fate::Refused, Some(_)) => Some(format!("{key}: refused and applied")),
        (Fate::Ambiguous | Fate::Refused, None) => None,
        (Fate::Acked | Fate::Ambiguous, Some(kv)) if kv.version != 1 => {
            Some(format!("{key}: applied {} times", kv.version))
        }
        (Fate::Acked | Fate::Ambiguous, Some(kv)) => {
            (kv.value != value.as_bytes()).then(|| format!("{key}: has a value that was not written"))
        }
    }
}

fn read(endpoint: &str, prefix: &str) -> HashMap<Vec<u8>, KeyValue> {
    let mut range_end = prefix.as_bytes().to_vec();
    *range_end.last_mut().expect("the prefix is not empty") += 1;
    let request =
        pb::RangeRequest { key: prefix.to_owned().into(), range_end: range_end.into(), ..Default::default() };
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let response: pb::RangeResponse = runtime.block_on(async {
        let channel = Channel::connect(endpoint).await.expect("a healthy member accepts");
        channel.call(RANGE, &request).await.expect("a healthy member answers")
    });
    response.kvs.into_iter().map(|kv| (kv.key.to_vec(), kv)).collect()
}
