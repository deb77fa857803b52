//! What a run saw: counted where it happens, added up over processes, told in one report.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::heard::RequestId;

/// Sentences kept of what the server did wrong; the rest is only counted.
const MAX_SENTENCES: usize = 5;
/// Distinct texts told apart in one histogram; the rest is `(other)`.
const MAX_TEXTS: usize = 64;
/// Latencies kept, 8 bytes each; a run that has more reports the percentiles of the first ones.
const MAX_LATENCIES: usize = 4_000_000;

/// Everything a report is made of. Times are nanoseconds of the monotonic clock.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Agents this was to play, and those that were introduced at least once.
    pub(crate) agents: u64,
    pub(crate) introduced: u64,
    pub(crate) connect_failures: u64,
    pub(crate) acks: u64,
    pub(crate) connect_started: Option<u64>,
    pub(crate) last_introduced: Option<u64>,

    pub(crate) heartbeats_sent: u64,
    pub(crate) heartbeats_failed: u64,
    /// From the intended time of the heartbeat to its answer.
    pub(crate) heartbeat_latency: Vec<u64>,

    pub(crate) trigger: Option<u64>,
    /// Introduced connections that ended with 0, 1 and more terminate_app.
    pub(crate) told: [u64; 3],
    pub(crate) receipts: Vec<u64>,
    pub(crate) request_ids: Vec<String>,
    pub(crate) acked: u64,
    pub(crate) answered_error: u64,
    pub(crate) vanished: u64,
    pub(crate) extended: u64,
    pub(crate) server_shutdown: u64,
    /// DISCONNECTs of Socket.IO.
    pub(crate) disconnects: u64,

    /// When each close frame, or the end without one, came.
    pub(crate) ends: Vec<u64>,
    pub(crate) close_codes: BTreeMap<String, u64>,
    pub(crate) close_reasons: BTreeMap<String, u64>,
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) unknown_types: BTreeMap<String, u64>,
    pub(crate) protocol_errors: u64,
    pub(crate) sentences: Vec<String>,

    pub(crate) stopped: bool,
    pub(crate) out_of_time: bool,
    pub(crate) cpu_seconds: f64,
}

impl Tally {
    /// The server, or the way to it, did something it must not.
    pub(crate) fn fault(&mut self, sentence: String) {
        self.protocol_errors += 1;
        self.remark(sentence);
    }

    pub(crate) fn remark(&mut self, sentence: String) {
        if self.sentences.len() < MAX_SENTENCES {
            self.sentences.push(sentence);
        }
    }

    pub(crate) fn heartbeat_answered(&mut self, latency: u64) {
        if self.heartbeat_latency.len() < MAX_LATENCIES {
            self.heartbeat_latency.push(latency);
        }
    }

    pub(crate) fn told_to_terminate(&mut self, now: u64, request: &RequestId) {
        self.receipts.push(now);
        self.request_ids
            .push(String::from_utf8_lossy(request).to_lowercase());
    }

    /// A connection has ended, by a close frame or (1006) without one.
    pub(crate) fn closed(&mut self, code: u16, reason: Option<&str>, now: u64) {
        self.ends.push(now);
        count(&mut self.close_codes, &code.to_string(), 1);
        if let Some(reason) = reason {
            count(&mut self.close_reasons, reason, 1);
        }
    }

    /// Adds what another process saw.
    pub(crate) fn merge(&mut self, other: Self) {
        self.agents += other.agents;
        self.introduced += other.introduced;
        self.connect_failures += other.connect_failures;
        self.acks += other.acks;
        self.connect_started = earliest(self.connect_started, other.connect_started);
        self.last_introduced = self.last_introduced.max(other.last_introduced);
        self.heartbeats_sent += other.heartbeats_sent;
        self.heartbeats_failed += other.heartbeats_failed;
        self.heartbeat_latency.extend(other.heartbeat_latency);
        self.trigger = earliest(self.trigger, other.trigger);
        for (mine, its) in self.told.iter_mut().zip(other.told) {
            *mine += its;
        }
        self.receipts.extend(other.receipts);
        self.request_ids.extend(other.request_ids);
        self.acked += other.acked;
        self.answered_error += other.answered_error;
        self.vanished += other.vanished;
        self.extended += other.extended;
        self.server_shutdown += other.server_shutdown;
        self.disconnects += other.disconnects;
        self.ends.extend(other.ends);
        for (mine, its) in [
            (&mut self.close_codes, other.close_codes),
            (&mut self.close_reasons, other.close_reasons),
            (&mut self.refusals, other.refusals),
            (&mut self.unknown_types, other.unknown_types),
        ] {
            for (text, n) in its {
                count(mine, &text, n);
            }
        }
        self.protocol_errors += other.protocol_errors;
        for sentence in other.sentences {
            self.remark(sentence);
        }
        self.stopped |= other.stopped;
        self.out_of_time |= other.out_of_time;
        self.cpu_seconds += other.cpu_seconds;
    }

    pub(crate) fn introduction_seconds(&self) -> Option<f64> {
        Some((self.last_introduced? - self.connect_started?) as f64 / 1e9)
    }

    /// A run is valid if every agent got in, the server kept to the contract, none was told twice, and it came to its end.
    pub(crate) fn is_valid(&self) -> bool {
        self.introduced == self.agents
            && self.protocol_errors == 0
            && self.told[2] == 0
            && !self.out_of_time
    }

    /// The one report, as it is written.
    pub(crate) fn report(mut self) -> Value {
        self.heartbeat_latency.sort_unstable();
        self.receipts.sort_unstable();
        self.ends.sort_unstable();
        json!({
            "event": "report",
            "valid": self.is_valid(),
            "stopped": self.stopped,
            "out_of_time": self.out_of_time,
            "agents": self.agents,
            "introduced": self.introduced,
            "introduced_seconds": self.introduction_seconds(),
            "connect_failures": self.connect_failures,
            "acks_of_app_ready": self.acks,
            "heartbeats": self.heartbeats(),
            "trigger_ns": self.trigger,
            "terminate": self.terminations(),
            "server_shutdown_received": self.server_shutdown,
            "disconnects_received": self.disconnects,
            "closes": {
                "codes": self.close_codes,
                "reasons": self.close_reasons,
                "moment": moments(&self.ends, self.trigger),
            },
            "refusals": self.refusals,
            "unknown_types": self.unknown_types,
            "protocol_errors": {"count": self.protocol_errors, "first": self.sentences},
            "cpu_seconds": self.cpu_seconds,
        })
    }

    /// Latencies are sorted by now.
    fn heartbeats(&self) -> Value {
        let ms = |share| percentile(&self.heartbeat_latency, share).map(|ns| ns as f64 / 1e6);
        json!({
            "sent": self.heartbeats_sent,
            "answered": self.heartbeat_latency.len(),
            "failed": self.heartbeats_failed,
            "latency_ms": {"p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0)},
        })
    }

    /// Receipts are sorted by now.
    fn terminations(&self) -> Value {
        json!({
            "agents_told_0": self.told[0],
            "agents_told_1": self.told[1],
            "agents_told_more": self.told[2],
            "distinct_request_ids": self.request_ids.iter().collect::<HashSet<_>>().len(),
            "receipt": moments(&self.receipts, self.trigger),
            "acked": self.acked,
            "answered_error": self.answered_error,
            "vanished": self.vanished,
            "asked_for_more_time": self.extended,
        })
    }
}

/// Counts one text, of which there may be more than is good to keep.
pub(crate) fn count(histogram: &mut BTreeMap<String, u64>, text: &str, n: u64) {
    let known = histogram.contains_key(text) || histogram.len() < MAX_TEXTS;
    *histogram
        .entry(if known { text } else { "(other)" }.to_owned())
        .or_default() += n;
}

fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// The sample that `share` of all are not above (nearest rank).
fn percentile(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// When things happened, on the clock, and after the trigger if there was one.
fn moments(sorted: &[u64], trigger: Option<u64>) -> Value {
    let mut moments = json!({"count": sorted.len()});
    for (name, share) in [("first", 0.0), ("p50", 0.5), ("p99", 0.99), ("last", 1.0)] {
        let Some(at) = percentile(sorted, share) else {
            break;
        };
        moments[format!("{name}_ns")] = at.into();
        if let Some(trigger) = trigger {
            // Before the trigger is a negative time: an agent that left by itself.
            moments[format!("{name}_ms")] = ((at as f64 - trigger as f64) / 1e6).into();
        }
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<u64> = (1..=100).collect();
        let of = |share| percentile(&sorted, share);
        assert_eq!(
            [of(0.0), of(0.5), of(0.99), of(1.0)],
            [Some(1), Some(50), Some(99), Some(100)]
        );
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn merging_adds_up() {
        let part = || Tally {
            agents: 2,
            introduced: 2,
            told: [0, 2, 0],
            receipts: vec![20, 10],
            request_ids: vec!["a".to_owned(), "b".to_owned()],
            close_codes: BTreeMap::from([("1000".to_owned(), 2)]),
            trigger: Some(5),
            ..Tally::default()
        };
        let mut sum = part();
        sum.merge(part());
        let report = sum.report();
        assert_eq!(report["introduced"], 4);
        assert_eq!(report["terminate"]["agents_told_1"], 4);
        assert_eq!(report["terminate"]["distinct_request_ids"], 2);
        assert_eq!(report["terminate"]["receipt"]["last_ns"], 20);
        assert_eq!(report["closes"]["codes"]["1000"], 4);
        assert_eq!(report["valid"], true);
    }

    #[test]
    fn histograms_are_bounded() {
        let mut histogram = BTreeMap::new();
        for i in 0..1_000 {
            count(&mut histogram, &format!("text {i}"), 1);
        }
        assert_eq!(histogram.len(), MAX_TEXTS + 1);
        assert_eq!(histogram.values().sum::<u64>(), 1_000);
    }
}
