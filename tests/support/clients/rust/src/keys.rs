//! Keys: put, get, delete, transactions.

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, GetOptions, GetResponse, KeyValue, PutOptions, ResponseHeader,
    Txn, TxnOp, TxnOpResponse,
};
use serde_json::{Value, json};

use crate::{Answer, key, lease, text, utf8};

pub(crate) async fn put(mut client: Client, command: &Value) -> Answer {
    let answer = client.put(key(command), value(command), Some(put_options(command))).await?;
    let mut result = json!({"revision": revision(answer.header())});
    if let Some(previous) = answer.prev_key() {
        result["prev"] = json!(utf8(previous.value()));
    }
    Ok(Some(result))
}

pub(crate) async fn get(mut client: Client, command: &Value) -> Answer {
    let answer = client.get(key(command), Some(get_options(command))).await?;
    let mut result = found(&answer);
    result["revision"] = json!(revision(answer.header()));
    Ok(Some(result))
}

pub(crate) async fn delete(mut client: Client, command: &Value) -> Answer {
    let answer = client.delete(key(command), Some(delete_options(command))).await?;
    Ok(Some(json!({"revision": revision(answer.header()), "deleted": answer.deleted()})))
}

pub(crate) async fn txn(mut client: Client, command: &Value) -> Answer {
    let list = |name: &str| command[name].as_array().cloned().unwrap_or_default();
    let operations = |name: &str| list(name).iter().map(operation).collect::<Vec<_>>();
    let conditions: Vec<Compare> = list("if").iter().map(condition).collect();
    let txn = Txn::new().when(conditions).and_then(operations("then")).or_else(operations("else"));
    let answer = client.txn(txn).await?;
    let answers: Vec<Value> = answer
        .op_responses()
        .iter()
        .map(|each| match each {
            TxnOpResponse::Get(get) => found(get),
            TxnOpResponse::Delete(delete) => json!({"deleted": delete.deleted()}),
            TxnOpResponse::Put(_) | TxnOpResponse::Txn(_) => json!({}),
        })
        .collect();
    let revision = revision(answer.header());
    Ok(Some(json!({"revision": revision, "succeeded": answer.succeeded(), "answers": answers})))
}

pub(crate) fn pair(kv: &KeyValue) -> Value {
    json!({
        "key": utf8(kv.key()), "value": utf8(kv.value()), "version": kv.version(),
        "created": kv.create_revision(), "modified": kv.mod_revision(), "lease": kv.lease().to_string(),
    })
}

pub(crate) fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.expect("every answer has a header").revision()
}

fn operation(command: &Value) -> TxnOp {
    match command["do"].as_str() {
        Some("put") => TxnOp::put(key(command), value(command), Some(put_options(command))),
        Some("get") => TxnOp::get(key(command), Some(get_options(command))),
        Some("delete") => TxnOp::delete(key(command), Some(delete_options(command))),
        other => panic!("{other:?} is no operation"),
    }
}

fn condition(compare: &Value) -> Compare {
    let is = match compare["is"].as_str() {
        Some("=") => CompareOp::Equal,
        Some("!=") => CompareOp::NotEqual,
        Some(">") => CompareOp::Greater,
        Some("<") => CompareOp::Less,
        other => panic!("{other:?} is no comparison"),
    };
    let number = || compare["number"].as_i64().expect("it compares with a number");
    match compare["target"].as_str() {
        Some("value") => Compare::value(key(compare), is, value(compare)),
        Some("version") => Compare::version(key(compare), is, number()),
        Some("created") => Compare::create_revision(key(compare), is, number()),
        Some("modified") => Compare::mod_revision(key(compare), is, number()),
        other => panic!("{other:?} is no target"),
    }
}

fn put_options(command: &Value) -> PutOptions {
    let mut options = PutOptions::new();
    if let Some(lease) = lease(command) {
        options = options.with_lease(lease);
    }
    if command["prev"] == true {
        options = options.with_prev_key();
    }
    options
}

fn get_options(command: &Value) -> GetOptions {
    let mut options = GetOptions::new()
        .with_limit(command["limit"].as_i64().unwrap_or_default())
        .with_revision(command["revision"].as_i64().unwrap_or_default());
    if let Some(end) = text(command, "end") {
        options = options.with_range(end);
    }
    options
}

fn delete_options(command: &Value) -> DeleteOptions {
    match text(command, "end") {
        None => DeleteOptions::new(),
        Some(end) => DeleteOptions::new().with_range(end),
    }
}

fn found(answer: &GetResponse) -> Value {
    let kvs: Vec<Value> = answer.kvs().iter().map(pair).collect();
    json!({"kvs": kvs, "more": answer.more(), "count": answer.count()})
}

fn value(command: &Value) -> &str {
    text(command, "value").expect("the command has a value")
}
