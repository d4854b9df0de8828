use std::fmt::Write;

use super::short;
use crate::contender::Contender;
use crate::options::Options;
use crate::results::{Metric, Results};
use crate::workload::Workload;

/// A block for each workload: metrics down, contenders across, ratios at the right.
pub(crate) fn render(options: &Options, results: &Results) -> String {
    let mut text = format!(
        "Each cell: median (min..max) of {} rounds. Ratios: median over rounds.\n\n",
        options.rounds()
    );
    for &workload in &results.workloads {
        let rows = rows(workload, results);
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
            .collect();
        writeln!(text, "{workload}: {}", workload.title()).expect(INFALLIBLE);
        for row in &rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(text, "  {cell:<width$}").expect(INFALLIBLE);
                } else {
                    write!(text, "  {cell:>width$}").expect(INFALLIBLE);
                }
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

fn rows(workload: Workload, results: &Results) -> Vec<Vec<String>> {
    let contenders = results.contenders_of(workload);
    // A client of several members could do without a proxy, and must not be better off.
    let rivals: &[Contender] = match workload.members() {
        1 => &[Contender::HaproxyH2, Contender::GrpcProxy],
        _ => &[Contender::Direct, Contender::HaproxyH2],
    };
    let ratios: Vec<Contender> = rivals
        .iter()
        .copied()
        .filter(|other| contenders.contains(other))
        .filter(|_| contenders.contains(&Contender::Etcdlet))
        .collect();
    let mut head = vec![String::new()];
    head.extend(contenders.iter().map(ToString::to_string));
    head.extend(ratios.iter().map(|other| format!("etcdlet/{other}")));
    let mut rows = vec![head];
    for metric in Metric::ALL {
        let cells: Vec<String> =
            contenders.iter().map(|&contender| cell(workload, metric, contender, results)).collect();
        if cells.iter().all(|cell| cell == NOTHING) {
            continue;
        }
        let mut row = vec![metric.title().to_owned()];
        row.extend(cells);
        row.extend(ratios.iter().map(|&other| {
            results
                .ratio(workload, metric, Contender::Etcdlet, other)
                .map_or_else(|| NOTHING.to_owned(), |ratio| format!("{ratio:.2}"))
        }));
        rows.push(row);
    }
    rows
}

fn cell(workload: Workload, metric: Metric, contender: Contender, results: &Results) -> String {
    results.summary(workload, metric, contender).map_or_else(
        || NOTHING.to_owned(),
        |summary| format!("{} ({}..{})", short(summary.median), short(summary.min), short(summary.max)),
    )
}

const NOTHING: &str = "-";
const INFALLIBLE: &str = "writing to a string cannot fail";
