//! The normalisation rule for what etcdctl prints.
//!
//! On top of the names of [`Known`]: the time that a call took; in a log line its time stamp, etcdctl's own port, the
//! address of an object, the size of a snapshot; in the status of a member the figures that the differential test
//! erases too.

use crate::differential::known::Known;

/// Output with everything replaced that two equal clusters cannot share.
pub(crate) fn normalise(text: &str, known: &Known) -> String {
    let mut text = known.rewrite(text);
    // What etcdctl was told to talk to is the member itself on one side.
    text = text.replace("<endpoint", "<client-url");
    for (before, until) in [
        ("took ", "\n"),
        ("\"took\":\"", "\""),
        ("\"Took\" : ", "\n"),
        ("\"ts\":\"", "\""),
        ("etcd-endpoints://", "/"),
        ("LocalAddr: '", "'"),
        ("\"size\":\"", "\""),
    ] {
        text = blank(&text, before, until);
    }
    text
}

/// Blanks the figures of a member's status in each of etcdctl's formats.
pub(crate) fn blank_status(text: &str) -> String {
    let mut text = text.to_owned();
    for field in ["dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex"] {
        text = blank(&text, &format!("\"{field}\":"), ",}");
    }
    for field in ["DBSize", "DBSizeInUse", "RaftIndex", "RaftAppliedIndex"] {
        text = blank(&text, &format!("\"{field}\" : "), "\n");
    }
    rows(&text, |cells| {
        if cells.len() == STATUS_COLUMNS && cells[3] != "DB SIZE" {
            for index in [3, 7, 8] {
                cells[index] = "<…>";
            }
        }
    })
}

/// A table without its borders: columns are as wide as their widest cell, which ids, URLs and times change.
pub(crate) fn blank_table(text: &str) -> String {
    rows(text, |cells| {
        for cell in cells.iter_mut() {
            if cell.starts_with(|first: char| first.is_ascii_digit()) && cell.ends_with('s') {
                *cell = "<…>";
            }
        }
    })
}

/// Lines in sorted order: etcd sorts members by their ids.
pub(crate) fn sort_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// What etcdctl wrote to its standard error, the log lines in sorted order: several of its threads write them.
pub(crate) fn sort_log(text: &str) -> String {
    let (mut log, rest): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("{\"level\""));
    log.sort_unstable();
    log.into_iter().chain(rest).map(|line| format!("{line}\n")).collect()
}

/// Blanks the figures of a snapshot file: its hash contains the member's id, and its size that of the database.
pub(crate) fn blank_snapshot(text: &str) -> String {
    let text = blank(text, "\"hash\":", ",");
    blank(&text, "\"totalSize\":", ",}")
}

/// Edits the cells of tables and of lines of comma-separated values.
fn rows(text: &str, edit: fn(&mut [&str])) -> String {
    // Newer releases draw tables by other characters.
    let text = text.replace('│', "|");
    let lines = text.lines().filter(|line| !line.starts_with(['+', '┌', '├', '└'])).map(|line| {
        let (mut cells, separator): (Vec<&str>, _) = if line.starts_with('|') {
            (line.trim_matches('|').split('|').map(str::trim).collect(), " | ")
        } else {
            (line.split(", ").collect(), ", ")
        };
        edit(&mut cells);
        cells.join(separator)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces what stands between `before` and any character of `until`, everywhere.
fn blank(text: &str, before: &str, until: &str) -> String {
    let mut parts = text.split(before);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str(before);
        result.push_str("<…>");
        result.push_str(&part[part.find(|character| until.contains(character)).unwrap_or(part.len())..]);
    }
    result
}

const STATUS_COLUMNS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_blanked() {
        let text = "is healthy: successfully committed proposal: took = 1.5ms\nnext";
        let expected = "is healthy: successfully committed proposal: took <…>\nnext";
        assert_eq!(normalise(text, &Known::default()), expected);
    }

    #[test]
    fn a_table_loses_its_borders_and_times() {
        let table = "┌───┬──┐\n│ ENDPOINT │ TOOK │\n├───┼──┤\n│ e  │ 1.5ms │\n└───┴──┘\n";
        assert_eq!(blank_table(table), "ENDPOINT | TOOK\ne | <…>");
        assert_eq!(
            blank_table(&table.replace('│', "|").replace(['┌', '├', '└'], "+")),
            "ENDPOINT | TOOK\ne | <…>"
        );
    }

    #[test]
    fn status_rows_lose_their_figures_only() {
        let row = "e, id, 3.5.30, 20 kB, true, false, 2, 8, 8, ";
        assert_eq!(blank_status(row), "e, id, 3.5.30, <…>, true, false, 2, <…>, <…>, ");
    }
}
