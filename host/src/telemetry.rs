//! Logs: to standard error, for people or as JSON. What is logged never holds keys, codes, certificates, tokens or
//! addresses.

use crate::config::{LogConfig, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. Fails when the level is not a filter.
pub fn start(config: &LogConfig) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter(&config.level))
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

/// A bare level is that of this program. What dependencies log in detail nobody has checked for secrets (wasmtime's
/// arguments of calls, hyper's bytes), so they warn and no more, unless the operator names them.
fn filter(level: &str) -> String {
    let ours = env!("CARGO_CRATE_NAME");
    let mut directives = Vec::new();
    for directive in level.split(',').map(str::trim) {
        match directive.parse::<LevelFilter>() {
            Ok(bare) => directives.push(format!("{},{ours}={bare}", bare.min(LevelFilter::WARN))),
            Err(_) => directives.push(directive.to_owned()),
        }
    }
    directives.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_only_warn_unless_they_are_named() {
        let check = |level: &str, expect: &str| assert_eq!(filter(level), expect);
        check("info", "warn,tocsin_host=info");
        check("TRACE", "warn,tocsin_host=trace");
        check("error", "error,tocsin_host=error");
        check("off", "off,tocsin_host=off");
        check("info, tocsin_host::http=debug", "warn,tocsin_host=info,tocsin_host::http=debug");
        check("debug,hyper=trace", "warn,tocsin_host=debug,hyper=trace");
        check("tocsin_host=debug", "tocsin_host=debug");
        check("", "error,tocsin_host=error");
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let config = LogConfig { level: "loud=very".to_owned(), format: LogFormat::Human };
        assert!(start(&config).is_err_and(|error| error.contains("loud=very")));
    }
}
