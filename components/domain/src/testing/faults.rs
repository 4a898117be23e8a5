//! Faults on demand.

use crate::ports::PortError;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Decides which call of a fake fails, and counts the calls.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Plan>);

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    failures: BTreeMap<u64, PortError>,
}

impl Faults {
    /// Fails the `n`th call from now on; 1 is the next.
    pub fn fail_nth(&self, n: u64, error: PortError) {
        let mut plan = self.plan();
        let call = plan.calls + n;
        plan.failures.insert(call, error);
    }

    /// Fails the next call.
    pub fn fail_next(&self, error: PortError) {
        self.fail_nth(1, error);
    }

    /// Forgets all failures that have not happened.
    pub fn clear(&self) {
        self.plan().failures.clear();
    }

    /// How often the fake was called, failures included.
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// Counts a call, and fails it if it is to fail. A fake asks this before it does anything.
    pub fn check(&self) -> Result<(), PortError> {
        let mut plan = self.plan();
        plan.calls += 1;
        let call = plan.calls;
        plan.failures.remove(&call).map_or(Ok(()), Err)
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
