//! Android Key Attestation: real chains of phones where the vectors are present, and chains of our own making for every
//! reason to refuse one.

mod case;
mod component;
mod made;
mod make;
mod policy;
mod random;
mod reading;
mod real;
mod support;
