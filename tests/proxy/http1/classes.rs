//! Calls of the JSON gateway are treated as the RPCs behind them.

use std::time::{Duration, Instant};

use super::client::{Connection, Response, post};
use super::server::Server;
use crate::observability::metric;
use crate::support::etcd::{Cluster, Etcd};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn serializable_ranges_are_answered_by_followers_and_everything_else_by_the_leader() {
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    let leader = cluster.leader();
    let leader = cluster.members[leader].id().to_string();
    let mut client = settled(&sidecar).await;
    for (path, json) in [
        ("/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#),
        ("/v3beta/kv/put", r#"{"key": "YQ==", "value": "Yw=="}"#),
        ("/v3/kv/txn", r#"{"success": [{"requestPut": {"key": "YQ==", "value": "Yg=="}}]}"#),
        ("/v3/kv/txn", r#"{"success": [{"request_delete_range": {"key": "Yg=="}}]}"#),
        ("/v3/lease/grant", r#"{"TTL": "60"}"#),
        ("/v3/lease/leases", "{}"),
        ("/v3/cluster/member/list", "{}"),
    ] {
        for _ in 0..5 {
            assert_eq!(member_of(&client.post(path, json).await), leader, "{path} {json}");
        }
    }
    for (path, json) in [
        ("/v3/kv/range", r#"{"key": "YQ==", "serializable": true}"#),
        ("/v3/kv/range", r#"{"key": "AA==", "range_end": "AA==", "keys_only": true, "serializable": true}"#),
        ("/v3/kv/txn", r#"{"success": [{"requestRange": {"key": "YQ==", "serializable": true}}]}"#),
    ] {
        let mut members = Vec::new();
        for _ in 0..20 {
            members.push(member_of(&client.post(path, json).await));
        }
        assert!(!members.contains(&leader), "{path} {json}: {leader} of {members:?}");
        members.sort();
        members.dedup();
        assert_eq!(members.len(), 2, "both followers: {path} {json}");
    }
    for endpoint in cluster.endpoints() {
        assert!(calls(&sidecar, &endpoint) > 0.0, "{endpoint}");
    }
    assert_eq!(metric(&sidecar, r#"etcdlet_rpc_total{code="OK",method="/v3/kv/put"}"#), 10.0);
}

#[tokio::test]
async fn a_serializable_range_shows_what_a_client_has_just_written() {
    let mut cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    cluster.leader();
    let mut client = settled(&sidecar).await;
    for number in 0..200 {
        let value = format!("{number:08}");
        let put = client.post("/v3/kv/put", &format!(r#"{{"key": "YQ==", "value": "{value}"}}"#)).await;
        assert_eq!(put.status, 200, "{}", put.text());
        let put = revision_of(&put);
        let range = client.post("/v3/kv/range", r#"{"key": "YQ==", "serializable": true}"#).await;
        assert!(revision_of(&range) >= put, "{} after {put}", range.text());
    }
}

/// What a member says that is behind is asked for again, for a while.
#[tokio::test]
async fn a_stale_answer_of_the_gateway_is_taken_only_where_nobody_knows_better() {
    let header = |revision: &str| {
        format!(
            r#"{{"header":{{"cluster_id":"7","member_id":"9","revision":"{revision}","raft_term":"2"}}}}"#
        )
    };
    let server = Server::start(move |_, mut peer| async move {
        let mut asked = 0;
        while let Some(head) = peer.head().await {
            let body = peer.body(&head).await;
            asked += usize::from(body.contains("serializable"));
            let fresh = head.contains("/kv/put") || asked > 3 && body.contains("soon");
            let answer = header(if fresh { "10" } else { "5" });
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            peer.send(format!("{head}{answer}").as_bytes()).await;
        }
    })
    .await;
    let sidecar = Sidecar::start(&[server.url()]);
    let mut client = Connection::open(&sidecar.url()).await;
    assert_eq!(revision_of(&client.post("/v3/kv/put", "{}").await), 10);
    let range = |key: &str| format!(r#"{{"key": "{key}", "serializable": true}}"#);
    assert_eq!(revision_of(&client.post("/v3/kv/range", &range("soon")).await), 10);
    assert!(metric(&sidecar, r#"etcdlet_retries_total{reason="stale"}"#) >= 3.0);
    assert_eq!(revision_of(&client.post("/v3/kv/range", &range("late")).await), 5);
    assert_eq!(metric(&sidecar, r#"etcdlet_watermark_waits_total{outcome="stale"}"#), 1.0);
}

/// Of several `http-endpoints` nobody knows which is the leader's: what any of them says of a revision that
/// it does not have is not the last word.
#[tokio::test]
async fn a_revision_that_one_member_does_not_have_is_asked_for_through_the_leader() {
    let lagging = async || {
        Server::start(|_, mut peer| async move {
            while let Some(head) = peer.head().await {
                let is_serializable = peer.body(&head).await.contains(r#""serializable": true"#);
                let (status, json) = match is_serializable {
                    true => (
                        "400 Bad Request",
                        r#"{"code":11,"message":"etcdserver: mvcc: required revision is a future revision"}"#,
                    ),
                    false => ("200 OK", "{}"),
                };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", json.len());
                peer.send(format!("{head}{json}").as_bytes()).await;
            }
        })
        .await
    };
    let (etcd, one, other) = (Etcd::start(), lagging().await, lagging().await);
    let urls = format!("{},{}", one.url(), other.url());
    let sidecar = Sidecar::with_args(&["--endpoints", &etcd.endpoint(), "--http-endpoints", &urls]);
    let mut client = settled(&sidecar).await;
    let range = r#"{"key": "YQ==", "revision": "9", "serializable": true}"#;
    let answer = client.post("/v3/kv/range", range).await;
    assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
}

#[tokio::test]
async fn a_read_goes_to_another_member_and_a_mutation_is_sent_once() {
    let bad = Server::start(|_, mut peer| async move {
        peer.head().await.expect("a request");
    })
    .await;
    let worse = Server::start(|_, mut peer| async move {
        peer.head().await.expect("a request");
        let json = r#"{"code":14, "message":"etcdserver: leader changed"}"#;
        let head = format!("HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n", json.len());
        peer.send(format!("{head}{json}").as_bytes()).await;
    })
    .await;
    let good = Server::start(|_, mut peer| async move {
        while let Some(head) = peer.head().await {
            peer.body(&head).await;
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
        }
    })
    .await;
    let sidecar = Sidecar::start(&[bad.url(), worse.url(), good.url()]);
    for number in 0..20 {
        let mut client = Connection::open(&sidecar.url()).await;
        for path in ["/v3/kv/range", "/v3/lease/timetolive", "/v3beta/auth/user/list"] {
            let answer = client.post(path, r#"{"key": "YQ=="}"#).await;
            assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()), "{number}: {path}");
        }
    }
    assert!(metric(&sidecar, r#"etcdlet_retries_total{reason="lost"}"#) > 0.0);
    assert!(metric(&sidecar, r#"etcdlet_retries_total{reason="unavailable"}"#) > 0.0);
    let sidecar = Sidecar::start(&[bad.url()]);
    let before = bad.connections();
    let answer = Connection::open(&sidecar.url()).await.post("/v3/kv/put", "{}").await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (503, Some(14)), "{}", answer.text());
    assert_eq!(bad.connections() - before, 1, "it was sent again");
}

/// Chunked requests, too, are read ahead, so that they can be sent again.
#[tokio::test]
async fn a_chunked_read_survives_the_member_that_got_it() {
    let bad = Server::start(|_, mut peer| async move {
        peer.head().await.expect("a request");
        peer.some().await;
    })
    .await;
    let good = Server::start(|_, mut peer| async move {
        let head = peer.head().await.expect("a request");
        assert!(head.to_lowercase().contains("content-length: 15"), "{head}");
        assert_eq!(peer.body(&head).await, r#"{"key": "YQ=="}"#);
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}").await;
    })
    .await;
    let sidecar = Sidecar::start(&[bad.url(), good.url()]);
    for _ in 0..10 {
        let mut client = Connection::open(&sidecar.url()).await;
        client.send(b"POST /v3/kv/range HTTP/1.1\r\nHost: etcd\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.send(b"7\r\n{\"key\":\r\n").await;
        client.send(b"8\r\n \"YQ==\"}\r\n0\r\n\r\n").await;
        let answer = client.response("POST").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn what_members_tell_of_themselves_is_asked_of_another_when_one_is_lost() {
    let bad = Server::start(|_, mut peer| async move {
        peer.head().await.expect("a request");
    })
    .await;
    let good = Server::start(|_, mut peer| async move {
        while peer.head().await.is_some() {
            peer.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno").await;
        }
    })
    .await;
    let sidecar = Sidecar::start(&[bad.url(), good.url()]);
    for path in ["/health", "/livez", "/readyz/linearizable_read", "/version", "/metrics", "/debug/vars"] {
        let began = Instant::now();
        let answer = Connection::open(&sidecar.url()).await.get(path).await;
        // The member's own word, and not a reason to ask another.
        assert_eq!((answer.status, answer.text()), (503, "no".to_owned()), "{path}");
        assert!(began.elapsed() < Duration::from_secs(2), "{path}: {:?}", began.elapsed());
    }
    let answer = {
        let mut client = Connection::open(&sidecar.url()).await;
        client.send(&post("/health", "{}")).await;
        client.response("POST").await
    };
    assert_eq!(answer.status, 503);
}

/// A client of a sidecar that knows the leader.
async fn settled(sidecar: &Sidecar) -> Connection {
    crate::observability::becomes(sidecar, "etcdlet_cluster_has_leader", 1.0).await;
    Connection::open(&sidecar.url()).await
}

fn calls(sidecar: &Sidecar, endpoint: &str) -> f64 {
    metric(sidecar, &format!("etcdlet_upstream_calls_total{{endpoint=\"{endpoint}\"}}"))
}

fn member_of(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["header"]["member_id"].as_str().expect("a header").to_owned()
}

fn revision_of(answer: &Response) -> i64 {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["header"]["revision"].as_str().expect("a header").parse().expect("a number")
}
