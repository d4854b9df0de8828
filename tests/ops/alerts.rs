//! The alerts: expressions that Prometheus understands, of metrics that there are.

use std::collections::BTreeSet;

use serde_yaml::Value;

use crate::{read, succeed, tools};

#[test]
fn every_alert_can_be_understood() {
    let rules = rules();
    let expressions: Vec<&str> = rules.iter().map(|rule| text(rule, "expr")).collect();
    succeed(
        tools::python()
            .args(["-c", "import promql_parser, sys\nfor it in sys.argv[1:]: promql_parser.parse(it)"])
            .args(&expressions),
    );
    let mut names = BTreeSet::new();
    for rule in &rules {
        let name = text(rule, "alert");
        assert!(names.insert(name), "{name} twice");
        assert!(["critical", "warning"].contains(&text(&rule["labels"], "severity")), "{name}");
        for annotation in ["summary", "description"] {
            assert!(!text(&rule["annotations"], annotation).is_empty(), "{name}");
        }
    }
}

#[test]
fn every_metric_of_an_alert_is_documented() {
    let reference = read("docs/metrics.md");
    for rule in rules() {
        let expression = text(&rule, "expr");
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for metric in words.filter(|word| word.starts_with("etcdlet_")) {
            let family = metric.strip_suffix("_bucket").unwrap_or(metric);
            assert!(reference.contains(&format!("| `{family}` |")), "{metric}: not in docs/metrics.md");
        }
    }
}

#[test]
fn whatever_a_person_must_be_told_of_has_an_alert() {
    let rules = rules();
    for metric in [
        "etcdlet_audit_failing",
        "etcdlet_cluster_has_leader",
        "etcdlet_config_reloads_total{outcome=\"failed\"}",
        "etcdlet_config_restart_needed",
        "etcdlet_connections_refused_total{reason=~\".*limit\"}",
        "etcdlet_member_healthy",
        // There is none to be healthy where none is known.
        "etcdlet_members",
        "etcdlet_tls_certificate_expiry_timestamp_seconds",
        "etcdlet_watch_lag_seconds",
    ] {
        assert!(rules.iter().any(|rule| text(rule, "expr").contains(metric)), "{metric}: in no alert");
    }
}

fn rules() -> Vec<Value> {
    let file: Value = serde_yaml::from_str(&read("deploy/prometheus/alerts.yaml")).expect("it is YAML");
    let groups = file["groups"].as_sequence().expect("groups is a list");
    let rules: Vec<Value> =
        groups.iter().flat_map(|it| it["rules"].as_sequence().expect("rules is a list").clone()).collect();
    assert!(!rules.is_empty());
    rules
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value:?}"))
}
