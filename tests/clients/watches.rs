//! Watches: of a key, of a range, from now on, since a revision, and quiet ones.

use serde_json::{Value, json};

use crate::program::Program;
use crate::{Client, Stage};

pub(crate) fn everyday(client: &'static Client) {
    let stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    let put = |key: &str, value: &str| program.call("put", json!({"key": key, "value": value}));

    let before = put("watch/a", "0")["revision"].clone();
    let one = program.watch(json!({"key": "watch/a"}));
    let all = program.watch(json!({"key": "watch/", "end": "watch0"}));
    let cancelled = program.watch(json!({"key": "watch/", "end": "watch0"}));
    let first = put("watch/a", "1")["revision"].clone();
    put("elsewhere", "1");
    put("watch/b", "1");
    let deleted = program.call("delete", json!({"key": "watch/a"}))["revision"].clone();

    let seen = program.news(all, "event", 3);
    let expected = [("put", "watch/a", "1"), ("put", "watch/b", "1"), ("delete", "watch/a", "")];
    assert_eq!(seen.iter().map(said).collect::<Vec<_>>(), expected);
    assert_eq!((&seen[0]["modified"], &seen[2]["modified"]), (&first, &deleted));
    assert_eq!((&seen[0]["created"], &seen[0]["version"]), (&before, &json!(2)));
    let seen = program.news(one, "event", 2);
    assert_eq!(seen.iter().map(said).collect::<Vec<_>>(), [expected[0], expected[2]]);

    program.news(cancelled, "event", 3);
    program.call("cancel", json!({"of": cancelled}));
    // The past first, then what comes.
    let since = program.watch(json!({"key": "watch/a", "from": before}));
    put("watch/a", "2");
    let seen = program.news(since, "event", 4);
    let replayed = [("put", "watch/a", "0"), expected[0], expected[2], ("put", "watch/a", "2")];
    assert_eq!(seen.iter().map(said).collect::<Vec<_>>(), replayed);
    program.news(all, "event", 4);
    assert_eq!(program.news_so_far(cancelled, "event").len(), 3, "it was cancelled after three");
    for watch in [one, all, since] {
        assert_goes_on(&program, watch);
    }
    program.finish();
}

pub(crate) fn progress(client: &'static Client) {
    let stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    let watch = program.watch(json!({"key": "watch/", "end": "watch0", "progress": true}));
    // The sidecar learns from its members how often it is due, and they say nothing of it before a write.
    let put = program.call("put", json!({"key": "elsewhere", "value": "1"}));
    let revision = put["revision"].as_i64().expect("a number");
    // It follows what happens to other keys, and never goes back.
    loop {
        let heard = program.news_so_far(watch, "progress");
        let revisions: Vec<i64> = heard.iter().map(|it| it.as_i64().expect("a number")).collect();
        assert!(revisions.is_sorted(), "{revisions:?}");
        if revisions.last() == Some(&revision) {
            break;
        }
        program.news(watch, "progress", revisions.len() + 1);
    }
    assert_eq!(program.news_so_far(watch, "event"), [] as [Value; 0]);
    assert_goes_on(&program, watch);
    program.finish();
}

/// That nothing has happened to what lasts.
pub(crate) fn assert_goes_on(program: &Program, id: u64) {
    for kind in ["broken", "ended"] {
        let news = program.news_so_far(id, kind);
        assert!(news.is_empty(), "{}: command {id}: {kind}: {news:?}", program.client.name);
    }
}

fn said(event: &Value) -> (&str, &str, &str) {
    let text = |name: &str| event[name].as_str().expect("text");
    (text("kind"), text("key"), text("value"))
}
