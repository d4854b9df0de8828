//! The references name what the code has: every metric, every key of the configuration, every flag of etcd's
//! proxies.

use std::collections::BTreeSet;

use etcdlet::cli::{gateway, grpc_proxy};
use etcdlet::config::reference;

use crate::tree::{File, ROOT, assert_none, read, rust_files};

#[test]
fn the_metrics_reference_names_every_metric_and_no_other() {
    assert_none(&metric_differences(&rust_files(&["src"]), &read("docs/metrics.md")));
}

/// Written anew by `ETCDLET_REWRITE=1 cargo test --test tidy`.
#[test]
fn the_configuration_reference_is_the_table_of_the_code() {
    const PAGE: &str = "docs/configuration.md";
    let page = read(PAGE);
    let begin = page.find("| key | flag |").expect("the page has the table");
    let length = page[begin..].find("\n\n").expect("something follows the table") + 1;
    let written = format!("{}{}{}", &page[..begin], reference::table(), &page[begin + length..]);
    if std::env::var_os("ETCDLET_REWRITE").is_some() {
        std::fs::write(format!("{ROOT}/{PAGE}"), &written).expect("the page can be written");
    } else {
        assert!(
            page == written,
            "{PAGE} is not what the code says: ETCDLET_REWRITE=1 cargo test --test tidy"
        );
    }
}

#[test]
fn the_example_has_every_key() {
    const FILE: &str = "config/etcdlet.yaml";
    let example = read(FILE);
    let missing = reference::keys().filter_map(|key| {
        let name = key.path.rsplit('.').next().expect("a path has a last part");
        (!example.contains(&format!("{name}:"))).then(|| format!("{FILE}: no key {}", key.path))
    });
    assert_none(&missing.collect::<Vec<_>>());
}

#[test]
fn the_page_of_the_drop_ins_tells_what_becomes_of_every_flag() {
    const PAGE: &str = "docs/drop-in.md";
    let page = read(PAGE);
    let flags = grpc_proxy::GROUP.flags.iter().chain(gateway::GROUP.flags);
    let missing = flags
        .filter(|flag| !page.contains(&format!("`--{}`", flag.name)))
        .map(|flag| format!("{PAGE}: no flag --{}", flag.name));
    assert_none(&missing.collect::<Vec<_>>());
}

fn metric_differences(files: &[File], reference: &str) -> Vec<String> {
    let registered: BTreeSet<String> =
        files.iter().flat_map(|file| quoted(&file.text)).filter(|text| is_metric(text)).collect();
    let documented: BTreeSet<String> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| is_metric(name))
        .map(str::to_owned)
        .collect();
    let undocumented =
        registered.difference(&documented).map(|name| format!("{name}: not in docs/metrics.md"));
    let unknown = documented.difference(&registered).map(|name| format!("{name}: in docs/metrics.md only"));
    undocumented.chain(unknown).collect()
}

fn is_metric(text: &str) -> bool {
    text.starts_with("etcdlet_") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned)
}

#[test]
fn a_metric_that_only_one_side_knows_is_found() {
    let file = File { path: "src/a.rs".into(), text: "register(\"etcdlet_one\", \"Help.\")".into() };
    let reference = "| metric |\n| `etcdlet_two` | | 2. |\n";
    assert_eq!(
        metric_differences(&[file], reference),
        ["etcdlet_one: not in docs/metrics.md", "etcdlet_two: in docs/metrics.md only"]
    );
}
