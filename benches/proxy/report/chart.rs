use std::fmt::Write;

use super::short;
use crate::contender::Contender;
use crate::machine::Header;
use crate::results::{Metric, Results, Summary};
use crate::workload::Workload;

struct Bar {
    label: String,
    contender: Contender,
    summary: Option<Summary>,
    /// Beside the figure.
    note: String,
}

/// A panel of horizontal bars for each workload; the thin line over a bar spans its rounds.
pub(crate) fn render(header: &Header, results: &Results) -> String {
    let mut panels = String::new();
    let mut y = MARGIN + TITLE + 10.0;
    for &workload in &results.workloads {
        let bars = bars(workload, results);
        panel(&mut panels, y, workload, &bars);
        y += TITLE + TITLE + bars.len() as f64 * ROW + GAP;
    }
    let header = escape(&header.to_string());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"{MARGIN}\" font-size=\"10\" fill=\"#6e7781\">{header}</text>\n\
         {panels}</svg>\n"
    )
}

fn panel(text: &mut String, y: f64, workload: Workload, bars: &[Bar]) {
    let metric = subject(workload);
    let (title, subtitle) = (escape(workload.title()), escape(metric));
    let mut add = |line: String| writeln!(text, "{line}").expect("writing to a string cannot fail");
    add(format!("<text x=\"{MARGIN}\" y=\"{y}\" font-size=\"14\" font-weight=\"600\">{title}</text>"));
    let below = y + TITLE;
    add(format!("<text x=\"{MARGIN}\" y=\"{below}\" fill=\"#6e7781\">{subtitle}</text>"));
    let largest = bars.iter().filter_map(|bar| bar.summary).map(|summary| summary.max);
    let scale = BAR / largest.fold(f64::MIN_POSITIVE, f64::max);
    for (index, bar) in bars.iter().enumerate() {
        let top = below + 10.0 + index as f64 * ROW;
        let (baseline, middle) = (top + 12.0, top + 8.0);
        let label_x = MARGIN + LABEL - 8.0;
        let label = escape(&bar.label);
        add(format!("<text x=\"{label_x}\" y=\"{baseline}\" text-anchor=\"end\">{label}</text>"));
        let mut figure = String::new();
        let mut end = MARGIN + LABEL;
        if let Some(summary) = bar.summary {
            let at = |value: f64| MARGIN + LABEL + value.max(0.0) * scale;
            let (x, width) = (MARGIN + LABEL, at(summary.median) - MARGIN - LABEL);
            let colour = colour(bar.contender);
            add(format!(
                "<rect x=\"{x}\" y=\"{top}\" width=\"{width:.1}\" height=\"16\" rx=\"2\" fill=\"{colour}\"/>"
            ));
            let (low, high) = (at(summary.min), at(summary.max));
            add(format!(
                "<path d=\"M{low:.1} {middle}H{high:.1}\" stroke=\"#24292f\" stroke-opacity=\".55\"/>"
            ));
            end = at(summary.max);
            figure = short(summary.median);
        }
        let (end, note) = (end + 6.0, escape(&bar.note));
        add(format!(
            "<text x=\"{end:.1}\" y=\"{baseline}\"><tspan font-weight=\"600\">{figure}</tspan> &#160;\
             <tspan fill=\"#6e7781\">{note}</tspan></text>"
        ));
    }
}

fn bars(workload: Workload, results: &Results) -> Vec<Bar> {
    let bar = |metric, contender: Contender, label, note| Bar {
        label,
        contender,
        summary: results.summary(workload, metric, contender),
        note,
    };
    let median = |metric, contender, show: fn(f64) -> String| {
        let summary = results.summary(workload, metric, contender);
        summary.map_or_else(String::new, |summary| show(summary.median))
    };
    let contenders = results.contenders_of(workload).into_iter();
    match workload {
        Workload::Get | Workload::Put | Workload::Range => contenders
            .map(|contender| {
                let rate = median(Metric::CallsPerSecond, contender, short);
                let p50 = median(Metric::P50Us, contender, latency);
                let p99 = median(Metric::P99Us, contender, latency);
                let note = format!("{rate} calls/s, p50 {p50}, p99 {p99}");
                bar(Metric::ProxyCpuUs, contender, contender.to_string(), note)
            })
            .collect(),
        Workload::GetSerial | Workload::PutSerial => contenders
            .map(|contender| {
                let note = format!("p50 {}", median(Metric::P50Us, contender, latency));
                bar(Metric::P50AddedUs, contender, contender.to_string(), note)
            })
            .collect(),
        Workload::ClusterGet | Workload::ClusterPut => contenders
            .map(|contender| {
                let rate = median(Metric::CallsPerSecond, contender, short);
                let p99 = median(Metric::P99Us, contender, latency);
                let note = format!("{rate} calls/s, p99 {p99}");
                bar(Metric::P50Us, contender, contender.to_string(), note)
            })
            .collect(),
        Workload::ClusterGetSerial | Workload::ClusterPutSerial => contenders
            .map(|contender| bar(Metric::P50Us, contender, contender.to_string(), String::new()))
            .collect(),
        Workload::Watch | Workload::WatchNested => contenders
            .map(|contender| {
                let note = format!("{} events/s", median(Metric::EventsPerSecond, contender, short));
                bar(Metric::ProxyCpuEventUs, contender, contender.to_string(), note)
            })
            .collect(),
        Workload::WatchMany => contenders
            .map(|contender| {
                let upstream = median(Metric::UpstreamWatches, contender, short);
                let note = format!("{upstream} watches at the member");
                bar(Metric::WatchesResidentMib, contender, contender.to_string(), note)
            })
            .collect(),
        Workload::KeepAlive => contenders
            .map(|contender| {
                let note = format!("{} a second", median(Metric::CallsPerSecond, contender, short));
                bar(Metric::ProxyCpuUs, contender, contender.to_string(), note)
            })
            .collect(),
        Workload::Memory => contenders
            .filter(|contender| *contender != Contender::Direct)
            .flat_map(|contender| {
                [
                    bar(Metric::RestResidentMib, contender, format!("{contender}, rest"), String::new()),
                    bar(
                        Metric::WatchesResidentMib,
                        contender,
                        format!("{contender}, watches"),
                        String::new(),
                    ),
                ]
            })
            .collect(),
    }
}

fn subject(workload: Workload) -> &'static str {
    match workload {
        Workload::Get | Workload::Put | Workload::Range => "CPU of the proxy per call, µs (less is better)",
        Workload::GetSerial | Workload::PutSerial => "median latency added to direct, µs (less is better)",
        Workload::ClusterGet
        | Workload::ClusterPut
        | Workload::ClusterGetSerial
        | Workload::ClusterPutSerial => "median latency, µs (less is better)",
        Workload::Watch | Workload::WatchNested => "CPU of the proxy per event, µs (less is better)",
        Workload::KeepAlive => "CPU of the proxy per keep-alive, µs (less is better)",
        Workload::Memory | Workload::WatchMany => "resident memory, MiB (less is better)",
    }
}

fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Direct => "#d0d7de",
        Contender::Etcdlet => "#2da44e",
        Contender::GrpcProxy => "#8c9fb5",
        Contender::HaproxyTcp => "#c3cedb",
        Contender::HaproxyH2 => "#a8b8ca",
    }
}

fn latency(us: f64) -> String {
    if us >= 1000.0 { format!("{} ms", short(us / 1000.0)) } else { format!("{} µs", short(us)) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 20.0;
const LABEL: f64 = 140.0;
/// Longest bar; what is left of the width belongs to the figures.
const BAR: f64 = 380.0;
const ROW: f64 = 22.0;
const TITLE: f64 = 18.0;
const GAP: f64 = 20.0;
