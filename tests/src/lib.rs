//! What tests and benchmarks share: a real server in this process or its own, phones, a health authority, and the tools
//! of others; the runner of the conformance suite;
//! and a small host with Spin's interfaces.

pub mod conformance;
pub mod harness;
pub mod spin;
