use serde_json::{Map, Value, json};

use crate::machine::Header;
use crate::options::Options;
use crate::results::{Metric, Results};

/// A line for the run, then one for each workload and contender.
pub(crate) fn render(header: &Header, options: &Options, results: &Results) -> String {
    let Header { date, cores, memory_gib, processor, kernel, versions } = header;
    let versions: Map<String, Value> =
        versions.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
    let run = json!({
        "kind": "run",
        "date": date,
        "cores": cores,
        "memory_gib": memory_gib,
        "processor": processor,
        "kernel": kernel,
        "versions": versions,
        "rounds": options.rounds(),
        "quick": options.quick,
        "unsafe_no_fsync": options.unsafe_no_fsync,
    });
    let mut text = format!("{run}\n");
    for &workload in &results.workloads {
        for contender in results.contenders_of(workload) {
            let metrics: Map<String, Value> = Metric::ALL
                .into_iter()
                .filter_map(|metric| {
                    let summary = results.summary(workload, metric, contender)?;
                    let figures = json!({
                        "median": summary.median,
                        "min": summary.min,
                        "max": summary.max,
                        "rounds": results.rounds(workload, metric, contender),
                    });
                    Some((metric.key().to_owned(), figures))
                })
                .collect();
            let line = json!({
                "kind": "result",
                "workload": workload.name(),
                "contender": contender.name(),
                "metrics": metrics,
            });
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}
