//! `wasi:random/random`, filled at once.
//!
//! wasmtime's own draws every byte alone, which for the padding of one answer costs 2 % of a publish
//! (`docs/benchmarks.md`).

use crate::state::{InstanceState, MAX_RANDOM_BYTES};
use wasmtime::format_err;
use wasmtime_wasi::p2::bindings::random::random;

impl random::Host for InstanceState {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let length = usize::try_from(len).ok().filter(|length| *length <= MAX_RANDOM_BYTES);
        let length = length.ok_or_else(|| format_err!("a component asked for {len} random bytes at once"))?;
        let mut bytes = vec![0; length];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| format_err!("there is no randomness"))?;
        Ok(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| format_err!("there is no randomness"))?;
        Ok(u64::from_le_bytes(bytes))
    }
}
