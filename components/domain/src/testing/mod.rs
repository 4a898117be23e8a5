//! Fakes of the ports for tests: deterministic, in memory, with faults on demand.

pub mod clock;
pub mod random;
