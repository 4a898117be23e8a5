//! Benchmarks: `cargo xtask bench NAME`. Figures from one run are comparable with each other and with nothing else; see
//! `docs/benchmarks.md`.

mod chaff;
mod export;
mod fixture;
mod load;
mod publish;
mod revise;
mod sandbox;
mod start;
mod validator;

use clap::Parser;

/// Measures Tocsin on this machine.
#[derive(Parser)]
#[command(after_help = "Example: cargo xtask bench publish -- --rows 5000000")]
enum Bench {
    /// Publishes over HTTP through the components, durable; the load generator shares the machine.
    Publish(publish::Options),
    /// The same, when half of the publishes are revisions.
    Revise(revise::Options),
    /// Publishes and chaff mixed: what chaff costs, and how well it is told apart from real answers.
    Chaff(chaff::Options),
    /// The same publishes through the domain natively and through the component, without HTTP.
    Sandbox(sandbox::Options),
    /// What validators add to a publish, and what a call of each that ships costs.
    Validator(validator::Options),
    /// Export of stored keys to signed files.
    Export(export::Options),
    /// Process start to first answered request, with cached components.
    Start(start::Options),
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        match Bench::parse() {
            Bench::Publish(options) => publish::run(options).await,
            Bench::Revise(options) => revise::run(options).await,
            Bench::Chaff(options) => chaff::run(options).await,
            Bench::Sandbox(options) => sandbox::run(options).await,
            Bench::Validator(options) => validator::run(options).await,
            Bench::Export(options) => export::run(options).await,
            Bench::Start(options) => start::run(options).await,
        }
    });
}
