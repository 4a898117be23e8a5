//! Logs: to standard error, for people or as JSON. What is logged never holds keys, codes, certificates, tokens or
//! addresses.

use crate::config::{LogConfig, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. Fails when the level is not a filter.
pub fn start(config: &LogConfig) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|error| format!("log.level = {:?} is not a log filter: {error}", config.level))?;
    // Colours are for terminals: in a file they are noise.
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_terminal).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Human => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
