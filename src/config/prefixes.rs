//! What is different for the watches below a prefix: `watch.prefixes`.

use bytes::Bytes;

use super::section::Section;
use crate::proxy::watch::config::{Prefix, StandingFeed};

/// `coalesce` is what holds for all watches.
pub(super) fn read(watch: &mut Section, coalesce: bool, errors: &mut Vec<String>) -> Vec<Prefix> {
    let list = watch.path_of("prefixes");
    let sections = watch.sections("prefixes", errors).unwrap_or_default();
    if sections.len() > PREFIXES_MAX {
        errors.push(format!("{list}: {} entries are more than {PREFIXES_MAX}", sections.len()));
    }
    let mut prefixes: Vec<Prefix> = Vec::new();
    for mut section in sections {
        let path = section.path_of("prefix");
        let text = section.text("prefix", errors);
        let rest = rest(&mut section, coalesce, errors);
        section.finish(errors);
        let Some(text) = text else {
            errors.push(format!("{path}: missing"));
            continue;
        };
        let prefix = Bytes::from(text);
        if prefixes.iter().any(|other| other.prefix == prefix) {
            errors.push(format!("{path}: {prefix:?} is there twice"));
        }
        prefixes.push(Prefix { prefix, ..rest });
    }
    prefixes
}

fn rest(section: &mut Section, coalesce: bool, errors: &mut Vec<String>) -> Prefix {
    let shares = section.flag("coalesce", errors).unwrap_or(true);
    let stands = section.flag("standing", errors).unwrap_or(false);
    let mut only_with_standing = |key: &str| {
        let flag = section.flag(key, errors);
        if flag.is_some() && !stands {
            errors.push(format!("{}: it goes with standing", section.path_of(key)));
        }
        flag.unwrap_or(false)
    };
    let prev_kv = only_with_standing("prev-kv");
    let require_leader = only_with_standing("require-leader");
    if stands && !(shares && coalesce) {
        errors.push(format!("{}: nobody shares it without coalesce", section.path_of("standing")));
    }
    let standing = stands.then_some(StandingFeed { prev_kv, require_leader });
    Prefix { coalesce: shares, standing, ..Prefix::of(b"") }
}

/// They are looked through one by one when a watch is created.
const PREFIXES_MAX: usize = 256;
