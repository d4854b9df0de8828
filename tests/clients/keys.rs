//! What applications do to keys every day.

use serde_json::{Value, json};

use crate::program::Program;
use crate::{Client, Stage};

pub(crate) fn everyday(client: &'static Client) {
    let stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    let first = program.call("put", json!({"key": "day/a", "value": "1"}))["revision"].clone();
    let second = program.call("put", json!({"key": "day/a", "value": "2", "prev": true}));
    assert_eq!(second["prev"], "1");
    let now = program.call("get", json!({"key": "day/a"}));
    let kv = json!({
        "key": "day/a", "value": "2", "version": 2, "created": first, "modified": second["revision"], "lease": "0",
    });
    assert_eq!(now["kvs"], json!([kv]));
    assert_eq!((&now["count"], &now["more"]), (&json!(1), &json!(false)));
    let then = program.call("get", json!({"key": "day/a", "revision": first}));
    assert_eq!(then["kvs"][0]["value"], "1");
    assert_eq!(program.call("get", json!({"key": "day/none"}))["kvs"], json!([]));

    // What a client in another language must not mistake: length in bytes, escapes, nothing at all.
    for value in ["Schlüssel → 鍵 🗝", "\"\\\n\t\u{7f}", "", "long ".repeat(200_000).as_str()] {
        program.call("put", json!({"key": "day/Ä/鍵", "value": value}));
        assert_eq!(program.call("get", json!({"key": "day/Ä/鍵"}))["kvs"][0]["value"], value);
    }

    assert_eq!(program.call("delete", json!({"key": "day/a"}))["deleted"], 1);
    assert_eq!(program.call("delete", json!({"key": "day/a"}))["deleted"], 0);
    assert_eq!(program.call("delete", json!({"key": "day/", "end": "day0"}))["deleted"], 1);
    assert_eq!(program.call("get", json!({"key": "day/", "end": "day0"}))["count"], 0);
    program.finish();
}

pub(crate) fn pages(client: &'static Client) {
    let stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    let names: Vec<String> = (0..KEYS).map(|number| format!("page/{number:03}")).collect();
    // All at once, as their order does not matter.
    let puts: Vec<u64> =
        names.iter().map(|name| program.ask("put", json!({"key": name, "value": name}))).collect();
    for put in puts {
        program.answer(put).unwrap();
    }

    let (mut start, mut revision, mut read) = ("page/".to_owned(), json!(0), Vec::new());
    loop {
        let range = json!({"key": start, "end": "page0", "limit": PAGE, "revision": revision});
        let page = program.call("get", range);
        let kvs = page["kvs"].as_array().expect("a list").clone();
        assert_eq!(page["count"], KEYS - read.len(), "all that are left: {page}");
        read.extend(kvs.iter().map(|kv| kv["key"].as_str().expect("text").to_owned()));
        assert_eq!(page["more"], read.len() < KEYS, "{page}");
        if page["more"] == false {
            break;
        }
        assert_eq!(kvs.len(), PAGE);
        if revision == 0 {
            revision = page["revision"].clone();
            // What happens meanwhile is no part of it.
            program.call("delete", json!({"key": "page/050", "end": "page0"}));
        }
        start = format!("{}\0", read.last().expect("a page has keys"));
    }
    assert_eq!(read, names);
    program.finish();
}

pub(crate) fn transactions(client: &'static Client) {
    let stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    let create = |value: &str| {
        json!({
            "if": [{"key": "txn/a", "target": "created", "is": "=", "number": 0}],
            "then": [{"do": "put", "key": "txn/a", "value": value}],
            "else": [{"do": "get", "key": "txn/a"}],
        })
    };
    let made = program.call("txn", create("1"));
    assert_eq!((&made["succeeded"], &made["answers"]), (&json!(true), &json!([{}])));
    let found = program.call("txn", create("2"));
    assert_eq!(found["succeeded"], false);
    assert_eq!(found["answers"][0]["kvs"][0]["value"], "1");
    assert_eq!(found["answers"][0]["kvs"][0]["modified"], made["revision"]);

    let change = |version: i64| {
        json!({
            "if": [
                {"key": "txn/a", "target": "value", "is": "=", "value": "1"},
                {"key": "txn/a", "target": "version", "is": "<", "number": version},
                {"key": "txn/a", "target": "modified", "is": "!=", "number": 1},
            ],
            "then": [
                {"do": "get", "key": "txn/", "end": "txn0"},
                {"do": "put", "key": "txn/b", "value": "2"},
                {"do": "delete", "key": "txn/a"},
            ],
            "else": [],
        })
    };
    let neither = program.call("txn", change(1));
    assert_eq!((&neither["succeeded"], &neither["answers"]), (&json!(false), &json!([])));
    let both = program.call("txn", change(2));
    assert_eq!(both["succeeded"], true);
    assert_eq!(both["answers"][0]["count"], 1, "as it was before: {both}");
    assert_eq!(both["answers"][2]["deleted"], 1);
    let left = program.call("get", json!({"key": "txn/", "end": "txn0"}));
    assert_eq!(left["kvs"][0]["key"], "txn/b");
    assert_eq!(left["kvs"][0]["modified"], both["revision"]);
    program.finish();
}

pub(crate) fn refusals(client: &'static Client) {
    let stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    for (what, command, code, text) in [
        (
            "put",
            json!({"key": "k", "value": "v", "lease": "4711"}),
            5,
            "etcdserver: requested lease not found",
        ),
        ("revoke", json!({"lease": "4711"}), 5, "etcdserver: requested lease not found"),
        (
            "get",
            json!({"key": "k", "revision": 1_000_000}),
            11,
            "etcdserver: mvcc: required revision is a future",
        ),
        ("txn", twice("k"), 3, "etcdserver: duplicate key given in txn request"),
    ] {
        let refusal = program.refused(what, command);
        assert_eq!(refusal.code, Some(code), "{refusal:?}");
        refusal.assert_says(text);
    }
    program.finish();
}

/// A transaction that puts the same key twice.
fn twice(key: &str) -> Value {
    let put = json!({"do": "put", "key": key, "value": "v"});
    json!({"if": [{"key": key, "target": "version", "is": "=", "number": 0}], "then": [put, put], "else": []})
}

const KEYS: usize = 95;
const PAGE: usize = 20;
