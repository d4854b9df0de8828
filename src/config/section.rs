//! A mapping of the file, taken apart key by key. Errors are noted with their path and the
//! reading goes on, so that one run finds them all.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

pub(super) enum Node {
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    Scalar(Scalar),
}

pub(super) enum Scalar {
    Null,
    /// A number or a boolean, as it is written.
    Other(String),
    Text(String),
}

impl Node {
    fn kind(&self) -> &'static str {
        match self {
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Scalar(Scalar::Null) => "nothing",
            Self::Scalar(Scalar::Other(_)) => "a number or boolean",
            Self::Scalar(Scalar::Text(_)) => "a text",
        }
    }
}

/// Keys that were not taken yet, and where the mapping stands.
pub(super) struct Section {
    path: String,
    entries: Vec<(String, Node)>,
}

impl Section {
    pub fn root(node: Node, errors: &mut Vec<String>) -> Self {
        Self::of(String::new(), node, errors)
    }

    fn of(path: String, node: Node, errors: &mut Vec<String>) -> Self {
        let entries = match node {
            Node::Map(entries) => entries,
            Node::Scalar(Scalar::Null) => Vec::new(),
            other => {
                let at = if path.is_empty() { "the file" } else { &path };
                errors.push(format!("{at}: expected a mapping, found {}", other.kind()));
                Vec::new()
            }
        };
        Self { path, entries }
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn path_name(&self) -> &str {
        &self.path
    }

    fn take(&mut self, key: &str) -> Option<Node> {
        #[cfg(test)]
        READS.with_borrow_mut(|reads| reads.push((self.path_of(key), true)));
        let position = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(position).1)
    }

    pub fn section(&mut self, key: &str, errors: &mut Vec<String>) -> Self {
        let node = self.take(key).unwrap_or(Node::Map(Vec::new()));
        #[cfg(test)]
        on_section(&self.path_of(key));
        Self::of(self.path_of(key), node, errors)
    }

    /// The sections of a list of mappings.
    pub fn sections(&mut self, key: &str, errors: &mut Vec<String>) -> Option<Vec<Self>> {
        let items = self.list(key, errors);
        #[cfg(test)]
        on_section(&self.path_of(key));
        Some(items?.into_iter().map(|(path, node)| Self::of(path, node, errors)).collect())
    }

    pub fn texts(&mut self, key: &str, errors: &mut Vec<String>) -> Option<Vec<String>> {
        let items = self.list(key, errors)?;
        Some(items.into_iter().filter_map(|(path, node)| scalar(&path, node, errors)).collect())
    }

    fn list(&mut self, key: &str, errors: &mut Vec<String>) -> Option<Vec<(String, Node)>> {
        let path = self.path_of(key);
        match self.take(key)? {
            Node::List(items) => {
                let at = |(index, node)| (format!("{path}[{index}]"), node);
                Some(items.into_iter().enumerate().map(at).collect())
            }
            other => {
                errors.push(format!("{path}: expected a list, found {}", other.kind()));
                None
            }
        }
    }

    pub fn text(&mut self, key: &str, errors: &mut Vec<String>) -> Option<String> {
        let path = self.path_of(key);
        scalar(&path, self.take(key)?, errors)
    }

    pub fn path(&mut self, key: &str, errors: &mut Vec<String>) -> Option<PathBuf> {
        self.text(key, errors).map(PathBuf::from)
    }

    /// A whole number from 1 to `max`.
    pub fn count<T: Copy + FromStr + PartialOrd + From<u8> + Display>(
        &mut self,
        key: &str,
        max: T,
        errors: &mut Vec<String>,
    ) -> Option<T> {
        let expected = format!("a whole number from 1 to {max}");
        self.parsed(key, &expected, errors, |text| {
            text.parse().ok().filter(|count| *count >= T::from(1) && *count <= max)
        })
    }

    /// A whole number up to `max`.
    pub fn number<T: Copy + FromStr + PartialOrd + Display>(
        &mut self,
        key: &str,
        max: T,
        errors: &mut Vec<String>,
    ) -> Option<T> {
        let expected = format!("a whole number up to {max}");
        self.parsed(key, &expected, errors, |text| text.parse().ok().filter(|number| *number <= max))
    }

    pub fn flag(&mut self, key: &str, errors: &mut Vec<String>) -> Option<bool> {
        self.parsed(key, "true or false", errors, |text| text.parse().ok())
    }

    /// Of a section whose keys are the user's own.
    pub fn keys(&self) -> Vec<String> {
        #[cfg(test)]
        READS.with_borrow_mut(|reads| reads.push((self.path.clone(), true)));
        self.entries.iter().map(|(key, _)| key.clone()).collect()
    }

    /// A number of bytes, with a unit or without: `2MiB`.
    pub fn bytes(&mut self, key: &str, errors: &mut Vec<String>) -> Option<u64> {
        self.parsed(key, "a size such as 2MiB", errors, |text| {
            text.parse::<ByteSize>().ok().map(|size| size.as_u64()).filter(|size| *size > 0)
        })
    }

    /// A time with its unit: `5s`.
    pub fn duration(&mut self, key: &str, errors: &mut Vec<String>) -> Option<Duration> {
        self.parsed(key, "a time such as 5s", errors, |text| humantime::parse_duration(text).ok())
    }

    pub fn positive_duration(&mut self, key: &str, errors: &mut Vec<String>) -> Option<Duration> {
        self.parsed(key, "a time above zero such as 5s", errors, |text| {
            humantime::parse_duration(text).ok().filter(|duration| !duration.is_zero())
        })
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        expected: &str,
        errors: &mut Vec<String>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(key, errors)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            errors.push(format!("{}: expected {expected}, found {text:?}", self.path_of(key)));
        }
        parsed
    }

    /// Whatever was not taken is not known.
    pub fn finish(self, errors: &mut Vec<String>) {
        for (key, _) in &self.entries {
            errors.push(format!("{}: unknown key", self.path_of(key)));
        }
    }
}

fn scalar(path: &str, node: Node, errors: &mut Vec<String>) -> Option<String> {
    match node {
        Node::Scalar(Scalar::Text(text) | Scalar::Other(text)) => Some(text),
        other => {
            errors.push(format!("{path}: expected a value, found {}", other.kind()));
            None
        }
    }
}

#[cfg(test)]
thread_local! {
    /// The paths that were asked for, and whether each is a value.
    static READS: std::cell::RefCell<Vec<(String, bool)>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(test)]
fn on_section(path: &str) {
    READS.with_borrow_mut(|reads| {
        if let Some(last) = reads.iter_mut().rfind(|(read, _)| read == path) {
            last.1 = false;
        }
    });
}

#[cfg(test)]
pub(super) fn forget_reads() {
    READS.take();
}

/// Values that were asked for since.
#[cfg(test)]
pub(super) fn reads() -> Vec<String> {
    READS.take().into_iter().filter(|(_, value)| *value).map(|(path, _)| path).collect()
}
