//! The three shapes of a report: a table for the reader of the terminal, JSON lines for programs, and a
//! chart for documentation.

mod chart;
mod json;
mod table;

use std::fs;

use crate::contender::Contender;
use crate::error::Error;
use crate::limits::Verdict;
use crate::machine::Header;
use crate::options::{Options, target_dir};
use crate::results::Results;

pub(crate) fn write_all(
    options: &Options,
    header: &Header,
    results: &Results,
    verdicts: &[Verdict],
) -> Result<(), Error> {
    println!("{header}\n");
    print!("{}", table::render(options, results));
    if options.check || results.contenders.contains(&Contender::Etcdlet) {
        println!("limits:");
        for verdict in verdicts {
            println!("  {verdict}");
        }
        println!();
    }
    let folder = target_dir().join("bench");
    fs::create_dir_all(&folder)?;
    let (json, chart) = (folder.join("proxy.json"), folder.join("proxy.svg"));
    fs::write(&json, json::render(header, options, results))?;
    fs::write(&chart, chart::render(header, results))?;
    println!("written: {} and {}", json.display(), chart.display());
    Ok(())
}

/// Progress and failures, apart from the report on standard output.
#[expect(clippy::print_stderr, reason = "a benchmark has no log")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// As many digits as a figure of its size deserves.
pub(crate) fn short(figure: f64) -> String {
    let size = figure.abs();
    if size >= 100.0 {
        format!("{figure:.0}")
    } else if size >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}
