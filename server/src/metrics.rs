//! What the server counts of itself, for Prometheus.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicI64, AtomicU64},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::live_recall::LiveRecall;

/// The numbers of this process.
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// Upper bounds in seconds: from a query in a small library to a request that is given up.
const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What requests are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    /// The route as in the description, never the address itself.
    route: String,
    status: u16,
}

/// What queries are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    index: &'static str,
    strategy: &'static str,
}

/// What bytes are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    part: &'static str,
}

type Timings<L> = Family<L, Histogram, fn() -> Histogram>;

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Timings<RequestLabels>,
    queries: Timings<QueryLabels>,
    syncs: Histogram,
    counts: Counts,
    bytes: Family<PartLabels, Gauge>,
}

/// What is looked up when somebody asks.
#[derive(Clone, Default)]
struct Counts {
    libraries: Gauge,
    loaded: Gauge,
    documents: Gauge,
    chunks: Gauge,
    seq: Gauge<u64, AtomicU64>,
    writes_waiting: Gauge,
    unlinked: Gauge,
    log: Gauge<i64, AtomicI64>,
    recall: Gauge<f64, AtomicU64>,
    live_recall: Gauge<f64, AtomicU64>,
    live_queries: Gauge,
}

/// The present numbers of what is stored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) libraries: usize,
    /// Those in memory.
    pub(crate) loaded: usize,
    pub(crate) documents: usize,
    pub(crate) chunks: usize,
    pub(crate) seq: u64,
    pub(crate) writes_waiting: usize,
    pub(crate) log_bytes: u64,
    /// Chunks that no index has taken in yet, of those that have one.
    pub(crate) unlinked: usize,
    /// Bytes by part.
    pub(crate) bytes: [(&'static str, u64); 4],
    /// The least recall that any library has measured for its index.
    pub(crate) least_recall: Option<f32>,
    /// What sampled queries found.
    pub(crate) live_recall: Option<LiveRecall>,
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Timings::new_with_constructor(histogram as fn() -> Histogram);
        let queries = Timings::new_with_constructor(histogram as fn() -> Histogram);
        let (syncs, counts, bytes) = (histogram(), Counts::default(), Family::default());
        let mut registry = Registry::with_prefix("vecino");
        let seconds = Unit::Seconds;
        let what = "Time from the head of a request to the head of its answer";
        registry.register_with_unit("http_request_duration", what, seconds.clone(), requests.clone());
        registry.register_with_unit(
            "query_duration",
            "Time of a query by the index that served it",
            seconds.clone(),
            queries.clone(),
        );
        registry.register_with_unit("log_sync_duration", "Time that the disk takes to make the log last", seconds, syncs.clone());
        registry.register("libraries", "Libraries", counts.libraries.clone());
        registry.register(
            "libraries_loaded",
            "Libraries in memory; the others are opened when they are asked for",
            counts.loaded.clone(),
        );
        registry.register("documents", "Documents in all libraries", counts.documents.clone());
        registry.register("chunks", "Chunks in all libraries", counts.chunks.clone());
        registry.register("sequence", "Sequence of the last write", counts.seq.clone());
        registry.register("writes_waiting", "Writes that wait for the disk", counts.writes_waiting.clone());
        registry.register("index_lag_chunks", "Chunks that wait for an index to take them in", counts.unlinked.clone());
        registry.register_with_unit("log", "Bytes of log since the last checkpoint", Unit::Bytes, counts.log.clone());
        registry.register_with_unit("memory", "Bytes held, by part", Unit::Bytes, bytes.clone());
        let what = "The least recall that any library has measured for its index; 1 where all answers are exact";
        registry.register("measured_recall", what, counts.recall.clone());
        let what = "The average recall of the last sampled queries, NaN where there is none; advisory";
        registry.register("live_recall", what, counts.live_recall.clone());
        registry.register("live_recall_queries", "Sampled queries that the live recall is of", counts.live_queries.clone());
        Self { registry, requests, queries, syncs, counts, bytes }
    }
}

impl Metrics {
    /// Counts a request.
    pub(crate) fn request(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        // Anybody can make a method up.
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].into_iter().find(|known| *known == method);
        let labels = RequestLabels { method: known.unwrap_or("other"), route: route.unwrap_or("other").to_owned(), status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a query.
    pub(crate) fn query(&self, index: &'static str, strategy: &'static str, took: Duration) {
        self.queries.get_or_create(&QueryLabels { index, strategy }).observe(took.as_secs_f64());
    }

    /// Counts a sync of the log.
    pub(crate) fn sync(&self, took: Duration) {
        self.syncs.observe(took.as_secs_f64());
    }

    /// Everything, in the text form of OpenMetrics.
    pub(crate) fn write(&self, stored: &Stored) -> Result<String, std::fmt::Error> {
        let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.counts.libraries.set(signed(stored.libraries));
        self.counts.loaded.set(signed(stored.loaded));
        self.counts.documents.set(signed(stored.documents));
        self.counts.chunks.set(signed(stored.chunks));
        self.counts.seq.set(stored.seq);
        self.counts.writes_waiting.set(signed(stored.writes_waiting));
        self.counts.unlinked.set(signed(stored.unlinked));
        self.counts.log.set(i64::try_from(stored.log_bytes).unwrap_or(i64::MAX));
        self.counts.recall.set(stored.least_recall.map_or(1.0, |recall| (f64::from(recall) * 1e6).round() / 1e6));
        self.counts.live_recall.set(stored.live_recall.map_or(f64::NAN, |live| live.recall));
        self.counts.live_queries.set(signed(stored.live_recall.map_or(0, |live| live.queries)));
        for (part, bytes) in stored.bytes {
            self.bytes.get_or_create(&PartLabels { part }).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::default();
        metrics.request("GET", Some("/v1/libraries/{library}"), 200, Duration::from_millis(3));
        metrics.request("GET", None, 404, Duration::from_millis(3));
        metrics.query("hnsw", "index", Duration::from_micros(300));
        metrics.sync(Duration::from_millis(2));
        let stored = Stored {
            libraries: 3,
            seq: 12,
            least_recall: Some(0.97),
            loaded: 2,
            unlinked: 7,
            bytes: [("vectors", 5), ("codes", 3), ("indexes", 2), ("process", 10)],
            live_recall: Some(LiveRecall { recall: 0.98, queries: 7 }),
            ..Stored::default()
        };
        let text = metrics.write(&stored).unwrap();
        for line in [
            "vecino_http_request_duration_seconds_count{method=\"GET\",route=\"/v1/libraries/{library}\",status=\"200\"} 1",
            "vecino_http_request_duration_seconds_bucket{le=\"0.0025\",method=\"GET\",route=\"other\",status=\"404\"} 0",
            "vecino_query_duration_seconds_bucket{le=\"0.0005\",index=\"hnsw\",strategy=\"index\"} 1",
            "vecino_log_sync_duration_seconds_count 1",
            "vecino_libraries 3",
            "vecino_libraries_loaded 2",
            "vecino_index_lag_chunks 7",
            "vecino_sequence 12",
            "vecino_measured_recall 0.97",
            "vecino_live_recall 0.98",
            "vecino_live_recall_queries 7",
            "vecino_memory_bytes{part=\"vectors\"} 5",
            "# EOF",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\n{text}");
        }
    }
}
