//! What is counted of each validator and each app, since the start of the server.

use super::Decision;
use super::failure::FailureKind;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Different names that are counted apart; the rest is `other`. Names come from validators, which may make up many.
const MAX_NAMES: usize = 100;
/// Longest name of a signal that is counted under its own name, in bytes.
const MAX_SIGNAL_BYTES: usize = 100;
const OTHER: &str = "other";

/// What one validator did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ValidatorCounts {
    /// Submissions accepted.
    pub accepted: u64,
    /// Submissions refused for good, by code.
    pub refused: BTreeMap<String, u64>,
    /// Submissions refused for now, by code.
    pub retryable: BTreeMap<String, u64>,
    /// Calls that failed, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
    /// Exchanges.
    pub asked: u64,
    /// Signals of acceptances, as `name=value`.
    pub signals: BTreeMap<String, u64>,
    /// Time spent executing, in microseconds.
    pub compute_microseconds: u64,
}

/// What was decided about one app's submissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DecisionCounts {
    /// Accepted.
    pub accepted: u64,
    /// Refused for good, and said so.
    pub refused: u64,
    /// Refused for now.
    pub try_later: u64,
    /// Refused for good, and answered as if stored.
    pub pretended: u64,
    /// Not shown to the observing validators, because too many of them were busy.
    pub not_observed: u64,
}

/// Counters of one validator.
#[derive(Debug, Default)]
pub(super) struct ValidatorCounters(Mutex<ValidatorCounts>);

impl ValidatorCounters {
    pub(super) fn counts(&self) -> ValidatorCounts {
        self.0.lock().clone()
    }

    pub(super) fn spent(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut counts = self.0.lock();
        counts.compute_microseconds = counts.compute_microseconds.saturating_add(microseconds);
    }

    pub(super) fn asked(&self) {
        self.0.lock().asked += 1;
    }

    pub(super) fn failed(&self, kind: FailureKind) {
        *self.0.lock().failed.entry(kind).or_default() += 1;
    }

    pub(super) fn accepted(&self, signals: &[(String, String)]) {
        let mut counts = self.0.lock();
        counts.accepted += 1;
        for (name, value) in signals {
            let is_short = name.len() + value.len() < MAX_SIGNAL_BYTES;
            let signal = if is_short { format!("{name}={value}") } else { OTHER.to_owned() };
            count(&mut counts.signals, &signal);
        }
    }

    pub(super) fn refused(&self, code: &str, retryable: bool) {
        let mut counts = self.0.lock();
        count(if retryable { &mut counts.retryable } else { &mut counts.refused }, code);
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let is_new = !counts.contains_key(name);
    let name = if is_new && counts.len() >= MAX_NAMES { OTHER } else { name };
    *counts.entry(name.to_owned()).or_default() += 1;
}

/// Counters of one app.
#[derive(Debug, Default)]
pub(super) struct DecisionCounters(Mutex<DecisionCounts>);

impl DecisionCounters {
    pub(super) fn counts(&self) -> DecisionCounts {
        *self.0.lock()
    }

    pub(super) fn decided(&self, decision: &Decision) {
        let mut counts = self.0.lock();
        match decision {
            Decision::Accepted(_) => counts.accepted += 1,
            Decision::Refused(_) => counts.refused += 1,
            Decision::TryLater(_) => counts.try_later += 1,
            Decision::Pretend(_) => counts.pretended += 1,
        }
    }

    pub(super) fn not_observed(&self) {
        self.0.lock().not_observed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_codes_do_not_fill_memory() {
        let counters = ValidatorCounters::default();
        for number in 0..1_000 {
            counters.refused(&format!("code-{number}"), false);
            counters.refused("code-0", false);
        }
        let refused = counters.counts().refused;
        assert_eq!(refused.len(), MAX_NAMES + 1);
        assert_eq!((refused["code-0"], refused[OTHER]), (1_001, 900));
    }

    #[test]
    fn status_reads_as_json() {
        let counters = ValidatorCounters::default();
        counters.accepted(&[("verdict".to_owned(), "strong".to_owned())]);
        counters.refused("no-evidence", false);
        counters.refused("upstream", true);
        counters.failed(FailureKind::OutOfFuel);
        counters.asked();
        counters.spent(Duration::from_micros(7));
        let expect = serde_json::json!({
            "accepted": 1, "refused": {"no-evidence": 1}, "retryable": {"upstream": 1}, "failed": {"out-of-fuel": 1},
            "asked": 1, "signals": {"verdict=strong": 1}, "compute_microseconds": 7,
        });
        assert_eq!(serde_json::to_value(counters.counts()).expect("JSON"), expect);
    }
}
