//! Metrics, by the naming conventions of Prometheus.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

type Labels = Vec<(String, String)>;

/// What a controller counts. Names of data planes are labels; nothing else that users write is.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciliations: Family<Labels, Counter>,
    duration: Histogram,
    writes: Counter,
    installations: Counter,
    installation_failures: Counter,
    refused: Family<Labels, Gauge>,
    ready: Family<Labels, Gauge>,
    drifted: Family<Labels, Gauge>,
    repaired: Family<Labels, Counter>,
    leader: Gauge<i64>,
    last_success: Family<Labels, Gauge<f64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("gateway_modules");
        let reconciliations = Family::<Labels, Counter>::default();
        let duration = Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        let writes = Counter::default();
        let installations = Counter::default();
        let installation_failures = Counter::default();
        let refused = Family::<Labels, Gauge>::default();
        let ready = Family::<Labels, Gauge>::default();
        let drifted = Family::<Labels, Gauge>::default();
        let repaired = Family::<Labels, Counter>::default();
        let leader = Gauge::<i64>::default();
        let last_success = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        registry.register("reconciliations", "Reconciliations of data planes, by result", reconciliations.clone());
        registry.register("reconcile_duration_seconds", "Time of one reconciliation", duration.clone());
        registry.register("writes", "Writes that changed an object, deletions included", writes.clone());
        registry.register(
            "installations",
            "Times that a gateway was brought in order for data planes, or removed",
            installations.clone(),
        );
        registry.register(
            "installation_failures",
            "Times that bringing a gateway in order, or removing it, was refused or failed",
            installation_failures.clone(),
        );
        registry.register("components_refused", "Components that are not served as they are written", refused.clone());
        registry.register("data_plane_ready", "1 when the data plane is ready", ready.clone());
        registry.register(
            "drifted_objects",
            "Objects that somebody has changed by hand, and that are left so",
            drifted.clone(),
        );
        registry.register(
            "drift_repaired",
            "Objects that somebody had changed by hand, and that were repaired",
            repaired.clone(),
        );
        registry.register("leader", "1 on the instance that works", leader.clone());
        registry.register(
            "last_success_timestamp_seconds",
            "When the data plane was last found, or brought, as it is written",
            last_success.clone(),
        );
        Self {
            registry,
            reconciliations,
            duration,
            writes,
            installations,
            installation_failures,
            refused,
            ready,
            drifted,
            repaired,
            leader,
            last_success,
        }
    }
}

impl Metrics {
    /// In the text format of OpenMetrics.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn reconciled(&self, plane: &str, result: &str, took: Duration) {
        self.reconciliations
            .get_or_create(&vec![("data_plane".to_owned(), plane.to_owned()), ("result".to_owned(), result.to_owned())])
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// What a pass over a plane has found. `refused` is absent when the components could not be judged: the last number stays.
    pub(crate) fn state(&self, plane: &str, ready: bool, refused: Option<usize>, success: bool) {
        let labels = vec![("data_plane".to_owned(), plane.to_owned())];
        self.ready.get_or_create(&labels).set(i64::from(ready));
        if let Some(refused) = refused {
            self.refused.get_or_create(&labels).set(i64::try_from(refused).unwrap_or(i64::MAX));
        }
        if success {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            self.last_success.get_or_create(&labels).set(now.as_secs_f64());
        }
    }

    pub(crate) fn drift(&self, plane: &str, left: usize, repaired: usize) {
        let labels = vec![("data_plane".to_owned(), plane.to_owned())];
        self.drifted.get_or_create(&labels).set(i64::try_from(left).unwrap_or(i64::MAX));
        self.repaired.get_or_create(&labels).inc_by(repaired as u64);
    }

    pub(crate) fn wrote(&self, writes: usize) {
        self.writes.inc_by(writes as u64);
    }

    /// A gateway was installed, upgraded, mended or removed, or was not.
    pub(crate) fn installed(&self, success: bool) {
        if success { &self.installations } else { &self.installation_failures }.inc();
    }

    pub(crate) fn forget(&self, plane: &str) {
        let labels = vec![("data_plane".to_owned(), plane.to_owned())];
        self.ready.remove(&labels);
        self.refused.remove(&labels);
        self.drifted.remove(&labels);
        self.repaired.remove(&labels);
        self.last_success.remove(&labels);
    }

    pub(crate) fn lead(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        if !leads {
            // Another instance knows how the planes are.
            self.ready.clear();
            self.refused.clear();
            self.drifted.clear();
            self.last_success.clear();
        }
    }
}
