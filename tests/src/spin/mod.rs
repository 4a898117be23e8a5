//! A small host that gives composed components what Spin gives them, and nothing else: Spin's interfaces over SQLite, a map
//! of values and variables, an instance for each request. For tests; no Spin runtime can be installed where they run.

mod compose;
mod interfaces;
mod server;

pub use compose::{Composed, compose};
pub use interfaces::Resources;
pub use server::{SpinApp, SpinServer};
