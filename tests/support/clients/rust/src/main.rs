//! etcd-client, driven by lines: the protocol is described in tests/clients/main.rs.

mod keys;
mod streams;

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use etcd_client::{Certificate, Client, ConnectOptions, Error, TlsOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use streams::{Candidate, Lock, Watch};

/// What commands leave behind for later ones, by their ids.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) watches: Mutex<HashMap<u64, Watch>>,
    pub(crate) locks: Mutex<HashMap<u64, Lock>>,
    pub(crate) candidates: Mutex<HashMap<u64, Candidate>>,
}

/// Nothing, when the command has answered by itself.
pub(crate) type Answer = Result<Option<Value>, Error>;

#[tokio::main]
async fn main() {
    let kept = Arc::new(Kept::default());
    let mut client = None;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.expect("the input is text") {
        let command: Value = serde_json::from_str(&line).expect("a line is JSON");
        if command["do"] == "open" {
            match open(&command).await {
                Ok(opened) => {
                    client = Some(opened);
                    say(id(&command), json!({"ok": {"client": "etcd-client"}}));
                }
                Err(error) => say(id(&command), json!({"error": refusal(&error)})),
            }
        } else {
            let client: Client = client.clone().expect("it is open");
            tokio::spawn(answer(client, kept.clone(), command));
        }
    }
    // Without waiting for what watches or waits.
    std::process::exit(0);
}

async fn open(command: &Value) -> Result<Client, Error> {
    let mut options = ConnectOptions::new();
    if let (Some(user), Some(password)) = (text(command, "user"), text(command, "password")) {
        options = options.with_user(user, password);
    }
    if let Some(ca) = text(command, "ca") {
        let pem = tokio::fs::read(ca).await?;
        options = options.with_tls(TlsOptions::new().ca_certificate(Certificate::from_pem(pem)));
    }
    Client::connect([text(command, "url").expect("there is a URL")], Some(options)).await
}

async fn answer(client: Client, kept: Arc<Kept>, command: Value) {
    let number = id(&command);
    match perform(client, &kept, &command).await {
        Ok(Some(result)) => say(number, json!({"ok": result})),
        Ok(None) => {}
        Err(error) => say(number, json!({"error": refusal(&error)})),
    }
}

async fn perform(client: Client, kept: &Kept, command: &Value) -> Answer {
    match command["do"].as_str().expect("a command says what to do") {
        "put" => keys::put(client, command).await,
        "get" => keys::get(client, command).await,
        "delete" => keys::delete(client, command).await,
        "txn" => keys::txn(client, command).await,
        "grant" => streams::grant(client, command).await,
        "keep_alive" => streams::keep_alive(client, command).await,
        "time_to_live" => streams::time_to_live(client, command).await,
        "revoke" => streams::revoke(client, command).await,
        "watch" => streams::watch(client, kept, command).await,
        "cancel" => streams::cancel(kept, command).await,
        "lock" => streams::lock(client, kept, command).await,
        "unlock" => streams::unlock(client, kept, command).await,
        "campaign" => streams::campaign(client, kept, command).await,
        "leader" => streams::leader(client, command).await,
        "resign" => streams::resign(client, kept, command).await,
        other => Err(Error::InvalidArgs(format!("no command {other:?}"))),
    }
}

/// One line of output.
pub(crate) fn say(id: u64, mut line: Value) {
    line["id"] = json!(id);
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("somebody reads the output");
}

pub(crate) fn refusal(error: &Error) -> Value {
    match error {
        Error::GRpcStatus(status) => json!({"code": status.code() as i32, "message": status.message()}),
        other => json!({"code": null, "message": other.to_string()}),
    }
}

pub(crate) fn id(command: &Value) -> u64 {
    command["id"].as_u64().expect("a command has an id")
}

pub(crate) fn text<'a>(command: &'a Value, name: &str) -> Option<&'a str> {
    command[name].as_str()
}

pub(crate) fn key(command: &Value) -> &str {
    text(command, "key").expect("the command names a key")
}

pub(crate) fn lease(command: &Value) -> Option<i64> {
    text(command, "lease").map(|id| id.parse().expect("a lease's id is a number"))
}

pub(crate) fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("keys and values of these tests are text")
}
