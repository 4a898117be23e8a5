//! What tests and benchmarks share: a real server in this process or its own, phones, a health authority, and the tools
//! of others; and the runner of the conformance suite.

pub mod conformance;
pub mod harness;
