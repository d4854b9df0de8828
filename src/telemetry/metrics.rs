//! The registry of the process.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{Encoder, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};
use tokio::sync::Mutex;

/// Where folders register their metric families; rendered by the admin port.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Held by whoever renders aside.
    aside: Arc<Mutex<()>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// With `etcdlet_build_info` and, on Linux, the `process_*` family.
    pub fn new() -> Self {
        let metrics = Self { registry: Registry::new(), aside: Arc::default() };
        #[cfg(target_os = "linux")]
        metrics.add(prometheus::process_collector::ProcessCollector::for_self());
        let build = IntGaugeVec::new(
            Opts::new("etcdlet_build_info", "1, labelled with the version of this etcdlet."),
            &["version"],
        )
        .expect("name and label are valid");
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics.add(build);
        metrics
    }

    /// Registers a family and returns its handle.
    pub fn register<C: Collector + Clone + 'static>(&self, family: Result<C, prometheus::Error>) -> C {
        let family = family.expect("metric names and labels are constants and valid");
        self.add(family.clone());
        family
    }

    /// Registers counters by `label`, those of `values` from the beginning: the first time that one
    /// counts is an increase only where it was 0 before.
    pub fn register_counters(
        &self,
        (name, help): (&str, &str),
        label: &str,
        values: &[&str],
    ) -> IntCounterVec {
        let family = self.register(IntCounterVec::new(Opts::new(name, help), &[label]));
        for value in values {
            family.with_label_values(&[value]).inc_by(0);
        }
        family
    }

    fn add(&self, family: impl Collector + 'static) {
        self.registry.register(Box::new(family)).expect("every family is registered once");
    }

    /// The text format of Prometheus.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("a vector takes every byte");
        text
    }

    /// The same for a thread that others wait for: on another one, and one at a time, however many ask. It
    /// takes milliseconds, and reads files of the kernel.
    pub async fn render_aside(&self) -> Vec<u8> {
        let _turn = self.aside.lock().await;
        let metrics = self.clone();
        // Without an answer the runtime is about to end, and nobody waits.
        tokio::task::spawn_blocking(move || metrics.render()).await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{ThreadId, current};

    use prometheus::core::Desc;
    use prometheus::proto::MetricFamily;

    /// Knows which thread has gathered last.
    #[derive(Clone, Default)]
    struct Gatherer(Arc<std::sync::Mutex<Option<ThreadId>>>);

    impl Collector for Gatherer {
        fn desc(&self) -> Vec<&Desc> {
            Vec::new()
        }

        fn collect(&self) -> Vec<MetricFamily> {
            *self.0.lock().unwrap() = Some(current().id());
            Vec::new()
        }
    }

    #[tokio::test]
    async fn a_data_thread_does_not_render() {
        let metrics = Metrics::new();
        let gatherer = metrics.register(Ok(Gatherer::default()));
        let text = metrics.render_aside().await;
        assert!(String::from_utf8(text).unwrap().contains("etcdlet_build_info"));
        let gathered_by = *gatherer.0.lock().unwrap();
        assert!(gathered_by.is_some_and(|thread| thread != current().id()));
    }

    #[test]
    fn counters_that_are_named_are_there_before_they_count() {
        let metrics = Metrics::new();
        let family = metrics.register_counters(("a_total", "Some."), "outcome", &["failed"]);
        assert!(String::from_utf8(metrics.render()).unwrap().contains("a_total{outcome=\"failed\"} 0\n"));
        family.with_label_values(&["failed"]).inc();
        assert!(String::from_utf8(metrics.render()).unwrap().contains("a_total{outcome=\"failed\"} 1\n"));
    }
}
