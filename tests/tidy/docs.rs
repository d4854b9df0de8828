//! The references name what the code has: every metric, every key of the configuration.

use std::collections::BTreeSet;

use crate::tree::{File, assert_none, read, rust_files};

#[test]
fn the_metrics_reference_names_every_metric_and_no_other() {
    assert_none(&metric_differences(&rust_files(&["src"]), &read("docs/metrics.md")));
}

#[test]
fn the_configuration_reference_names_every_key() {
    let code = ["resolve", "limits", "listen"].map(|file| read(&format!("src/config/{file}.rs")));
    let (reference, example) = (read("docs/configuration.md"), read("config/etcdlet.yaml"));
    let missing = code.iter().flat_map(|code| keys(code)).flat_map(|key| {
        let in_reference = reference.contains(&format!(".{key}`")) || reference.contains(&format!("`{key}`"));
        let in_reference = in_reference
            || reference.contains(&format!("`{key}[]."))
            || reference.contains(&format!("`{key}."))
            || reference.contains(&format!(".{key}."));
        let places = [
            (in_reference, "docs/configuration.md"),
            (example.contains(&format!("{key}:")), "config/etcdlet.yaml"),
        ];
        places.into_iter().filter(|(found, _)| !found).map(move |(_, place)| format!("{place}: no key {key}"))
    });
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

/// Names that the code takes out of a section of the file.
fn keys(code: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let takers = [
        ".section(",
        ".sections(",
        ".texts(",
        ".text(",
        ".path(",
        ".count(",
        ".number(",
        ".bytes(",
        ".duration(",
        ".positive_duration(",
    ];
    let mut found = BTreeSet::new();
    for taker in takers {
        for (at, _) in code.match_indices(taker) {
            let argument = code[at + taker.len()..].trim_start();
            if let Some(rest) = argument.strip_prefix('"') {
                found.extend(rest.split('"').next().map(str::to_owned));
            }
        }
    }
    found.extend(code.match_indices("size(").filter_map(|(at, prefix)| {
        let arguments = code[at + prefix.len()..].trim_start();
        let arguments = arguments.strip_prefix("&mut ").unwrap_or(arguments);
        let name = arguments.strip_prefix("limits,")?.trim_start().strip_prefix('"')?;
        name.split('"').next().map(str::to_owned)
    }));
    found
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

#[test]
fn keys_are_read_out_of_the_code() {
    let code =
        "root.section(\"limits\", errors); x.count(\n \"connections\", e); size(&mut limits, \"bytes\", 1)";
    assert_eq!(keys(code), ["bytes", "connections", "limits"].map(str::to_owned).into());
}
