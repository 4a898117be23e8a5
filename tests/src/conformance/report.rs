//! What people and programs read about a run.

use super::runner::{Outcome, Verdict};
use serde_json::{Value, json};
use std::fmt;

/// Counts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Cases the server passed.
    pub passed: usize,
    /// Cases it failed.
    pub failed: usize,
    /// Cases that were not run.
    pub skipped: usize,
}

impl Summary {
    /// Counts outcomes.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut summary = Self { passed: 0, failed: 0, skipped: 0 };
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Passed => summary.passed += 1,
                Verdict::Failed(_) => summary.failed += 1,
                Verdict::Skipped(_) => summary.skipped += 1,
            }
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// A failed case in one line; `None` if it did not fail.
pub fn line(outcome: &Outcome) -> Option<String> {
    let Outcome { name, claim: _, rule, verdict } = outcome;
    match verdict {
        Verdict::Passed | Verdict::Skipped(_) => None,
        Verdict::Failed(why) => Some(format!("FAILED {name} ({rule}): {}", why.replace('\n', " "))),
    }
}

/// All outcomes as JSON.
pub fn json(outcomes: &[Outcome]) -> Value {
    let Summary { passed, failed, skipped } = Summary::of(outcomes);
    let case = |outcome: &Outcome| {
        let Outcome { name, claim, rule, verdict } = outcome;
        let (verdict, detail) = match verdict {
            Verdict::Passed => ("passed", Value::Null),
            Verdict::Failed(why) => ("failed", json!(why)),
            Verdict::Skipped(need) => ("skipped", json!(need.to_string())),
        };
        json!({"name": name, "claim": claim, "rule": rule, "verdict": verdict, "detail": detail})
    };
    let cases: Vec<Value> = outcomes.iter().map(case).collect();
    json!({"passed": passed, "failed": failed, "skipped": skipped, "cases": cases})
}
