//! The picture of the cluster on the admin port.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::sidecar::Sidecar;

/// What `GET /cluster` says.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) cluster_id: Option<u64>,
    pub(crate) term: u64,
    pub(crate) leader: Option<u64>,
    pub(crate) watermark: i64,
    pub(crate) members: Vec<ShownMember>,
}

#[derive(Debug)]
pub(crate) struct ShownMember {
    pub(crate) endpoint: String,
    pub(crate) source: String,
    pub(crate) id: Option<u64>,
    pub(crate) name: Option<String>,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) leader: bool,
    pub(crate) learner: bool,
    pub(crate) version: Option<String>,
    pub(crate) term: Option<u64>,
    pub(crate) applied_index: Option<u64>,
    pub(crate) alarms: Vec<String>,
    pub(crate) latency_ms: Option<f64>,
}

impl Shown {
    pub(crate) fn of(sidecar: &Sidecar) -> Self {
        let (status, body) = sidecar.admin_get("/cluster");
        assert_eq!(status, 200, "GET /cluster: {body}");
        let json: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let members = json["members"].as_array().unwrap_or_else(|| panic!("no members in {body}"));
        Self {
            cluster_id: id(&json["cluster_id"]),
            term: number(&json["term"]),
            leader: id(&json["leader"]),
            watermark: json["watermark"].as_i64().unwrap_or_else(|| panic!("no watermark in {body}")),
            members: members.iter().map(ShownMember::of).collect(),
        }
    }

    pub(crate) fn member(&self, endpoint: &str) -> &ShownMember {
        let member = self.members.iter().find(|member| member.endpoint == endpoint);
        member.unwrap_or_else(|| panic!("{endpoint} is not shown in {self:#?}"))
    }
}

impl ShownMember {
    fn of(json: &Value) -> Self {
        Self {
            endpoint: text(&json["endpoint"]),
            source: text(&json["source"]),
            id: id(&json["id"]),
            name: unless_null(&json["name"], text),
            state: text(&json["state"]),
            reason: unless_null(&json["reason"], text),
            leader: flag(&json["leader"]),
            learner: flag(&json["learner"]),
            version: unless_null(&json["version"], text),
            term: unless_null(&json["term"], number),
            applied_index: unless_null(&json["applied_index"], number),
            alarms: json["alarms"].as_array().expect("alarms are a list").iter().map(text).collect(),
            latency_ms: unless_null(&json["latency_ms"], |json| {
                json.as_f64().expect("a latency is a number")
            }),
        }
    }

    pub(crate) fn healthy(&self) -> bool {
        self.state == "healthy"
    }

    pub(crate) fn out(&self, reason: &str) -> bool {
        self.state == "out" && self.reason.as_deref() == Some(reason)
    }
}

/// Waits for a picture of which `holds` is true, and says how long that took.
pub(crate) async fn until(
    sidecar: &Sidecar,
    limit: Duration,
    what: &str,
    holds: impl Fn(&Shown) -> bool,
) -> Duration {
    let began = Instant::now();
    loop {
        let shown = Shown::of(sidecar);
        if holds(&shown) {
            return began.elapsed();
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}, but {shown:#?}\n{}", sidecar.log());
        sleep(Duration::from_millis(20)).await;
    }
}

/// An id as etcd prints it.
fn id(json: &Value) -> Option<u64> {
    let parse = |text: &str| u64::from_str_radix(text, 16).unwrap_or_else(|_| panic!("{text:?} is no id"));
    unless_null(json, |json| parse(&text(json)))
}

fn unless_null<T>(json: &Value, read: impl Fn(&Value) -> T) -> Option<T> {
    (!json.is_null()).then(|| read(json))
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_else(|| panic!("{json} is no text")).to_owned()
}

fn number(json: &Value) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("{json} is no whole number"))
}

fn flag(json: &Value) -> bool {
    json.as_bool().unwrap_or_else(|| panic!("{json} is neither true nor false"))
}
