//! One file for each command that needs more than a line.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod conformance;
pub(crate) mod demo;
pub(crate) mod dist;
pub(crate) mod fuzz;
pub(crate) mod lint;
pub(crate) mod serve;
pub(crate) mod test;
