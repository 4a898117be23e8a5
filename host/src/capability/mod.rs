//! The capabilities: one file for each WIT interface. They convert and call; nothing is decided here.

mod authorized_apps;
mod blobs;
mod convert;
mod exports;
mod exposures;
mod health_authorities;
mod leases;
mod random;
mod retention;
mod sealing;
mod settings;
mod signature_check;
mod signing;
mod statistics;
mod validation;

use crate::bindings::capabilities::Host_ as Capabilities;
use crate::state::InstanceState;
use std::time::Instant;
use tocsin_domain::ports::PortError;
use wasmtime::component::{HasSelf, Linker};

/// Puts every capability into a linker that has WASI already. A component gets those it imports.
pub(crate) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::bindings::random::random::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Capabilities::add_to_linker::<InstanceState, HasSelf<InstanceState>>(linker, |state| state)
}

/// Runs a blocking call of a port on a thread where blocking is allowed, and counts the time as waiting.
async fn blocking<T: Send + 'static>(
    state: &mut InstanceState,
    call: impl FnOnce(&crate::services::Services) -> Result<T, PortError> + Send + 'static,
) -> Result<T, convert::WitPortError> {
    let since = Instant::now();
    let services = state.services.clone();
    let outcome = tokio::task::spawn_blocking(move || call(&services)).await;
    state.add_wait(since);
    match outcome {
        Ok(result) => result.map_err(convert::port_error),
        Err(_) => Err(convert::port_error(PortError::Internal("a port call panicked".to_owned()))),
    }
}
