//! `tocsin-conformance`: runs the conformance suite against any server.

use clap::{Parser, ValueEnum};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use tocsin_tests::conformance::{self, Need, Problem, Selection, State, Summary, Target, load_cases};

/// Runs the conformance suite against a server that was prepared with its state.
///
/// tests/conformance/README.md says how to prepare one. Exit codes: 0 all passed, 1 some failed, 2 not run.
#[derive(Parser)]
#[command(
    name = "tocsin-conformance",
    after_help = "\
Examples:
  tocsin-conformance --prepare | sh
  tocsin-conformance --url http://127.0.0.1:8080
  tocsin-conformance --url http://127.0.0.1:8080 --filter 1.3-json --skip-needs statistics,v1alpha1"
)]
struct Options {
    /// Where the server is; plain HTTP
    #[arg(long, value_name = "URL", required_unless_present = "prepare")]
    url: Option<http::Uri>,
    /// Print the commands that prepare a Tocsin server, and do nothing
    #[arg(long)]
    prepare: bool,
    /// The folder with state.json, keys and cases [default: that of this checkout]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Skip cases that need this; can be repeated
    #[arg(long, value_name = "NEED", value_delimiter = ',')]
    skip_needs: Vec<Skipped>,
    /// Print the whole result as JSON
    #[arg(long)]
    json: bool,
}

/// A need, as an option.
#[derive(Clone, Copy, ValueEnum)]
enum Skipped {
    Clock,
    Fresh,
    Statistics,
    TokenFormat,
    V1alpha1,
}

impl Skipped {
    const fn need(self) -> Need {
        match self {
            Self::Clock => Need::Clock,
            Self::Fresh => Need::Fresh,
            Self::Statistics => Need::Statistics,
            Self::TokenFormat => Need::TokenFormat,
            Self::V1alpha1 => Need::V1alpha1,
        }
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    match runtime.block_on(run(&Options::parse())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all passed.
async fn run(options: &Options) -> Result<bool, Problem> {
    let folder = options.cases.clone().unwrap_or_else(conformance::folder);
    let state = State::load(&folder)?;
    let Some(url) = &options.url else {
        print!("{}", conformance::script(&state));
        return Ok(true);
    };
    let cases = load_cases(&Path::new(&folder).join("cases"))?;
    let target = Target {
        address: resolve(url).await?,
        prefix: url.path().trim_end_matches('/').to_owned(),
        now: &|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs().cast_signed()),
    };
    let skipped: BTreeSet<Need> = options.skip_needs.iter().map(|skipped| skipped.need()).collect();
    let provided = Need::ALL.into_iter().map(|(_, need)| need).filter(|need| !skipped.contains(need)).collect();
    let selection = Selection { provided, filter: options.filter.clone() };
    let outcomes = conformance::run(&cases, &state, &target, &selection).await;
    if outcomes.is_empty() {
        return Err(Problem(format!("there is no case whose name contains {:?}", options.filter)));
    }
    let summary = Summary::of(&outcomes);
    if options.json {
        println!("{}", conformance::json(&outcomes));
    } else {
        for line in outcomes.iter().filter_map(conformance::line) {
            println!("{line}");
        }
        println!("{summary}");
    }
    Ok(summary.failed == 0)
}

/// The address of a server that is there.
async fn resolve(url: &http::Uri) -> Result<SocketAddr, Problem> {
    let wrong = || Problem(format!("{url} is no address of a server; write it like http://127.0.0.1:8080"));
    if url.scheme_str() != Some("http") {
        return Err(wrong());
    }
    let host = url.host().ok_or_else(wrong)?.trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(80);
    let mut addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| Problem(format!("cannot find {host}: {error}; check the name")))?;
    let address = addresses.next().ok_or_else(wrong)?;
    // Four hundred failures would not say it better.
    match tokio::net::TcpStream::connect(address).await {
        Ok(_) => Ok(address),
        Err(error) => Err(Problem(format!("nothing answers at {url}: {error}; start the server first"))),
    }
}
