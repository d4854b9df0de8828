//! What lasts: leases, watches, locks, elections.

use std::time::Duration;

use etcd_client::{
    Client, Error, EventType, LeaderKey, LeaseKeepAliveStream, LeaseKeeper, LeaseTimeToLiveOptions,
    LockOptions, ResignOptions, WatchOptions, WatchRequestSender, WatchResponse,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::keys::{pair, revision};
use crate::{Answer, Kept, id, key, lease, refusal, say, text, utf8};

pub(crate) struct Watch {
    requests: WatchRequestSender,
    watch_id: i64,
}

pub(crate) struct Lock {
    key: Vec<u8>,
    lease: i64,
}

pub(crate) struct Candidate {
    leader: LeaderKey,
    lease: i64,
}

pub(crate) async fn grant(mut client: Client, command: &Value) -> Answer {
    let granted = client.lease_grant(command["ttl"].as_i64().expect("a lease has a TTL"), None).await?;
    let result = json!({"lease": granted.id().to_string(), "ttl": granted.ttl()});
    if command["keep"] != true {
        return Ok(Some(result));
    }
    let (keeper, answers) = client.lease_keep_alive(granted.id()).await?;
    say(id(command), json!({"ok": result}));
    let error = keep(keeper, answers, granted.ttl(), id(command)).await;
    say(id(command), json!({"ended": refusal(&error)}));
    Ok(None)
}

/// Why it does not go on. The client leaves it to its user when to ask.
async fn keep(mut keeper: LeaseKeeper, mut answers: LeaseKeepAliveStream, ttl: i64, id: u64) -> Error {
    let third = Duration::from_secs(ttl.unsigned_abs()) / 3;
    loop {
        sleep(third).await;
        if let Err(error) = keeper.keep_alive().await {
            return error;
        }
        match answers.message().await {
            Ok(Some(answer)) if answer.ttl() > 0 => say(id, json!({"alive": answer.ttl()})),
            Ok(Some(_)) => return Error::LeaseKeepAliveError("the lease is gone".to_owned()),
            Ok(None) => return Error::LeaseKeepAliveError("the stream has ended".to_owned()),
            Err(error) => return error,
        }
    }
}

pub(crate) async fn keep_alive(mut client: Client, command: &Value) -> Answer {
    let (mut keeper, mut answers) =
        client.lease_keep_alive(lease(command).expect("it names a lease")).await?;
    keeper.keep_alive().await?;
    let answer = answers.message().await?;
    Ok(Some(json!({"ttl": answer.map_or(0, |answer| answer.ttl())})))
}

pub(crate) async fn time_to_live(mut client: Client, command: &Value) -> Answer {
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let lease = lease(command).expect("it names a lease");
    let answer = client.lease_time_to_live(lease, Some(options)).await?;
    let keys: Vec<&str> = answer.keys().iter().map(|key| utf8(key)).collect();
    Ok(Some(json!({"ttl": answer.ttl(), "granted": answer.granted_ttl(), "keys": keys})))
}

pub(crate) async fn revoke(mut client: Client, command: &Value) -> Answer {
    client.lease_revoke(lease(command).expect("it names a lease")).await?;
    Ok(Some(json!({})))
}

pub(crate) async fn watch(mut client: Client, kept: &Kept, command: &Value) -> Answer {
    let mut options = WatchOptions::new().with_start_revision(command["from"].as_i64().unwrap_or_default());
    if let Some(end) = text(command, "end") {
        options = options.with_range(end);
    }
    if command["progress"] == true {
        options = options.with_progress_notify();
    }
    let (requests, mut answers) = client.watch(key(command), Some(options)).await?.split();
    // Taken when it is created.
    let mut requests = Some(requests);
    loop {
        let answer = match answers.message().await {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                break say(id(command), json!({"ended": {"code": null, "message": "the stream has ended"}}));
            }
            Err(error) => break say(id(command), json!({"ended": refusal(&error)})),
        };
        if answer.canceled() {
            if kept.watches.lock().expect("nothing panics").contains_key(&id(command)) || requests.is_some() {
                say(id(command), json!({"ended": {"code": null, "message": answer.cancel_reason()}}));
            }
            break;
        }
        if answer.created() {
            let requests = requests.take().expect("a watch is created once");
            let watch = Watch { requests, watch_id: answer.watch_id() };
            kept.watches.lock().expect("nothing panics").insert(id(command), watch);
            say(id(command), json!({"ok": {}}));
        } else {
            show(id(command), &answer);
        }
    }
    Ok(None)
}

fn show(id: u64, answer: &WatchResponse) {
    if answer.events().is_empty() {
        say(id, json!({"progress": revision(answer.header())}));
    }
    for event in answer.events() {
        let mut line = pair(event.kv().expect("an event has a key"));
        line["kind"] = json!(if event.event_type() == EventType::Put { "put" } else { "delete" });
        say(id, json!({"event": line}));
    }
}

pub(crate) async fn cancel(kept: &Kept, command: &Value) -> Answer {
    let watch = kept.watches.lock().expect("nothing panics").remove(&of(command));
    let mut watch = watch.expect("it is watched");
    watch.requests.cancel(watch.watch_id).await?;
    Ok(Some(json!({})))
}

pub(crate) async fn lock(mut client: Client, kept: &Kept, command: &Value) -> Answer {
    let lease = client.lease_grant(SESSION_TTL, None).await?.id();
    let held = client.lock(name(command), Some(LockOptions::new().with_lease(lease))).await?;
    let lock = Lock { key: held.key().to_vec(), lease };
    kept.locks.lock().expect("nothing panics").insert(id(command), lock);
    Ok(Some(json!({"key": utf8(held.key())})))
}

pub(crate) async fn unlock(mut client: Client, kept: &Kept, command: &Value) -> Answer {
    let lock = kept.locks.lock().expect("nothing panics").remove(&of(command));
    let Lock { key, lease } = lock.expect("it is locked");
    client.unlock(key).await?;
    client.lease_revoke(lease).await?;
    Ok(Some(json!({})))
}

pub(crate) async fn campaign(mut client: Client, kept: &Kept, command: &Value) -> Answer {
    let lease = client.lease_grant(SESSION_TTL, None).await?.id();
    let value = text(command, "value").expect("a candidate has a value");
    let mut elected = client.campaign(name(command), value, lease).await?;
    let leader = elected.take_leader().expect("who is elected has a key");
    let result = json!({"key": utf8(leader.key())});
    kept.candidates.lock().expect("nothing panics").insert(id(command), Candidate { leader, lease });
    Ok(Some(result))
}

pub(crate) async fn leader(mut client: Client, command: &Value) -> Answer {
    let value = match client.leader(name(command)).await {
        Ok(answer) => answer.kv().map(|kv| utf8(kv.value()).to_owned()),
        Err(Error::GRpcStatus(status)) if status.message().contains("no leader") => None,
        Err(error) => return Err(error),
    };
    Ok(Some(json!({"value": value})))
}

pub(crate) async fn resign(mut client: Client, kept: &Kept, command: &Value) -> Answer {
    let candidate = kept.candidates.lock().expect("nothing panics").remove(&of(command));
    let Candidate { leader, lease } = candidate.expect("it is elected");
    client.resign(Some(ResignOptions::new().with_leader(leader))).await?;
    client.lease_revoke(lease).await?;
    Ok(Some(json!({})))
}

fn name(command: &Value) -> &str {
    text(command, "name").expect("it has a name")
}

/// The command that this one is about.
fn of(command: &Value) -> u64 {
    command["of"].as_u64().expect("it says what it is about")
}

const SESSION_TTL: i64 = 30;
