//! Every key of the file: where `docs/configuration.md` comes from.
//!
//! ```text
//!   KEYS ──(table)──> docs/configuration.md
//!     └── compared with what the resolver reads, with its defaults, and with the command line
//! ```
//!
//! Invariants: a key that is read stands here, and one that stands here is read; the default told
//! is the one that holds; a flag named here exists, and names its key.

mod audit;
mod hubs;
mod listen;
mod process;
mod routing;
mod upstream;

use std::fmt::Write;

/// One key, in the words of the reference (Markdown).
#[derive(Debug)]
pub struct Key {
    /// As errors name it; `[]` stands for any entry of a list.
    pub path: &'static str,
    /// It wins over the key. Its variable is named after it: `--admin-url`, `ETCDLET_ADMIN_URL`.
    pub flag: Option<&'static str>,
    /// In backticks, unless it is no value of its own; empty where there is none.
    pub default: &'static str,
    /// Whether a reload is enough to change it.
    pub reloads: bool,
    pub meaning: &'static str,
}

impl Key {
    /// The default as it would be written in the file.
    pub fn value(&self) -> Option<&'static str> {
        self.default.strip_prefix('`')?.split('`').next()
    }
}

/// In the order of the reference.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [listen::KEYS, upstream::KEYS, routing::KEYS, hubs::KEYS, audit::KEYS, process::KEYS]
        .into_iter()
        .flatten()
}

/// All of them as a Markdown table.
pub fn table() -> String {
    let mut table = "| key | flag | default | reload | meaning |\n|---|---|---|---|---|\n".to_owned();
    for Key { path, flag, default, reloads, meaning } in keys() {
        let flag = flag.map_or(String::new(), |flag| format!("`{flag}`"));
        let reload = if *reloads { "yes" } else { "" };
        writeln!(table, "| `{path}` | {flag} | {default} | {reload} | {meaning} |")
            .expect("strings take everything");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::resolve::resolve;
    use crate::config::section::{self, Section};
    use crate::config::{Config, Overrides, yaml};

    fn load(text: &str) -> Config {
        let mut errors = Vec::new();
        let root = Section::root(yaml::parse(text).unwrap(), &mut errors);
        let config = resolve(root, &Overrides::default(), &mut errors);
        assert_eq!(errors, [""; 0], "{text}");
        config.unwrap()
    }

    #[test]
    fn the_keys_that_are_read_are_the_keys_of_the_reference() {
        let mut errors = Vec::new();
        let text = "listen: [{}]\nwatch: {prefixes: [{}]}";
        let root = Section::root(yaml::parse(text).unwrap(), &mut errors);
        section::forget_reads();
        let _incomplete = resolve(root, &Overrides::default(), &mut errors);
        let read: BTreeSet<String> =
            section::reads().into_iter().map(|path| path.replace("[0]", "[]")).collect();
        let documented: BTreeSet<String> = keys().map(|key| key.path.to_owned()).collect();
        let differences: Vec<_> = read.symmetric_difference(&documented).collect();
        assert!(differences.is_empty(), "read, or in the reference, but not both: {differences:?}");
        assert_eq!(documented.len(), keys().count(), "a key is there twice");
    }

    /// The defaults of the reference, written out as a file, change nothing.
    #[test]
    fn the_defaults_of_the_reference_hold() {
        const GIVEN: &str = "upstream.endpoints";
        let mut sections: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        let mut text = String::new();
        for key in keys().filter(|key| !key.path.starts_with("watch.prefixes") && key.path != GIVEN) {
            let Some(value) = key.value().filter(|_| key.default.ends_with('`')) else { continue };
            match key.path.rsplit_once('.') {
                None => writeln!(text, "{}: {value}", key.path).unwrap(),
                Some((section, name)) => sections.entry(section).or_default().push((name, value)),
            }
        }
        let mut tree: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (section, values) in &sections {
            let mut entries: Vec<String> =
                values.iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
            let (root, inner) = section.split_once('.').unwrap_or((section, ""));
            if !inner.is_empty() {
                entries = vec![format!("{inner}: {{{}}}", entries.join(", "))];
            }
            tree.entry(root).or_default().extend(entries);
        }
        tree.entry("upstream").or_default().push("endpoints: ['http://a:1']".to_owned());
        for (section, entries) in tree {
            let entries = entries.join(", ");
            match section.strip_suffix("[]") {
                Some(list) => writeln!(text, "{list}: [{{{entries}}}]").unwrap(),
                None => writeln!(text, "{section}: {{{entries}}}").unwrap(),
            }
        }
        assert_eq!(load(&text), load("upstream: {endpoints: ['http://a:1']}"), "{text}");
    }
}
