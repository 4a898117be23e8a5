//! Clock, randomness, and the one way to tell the operator something.

use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::{Clock, Random};

/// The clock and the random numbers of WASI.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let seconds = wasip2::clocks::wall_clock::now().seconds;
        Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

impl Random for System {
    fn fill(&self, bytes: &mut [u8]) {
        let random = wasip2::random::random::get_random_bytes(bytes.len() as u64);
        bytes.copy_from_slice(&random);
    }
}

/// Writes a line to standard error, which Spin keeps as the component's log. Never what phones sent, and no keys.
pub fn log(text: &str) {
    /// What one call of the stream takes.
    const MOST: usize = 4_096;
    let line = format!("tocsin: {text}\n");
    let stderr = wasip2::cli::stderr::get_stderr();
    for part in line.as_bytes().chunks(MOST) {
        // Nobody can be told that nobody can be told.
        drop(stderr.blocking_write_and_flush(part));
    }
}

/// Ends the instance: for what has no way to say that it failed, such as settings that make no sense. Spin answers the
/// request with a server error.
pub fn fail(text: &str) -> ! {
    log(text);
    std::process::abort()
}
