//! A configuration file as it was read, before its keys mean anything: what was changed in it, what
//! of that can have effect while the process runs, and how it is shown.

use std::path::{Path, PathBuf};

use super::section::{Node, Scalar, Section};
use super::{Config, ConfigErrors, Overrides, flags, reference, resolve, yaml};

/// Where the configuration is from, now and at every reload.
#[derive(Clone, Debug)]
pub struct Source {
    origin: Origin,
    /// Flags and environment, which do not change.
    overrides: Overrides,
}

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    /// What a file would say. It does not change either.
    Text(String),
}

/// What a [`Source`] said at one moment.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
    overrides: Overrides,
}

/// The configuration as it is shown to people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub yaml: String,
    pub json: String,
}

impl Source {
    /// Without a file there is nothing but what flags and the environment say.
    pub fn new(file: Option<PathBuf>, overrides: Overrides) -> Self {
        match file {
            Some(path) => Self { origin: Origin::File(path), overrides },
            None => Self::of_text(String::new(), overrides),
        }
    }

    /// `text` is what a file would say.
    pub fn of_text(text: String, overrides: Overrides) -> Self {
        Self { origin: Origin::Text(text), overrides }
    }

    /// Where it is read, if it is a file.
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Text(_) => None,
        }
    }

    /// Reads the file, if there is one.
    pub fn read(&self) -> Result<Document, ConfigErrors> {
        let root = match &self.origin {
            Origin::File(path) => std::fs::read_to_string(path)
                .map_err(|error| in_file(path, &error))
                .and_then(|text| yaml::parse(&text).map_err(|error| in_file(path, &error)))?,
            Origin::Text(text) => yaml::parse(text).map_err(|error| ConfigErrors(vec![error]))?,
        };
        Ok(Document { root, overrides: self.overrides.clone() })
    }
}

/// `name` stands before what is wrong with the text as YAML.
#[cfg(test)]
pub(crate) fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Config, ConfigErrors> {
    let root = yaml::parse(text).map_err(|error| ConfigErrors(vec![format!("{name}{error}")]))?;
    Document { root, overrides: overrides.clone() }.resolve()
}

impl Document {
    /// Checks all of it, and reads the password file. Finds every error at once.
    pub fn resolve(&self) -> Result<Config, ConfigErrors> {
        let mut errors = Vec::new();
        let section = Section::root(self.root.clone(), &mut errors);
        match resolve::resolve(section, &self.overrides, &mut errors) {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors(errors)),
        }
    }

    /// As far as this can replace `before` in a running process: every other key as it was there.
    pub fn in_place_of(&self, before: &Self) -> Self {
        Self { root: in_place("", &self.root, &before.root), overrides: self.overrides.clone() }
    }

    /// Paths of the keys that have another value in `other`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut paths = Vec::new();
        differences("", &self.complete(), &other.complete(), &mut paths);
        paths
    }

    /// `waiting` are the keys whose new values wait for a restart.
    pub fn shown(&self, waiting: &[String]) -> Shown {
        let redacted = redacted("", self.complete());
        let notes = match waiting {
            [] => String::new(),
            keys => format!("# Changed in the file, and waiting for a restart: {}\n", keys.join(", ")),
        };
        let document = serde_json::json!({ "config": yaml::json(&redacted), "restart_needed": waiting });
        Shown {
            yaml: format!(
                "# In effect: defaults, file, environment and flags.\n{notes}{}",
                yaml::render(&redacted)
            ),
            json: format!("{document:#}\n"),
        }
    }

    /// The files that it names: certificates, keys, passwords.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let is_file = |name: &str| name.ends_with("-file") || TLS_FILES.contains(&name);
        files("", &self.complete(), &is_file, &mut paths);
        paths
    }

    /// Those of them that nobody else should read.
    pub fn secret_files(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        files("", &self.complete(), &|name| SECRET_FILES.contains(&name), &mut paths);
        paths
    }

    /// With the defaults below it and the flags above.
    fn complete(&self) -> Node {
        let mut complete = defaults();
        overlay(&mut complete, &self.root);
        overlay(&mut complete, &flags::document(&self.overrides));
        complete
    }
}

/// The example that shows them all, without the only key that has none.
fn defaults() -> Node {
    let mut defaults = yaml::parse(include_str!("../../config/etcdlet.yaml")).expect("a test reads it");
    if let Node::Map(sections) = &mut defaults {
        for (_, section) in sections.iter_mut().filter(|(name, _)| name == "upstream") {
            if let Node::Map(entries) = section {
                entries.retain(|(name, _)| name != "endpoints");
            }
        }
    }
    defaults
}

/// Puts what `above` says over `node`. Lists are replaced.
fn overlay(node: &mut Node, above: &Node) {
    match (node, above) {
        (_, Node::Scalar(Scalar::Null)) => {}
        (Node::Map(entries), Node::Map(others)) => {
            for (name, other) in others {
                match entries.iter_mut().find(|(known, _)| known == name) {
                    Some((_, known)) => overlay(known, other),
                    None => entries.push((name.clone(), other.clone())),
                }
            }
        }
        (node, above) => *node = above.clone(),
    }
}

fn in_place(path: &str, new: &Node, before: &Node) -> Node {
    let mut entries = Vec::new();
    for name in names(new, before) {
        let at = child(path, name);
        let (new, before) = (entry(new, name), entry(before, name));
        let inside = format!("{at}.");
        let chosen = if in_place_keys().any(|key| key == at) {
            new.cloned()
        } else if in_place_keys().any(|key| key.starts_with(&inside)) {
            let nothing = Node::Map(Vec::new());
            Some(in_place(&at, new.unwrap_or(&nothing), before.unwrap_or(&nothing)))
        } else {
            before.cloned()
        };
        entries.extend(chosen.map(|node| (name.to_owned(), node)));
    }
    Node::Map(entries)
}

fn differences(path: &str, a: &Node, b: &Node, paths: &mut Vec<String>) {
    if !matches!((a, b), (Node::Map(_), Node::Map(_))) {
        if a != b {
            paths.push(path.to_owned());
        }
        return;
    }
    for name in names(a, b) {
        let at = child(path, name);
        match (entry(a, name), entry(b, name)) {
            (Some(a), Some(b)) => differences(&at, a, b, paths),
            (Some(_), None) | (None, Some(_)) => paths.push(at),
            (None, None) => {}
        }
    }
}

fn redacted(name: &str, node: Node) -> Node {
    match node {
        Node::Map(entries) => {
            let entries = entries.into_iter().map(|(name, node)| {
                let node = redacted(&name, node);
                (name, node)
            });
            Node::Map(entries.collect())
        }
        Node::List(items) => Node::List(items.into_iter().map(|item| redacted(name, item)).collect()),
        Node::Scalar(Scalar::Text(_) | Scalar::Other(_)) if is_secret(name) => hidden(),
        // What stands before an @ in a URL is for its server alone.
        Node::Scalar(Scalar::Text(text)) if text.contains("://") && text.contains('@') => hidden(),
        scalar => scalar,
    }
}

fn hidden() -> Node {
    Node::Scalar(Scalar::Text("(hidden)".to_owned()))
}

/// Files are named, not shown.
fn is_secret(name: &str) -> bool {
    !name.ends_with("-file") && ["password", "secret", "token"].iter().any(|word| name.contains(word))
}

/// Whose keys are wanted.
fn files(name: &str, node: &Node, is_wanted: &dyn Fn(&str) -> bool, paths: &mut Vec<PathBuf>) {
    match node {
        Node::Map(entries) => entries.iter().for_each(|(name, node)| files(name, node, is_wanted, paths)),
        Node::List(items) => items.iter().for_each(|item| files(name, item, is_wanted, paths)),
        Node::Scalar(Scalar::Text(path)) if is_wanted(name) => paths.push(path.into()),
        Node::Scalar(_) => {}
    }
}

/// The names of both, in the order of the first.
fn names<'a>(a: &'a Node, b: &'a Node) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in entries(a).iter().chain(entries(b)) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn entry<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    entries(node).iter().find(|(known, _)| known == name).map(|(_, node)| node)
}

fn entries(node: &Node) -> &[(String, Node)] {
    match node {
        Node::Map(entries) => entries,
        Node::List(_) | Node::Scalar(_) => &[],
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn in_file(path: &Path, error: &dyn std::fmt::Display) -> ConfigErrors {
    ConfigErrors(vec![format!("{}: {error}", path.display())])
}

/// Those that a reload takes over. Which files a certificate is in waits for a restart; what is in
/// them does not.
fn in_place_keys() -> impl Iterator<Item = &'static str> {
    let is_of_tls = |path: &str| path.split('.').rev().nth(1) == Some("tls");
    reference::keys().filter(move |key| key.reloads && !is_of_tls(key.path)).map(|key| key.path)
}

/// Of `upstream.tls`, whose keys are named as etcdctl's flags.
const TLS_FILES: &[&str] = &["cacert", "cert", "key"];

const SECRET_FILES: &[&str] = &["key", "key-file", "password-file"];

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document { root: yaml::parse(text).unwrap(), overrides: Overrides::default() }
    }

    #[test]
    fn what_can_change_in_place_does_and_the_rest_stays() {
        let before = document(
            "{listen: [{url: a}], threads: 1, limits: {connections: 5}, upstream: {endpoints: [a], cluster-id: 1}}",
        );
        let new = document(
            "{listen: [{url: b}], limits: {connections: 6, retry-buffer-bytes: 1MiB}, drain: {timeout: 1s},
              upstream: {endpoints: [b], dns: c}}",
        );
        let effect = new.in_place_of(&before);
        let expected = document(
            "{listen: [{url: a}], limits: {connections: 6, retry-buffer-bytes: 1MiB}, drain: {timeout: 1s},
              upstream: {endpoints: [b], dns: c, cluster-id: 1}, threads: 1}",
        );
        assert_eq!(effect.root, expected.root);
        assert_eq!(new.differences(&effect), ["listen", "upstream.cluster-id"]);
        assert_eq!(effect.differences(&effect), [] as [&str; 0]);
    }

    #[test]
    fn a_key_that_is_left_out_has_its_default_again() {
        let before =
            document("{hold: {timeout: 1s}, upstream: {endpoints: ['a:1'], probe: {silent-after: 1s}}}");
        let new = document("{hold: null, upstream: {endpoints: ['a:1']}}");
        let effect = new.in_place_of(&before);
        assert_eq!(effect.resolve().unwrap(), new.resolve().unwrap());
        assert_eq!(effect.differences(&new), [] as [&str; 0]);
        assert_eq!(new.differences(&before), ["upstream.probe.silent-after", "hold.timeout"]);
    }

    #[test]
    fn a_text_instead_of_a_file_says_the_same_at_every_reload() {
        let text = r#"{"upstream": {"endpoints": ["a:1"]}, "threads": 2}"#;
        let source = Source::of_text(text.to_owned(), Overrides::default());
        let (before, again) = (source.read().unwrap(), source.read().unwrap());
        assert_eq!(before.resolve().unwrap().threads, 2);
        assert_eq!(again.in_place_of(&before).resolve().unwrap(), before.resolve().unwrap());
        assert_eq!(again.differences(&before), [] as [&str; 0]);
        assert_eq!(source.file(), None);
    }

    #[test]
    fn a_value_that_a_flag_overrides_makes_no_difference() {
        let overrides = Overrides { threads: Some(3), ..Overrides::default() };
        let with = |text: &str| Document { overrides: overrides.clone(), ..document(text) };
        assert_eq!(with("threads: 1").differences(&with("threads: 2")), [] as [&str; 0]);
        assert!(with("threads: 1").shown(&[]).yaml.contains("threads: 3\n"));
    }

    #[test]
    fn what_is_shown_has_the_defaults_and_no_secrets() {
        let shown = document(
            "{upstream: {endpoints: ['http://u:hush@a:1'], auth: {username: u, password-file: /p, password: hush}},
              drain: {timeout: 7s}}",
        )
        .shown(&["listen".to_owned()]);
        assert!(!shown.yaml.contains("hush") && !shown.json.contains("hush"), "{}", shown.yaml);
        for part in
            ["password-file: /p", "timeout: 7s", "stream-jitter: 2s", "restart: listen\n", "threads: 1\n"]
        {
            assert!(shown.yaml.contains(part), "{part} is missing in\n{}", shown.yaml);
        }
        assert!(!shown.yaml.contains("10.0.0.1"), "the example's endpoints are no default");
        let json: serde_json::Value = serde_json::from_str(&shown.json).unwrap();
        assert_eq!(json["restart_needed"][0], "listen");
        assert_eq!(json["config"]["threads"], 1);
        // It can be read again.
        yaml::parse(&shown.yaml).unwrap();
    }

    #[test]
    fn the_files_that_are_named_are_found() {
        let found = document(
            "{listen: [{url: 'https://a:1', tls: {cert-file: /c, key-file: /k, trusted-ca-file: /t}}],
              upstream: {tls: {cacert: /ca, server-name: /no}, auth: {password-file: /p}}}",
        )
        .files();
        let expected: Vec<PathBuf> = ["/c", "/k", "/t", "/p", "/ca"].into_iter().map(PathBuf::from).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(expected.iter().all(|path| found.contains(path)), "{found:?}");
    }
}
