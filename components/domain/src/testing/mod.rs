//! Fakes of the ports for tests: deterministic, in memory, with faults on demand.

pub mod authorized_apps;
pub mod clock;
pub mod export_host;
pub mod exposures;
pub mod faults;
pub mod fuzz_checks;
pub mod health_authorities;
pub mod random;
pub mod sealing;
pub mod settings;
pub mod signature_check;
pub mod validation;
pub mod verifier;
