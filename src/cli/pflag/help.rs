//! What `--help` prints.

use std::fmt::Write;

use super::{Fate, Flag, Group, Kind};

pub(super) fn start_help(group: &Group) -> String {
    format!("{}\n\n{}", group.start, start_usage(group))
}

/// What stands below a mistake too.
pub(super) fn start_usage(group: &Group) -> String {
    let mut text = format!("Usage:\n  etcdlet {} start [flags]\n\nFlags:\n", group.name);
    let rows: Vec<(String, String)> = group.flags.iter().map(row).collect();
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or_default();
    for (left, right) in rows {
        writeln!(text, "      {left:width$}   {right}").expect("a string takes everything");
    }
    writeln!(text, "  -h, {:width$}   this text", "--help").expect("a string takes everything");
    text
}

pub(super) fn group_help(group: &Group) -> String {
    format!("{}\n\n{}", group.about, group_usage(group))
}

pub(super) fn group_usage(group: &Group) -> String {
    let Group { name, start, .. } = group;
    format!("Usage:\n  etcdlet {name} [command]\n\nAvailable Commands:\n  start       {start}\n")
}

fn row(flag: &Flag) -> (String, String) {
    let Flag { name, kind, default, help, fate } = flag;
    let kind_name = match kind {
        Kind::Bool => "",
        Kind::Duration => " duration",
        Kind::Int => " int",
        Kind::Strings => " strings",
        Kind::Text => " string",
        Kind::Uint => " uint",
        Kind::Uint32 => " uint32",
    };
    let right = match fate {
        Fate::Refused(instead) => format!("not supported: {instead}"),
        Fate::Idle(why) => format!("no effect: {why}"),
        Fate::Done => {
            let default = match (kind, *default) {
                (_, "" | "false" | "0" | "0s") => String::new(),
                (Kind::Strings, default) => format!(" (default [{default}])"),
                (Kind::Text, default) => format!(" (default {default:?})"),
                (_, default) => format!(" (default {default})"),
            };
            format!("{help}{default}")
        }
    };
    (format!("--{name}{kind_name}"), right)
}
