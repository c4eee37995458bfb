//! What is counted of everything that the gateway does, for whoever watches it.
//!
//! Labels come from closed lists of ours or of the configuration, never from a request: a stranger can make numbers grow and no list.
//! Each thread counts into a part of its own, so that counting waits for nobody.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::notify::Receipt;

/// The upper ends of the histograms' buckets, in milliseconds.
const ENDS_MS: [u64; 8] = [1, 5, 25, 100, 500, 2_500, 10_000, 60_000];

/// In how many parts counts are kept. More threads than these share parts.
const PARTS: usize = 64;

/// Everything that is counted while a gateway runs.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: SystemTime,
    parts: Vec<Mutex<Part>>,
    /// Connections that are open.
    pub(crate) connections: AtomicI64,
}

/// What some of the threads counted.
#[derive(Debug, Default)]
struct Part {
    /// Few: there are not many actions, reasons and statuses.
    answers: Vec<(Labels, u64)>,
    actions: Vec<(&'static str, OfAction)>,
    holds: Durations,
}

/// What one answer is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    action: &'static str,
    /// 0 for a request that was given up before it was answered.
    status: u16,
    reason: &'static str,
}

/// What is counted of one kind of request.
#[derive(Clone, Copy, Debug, Default)]
struct OfAction {
    running: i64,
    bytes_in: u64,
    bytes_out: u64,
    durations: Durations,
}

/// How long something took, each time.
#[derive(Clone, Copy, Debug, Default)]
struct Durations {
    /// How many ended within each bucket and none before it; the last has no end.
    buckets: [u64; ENDS_MS.len() + 1],
    sum: Duration,
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let ms = took.as_millis();
        let bucket = ENDS_MS.iter().position(|end| ms <= u128::from(*end)).unwrap_or(ENDS_MS.len());
        self.buckets[bucket] += 1;
        self.sum = self.sum.saturating_add(took);
    }

    fn merge(&mut self, other: &Self) {
        for (here, there) in self.buckets.iter_mut().zip(other.buckets) {
            *here += there;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

impl Part {
    fn of_action(&mut self, action: &'static str) -> &mut OfAction {
        let at = self.actions.iter().position(|(name, _)| *name == action).unwrap_or_else(|| {
            self.actions.push((action, OfAction::default()));
            self.actions.len() - 1
        });
        &mut self.actions[at].1
    }

    fn count(&mut self, labels: Labels, times: u64) {
        match self.answers.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, count)) => *count += times,
            None => self.answers.push((labels, times)),
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            started: SystemTime::now(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            connections: AtomicI64::new(0),
        }
    }

    /// Notes that a request turned out to want `action`.
    pub(crate) fn began(&self, action: &'static str) {
        self.part().of_action(action).running += 1;
    }

    /// Counts a request that ended, by what its receipt says and what was told to [`Self::began`].
    pub(crate) fn ended(&self, receipt: &Receipt, began: Option<&'static str>) {
        let reason = match &receipt.reason {
            // Reasons of ours are fixed texts; words that are made for one record would be labels without end.
            Some(std::borrow::Cow::Borrowed(reason)) => reason,
            Some(std::borrow::Cow::Owned(_)) => "other",
            None => "",
        };
        let action = receipt.action.unwrap_or("none");
        let labels = Labels { action, status: receipt.status.unwrap_or(0), reason };
        let mut part = self.part();
        part.count(labels, 1);
        if let Some(began) = began {
            part.of_action(began).running -= 1;
        }
        let of_action = part.of_action(action);
        of_action.bytes_in += receipt.bytes_in.unwrap_or(0);
        of_action.bytes_out += receipt.bytes_out.unwrap_or(0);
        of_action.durations.add(Duration::from_millis(receipt.duration_ms.unwrap_or(0)));
    }

    /// Counts a hold that the ledger answered after `took`.
    pub(crate) fn held(&self, took: Duration) {
        self.part().holds.add(took);
    }

    fn part(&self) -> MutexGuard<'_, Part> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PARTS;
        }
        // A panic leaves counts behind, which are sound one by one.
        self.parts[MINE.with(|mine| *mine)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All parts in one.
    fn sum(&self) -> Part {
        let mut sum = Part::default();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            for (labels, times) in &part.answers {
                sum.count(*labels, *times);
            }
            for (action, counted) in &part.actions {
                let OfAction { running, bytes_in, bytes_out, durations } = counted;
                let whole = sum.of_action(action);
                whole.running += running;
                whole.bytes_in += bytes_in;
                whole.bytes_out += bytes_out;
                whole.durations.merge(durations);
            }
            sum.holds.merge(&part.holds);
        }
        sum.answers.sort_by_key(|(labels, _)| *labels);
        sum.actions.sort_by_key(|(action, _)| *action);
        sum
    }

    /// Everything that is counted, and what `more` says of the moment, in
    /// [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
    pub(crate) fn text(&self, stores: &[(&str, bool)], more: &[Gauge]) -> String {
        let mut page = Page(String::new());
        let Part { answers, actions, holds } = self.sum();
        page.family("valetkey_requests_total", "counter", "Requests that ended, refusals among them.");
        for (Labels { action, status, reason }, count) in answers {
            let labels = [("action", action), ("status", &status.to_string()), ("reason", reason)];
            page.sample("valetkey_requests_total", &labels, count);
        }
        page.family("valetkey_bytes_received_total", "counter", "Bytes of content that came in.");
        for (action, counted) in &actions {
            page.sample("valetkey_bytes_received_total", &[("action", action)], counted.bytes_in);
        }
        page.family("valetkey_bytes_sent_total", "counter", "Bytes of content that went out.");
        for (action, counted) in &actions {
            page.sample("valetkey_bytes_sent_total", &[("action", action)], counted.bytes_out);
        }
        page.family(
            "valetkey_requests_running",
            "gauge",
            "Requests that were admitted in form and have not ended.",
        );
        for (action, counted) in actions.iter().filter(|(action, _)| *action != "none") {
            page.sample("valetkey_requests_running", &[("action", action)], counted.running);
        }
        page.family(
            "valetkey_request_duration_seconds",
            "histogram",
            "How long requests took, the transfer too.",
        );
        for (action, counted) in &actions {
            page.histogram("valetkey_request_duration_seconds", &[("action", action)], &counted.durations);
        }
        page.family(
            "valetkey_ledger_hold_seconds",
            "histogram",
            "How long the ledger took to hold a use durably.",
        );
        page.histogram("valetkey_ledger_hold_seconds", &[], &holds);
        page.family("valetkey_connections", "gauge", "Connections of clients that are open.");
        page.sample("valetkey_connections", &[], self.connections.load(Ordering::Relaxed));
        page.family("valetkey_backend_answers", "gauge", "Whether a remote backend answers.");
        for (name, answers) in stores {
            page.sample("valetkey_backend_answers", &[("backend", name)], u64::from(*answers));
        }
        for Gauge { name, help, value } in more {
            page.family(name, "gauge", help);
            page.sample(name, &[], value);
        }
        page.family("valetkey_build_info", "gauge", "The version that runs.");
        page.sample("valetkey_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.family(
            "process_start_time_seconds",
            "gauge",
            "When the gateway started, in seconds since 1970.",
        );
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        page.sample("process_start_time_seconds", &[], Seconds(started));
        page.0
    }
}

/// A number of the moment.
pub(crate) struct Gauge {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) value: u64,
}

/// A page of Prometheus' text format.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { "{" } else { "," });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], durations: &Durations) {
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        for (at, times) in durations.buckets.iter().enumerate() {
            count += times;
            let end = ENDS_MS
                .get(at)
                .map_or_else(|| "+Inf".to_owned(), |ms| Seconds(Duration::from_millis(*ms)).to_string());
            self.sample(&bucket, &[labels, &[("le", &end)]].concat(), count);
        }
        self.sample(&format!("{name}_sum"), labels, Seconds(durations.sum));
        self.sample(&format!("{name}_count"), labels, count);
    }
}

/// A duration as a number of seconds.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_secs_f64(), f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use valetkey::{Denial, Timestamp};

    use super::*;

    fn receipt(action: &'static str, status: u16) -> Receipt {
        Receipt {
            action: Some(action),
            status: Some(status),
            bytes_in: Some(5),
            duration_ms: Some(25),
            ..Receipt::at(Timestamp::from_unix(0))
        }
    }

    #[test]
    fn what_several_threads_counted_is_one_count() {
        let metrics = Metrics::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    metrics.began("upload");
                    metrics.ended(&receipt("upload", 200), Some("upload"));
                });
            }
        });
        metrics.began("upload");
        let text = metrics.text(&[], &[]);
        for line in [
            "valetkey_requests_total{action=\"upload\",status=\"200\",reason=\"\"} 4",
            "valetkey_bytes_received_total{action=\"upload\"} 20",
            "valetkey_requests_running{action=\"upload\"} 1",
            "valetkey_request_duration_seconds_bucket{action=\"upload\",le=\"0.005\"} 0",
            "valetkey_request_duration_seconds_bucket{action=\"upload\",le=\"0.025\"} 4",
            "valetkey_request_duration_seconds_bucket{action=\"upload\",le=\"+Inf\"} 4",
            "valetkey_request_duration_seconds_sum{action=\"upload\"} 0.1",
            "valetkey_request_duration_seconds_count{action=\"upload\"} 4",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} in {text}");
        }
    }

    #[test]
    fn each_reason_is_a_label_and_words_made_for_one_record_are_not() {
        let metrics = Metrics::new();
        let refused = |reason| Receipt { reason: Some(reason), ..Receipt::at(Timestamp::from_unix(0)) };
        metrics.ended(&refused(Denial::BadSignature.reason().into()), None);
        metrics.ended(&refused(format!("{} of them", 7).into()), None);
        let text = metrics.text(&[], &[]);
        assert!(text.contains("{action=\"none\",status=\"0\",reason=\"bad_signature\"} 1"), "{text}");
        assert!(text.contains("reason=\"other\"} 1") && !text.contains("of them"), "{text}");
    }
}
