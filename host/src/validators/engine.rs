//! The engine of validators: apart from that of the server's own components, so that nothing they do takes an instance
//! from publish.

use super::failure::ValidatorError;
use super::instance::CallState;
use crate::bindings::validator::Contract;
use crate::components::CompileCache;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::WasiRandom;

/// Runtimes of JavaScript and Python are made of many modules with large tables (Python: up to 108 core instances, two
/// tables, 5,700 elements); these are counts and address space, not memory.
const CORE_INSTANCES_EACH: u32 = 128;
const TABLES_EACH: u32 = 8;
const MEMORIES_EACH: u32 = 2;
const TABLE_ELEMENTS: usize = 50_000;

/// Compiles and links validators.
pub(super) struct ValidatorEngine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<CallState>,
    cache: Option<CompileCache>,
}

impl ValidatorEngine {
    /// For that many calls at the same time, each with at most that much memory. Without a cache each start compiles.
    pub(super) fn new(calls: usize, memory_bytes: usize, cache: Option<CompileCache>) -> Result<Self, ValidatorError> {
        let failed = |error: wasmtime::Error| {
            ValidatorError::new(format!(
                "the WebAssembly engine of validators does not start: {error:#}; lower public.max_concurrent_requests \
                 if memory is short"
            ))
        };
        let calls = u32::try_from(calls).unwrap_or(u32::MAX / CORE_INSTANCES_EACH);
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(calls)
            .total_core_instances(calls.saturating_mul(CORE_INSTANCES_EACH))
            .total_memories(calls.saturating_mul(MEMORIES_EACH))
            .total_tables(calls.saturating_mul(TABLES_EACH))
            .total_stacks(calls)
            .max_memory_size(memory_bytes)
            .table_elements(TABLE_ELEMENTS)
            .linear_memory_keep_resident(2 * 1024 * 1024)
            .table_keep_resident(64 * 1024)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .consume_fuel(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .concurrency_support(false);
        let engine = Engine::new(&config).map_err(failed)?;
        crate::engine::start_epochs(&engine);
        let linker = new_linker(&engine).map_err(failed)?;
        Ok(Self { engine, linker, cache })
    }

    /// Compiles a component, or takes it from the cache.
    pub(super) fn compile(&self, name: &str, bytes: &[u8]) -> Result<Component, ValidatorError> {
        match &self.cache {
            Some(cache) => cache
                .compile(&self.engine, &format!("validators/{name}"), &[bytes], || Ok(bytes.to_vec()))
                .map_err(|error| ValidatorError::new(error.to_string())),
            None => Component::new(&self.engine, bytes)
                .map_err(|error| ValidatorError::new(format!("it does not compile: {error:#}"))),
        }
    }
}

/// The contract, and of WASI what can do nothing. No files, no sockets, no HTTP: a component that imports them would not
/// link, if the check of its imports had not refused it before.
fn new_linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    // wasi:io, wasi:clocks, wasi:random/random, and the standard streams of wasi:cli.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, |state: &mut CallState| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |state: &mut CallState| state.ctx().ctx.random())?;
    cli::environment::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, CallState::cli)?;
    Contract::add_to_linker::<CallState, HasSelf<CallState>>(l, |state| state)?;
    Ok(linker)
}
