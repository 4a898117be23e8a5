//! `tocsin serve`.

use super::Global;
use super::failure::{Failure, failed};
use super::output::say;
use crate::server::{Server, load_components, open_services};
use crate::telemetry;
use clap::Args;
use serde_json::json;
use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

#[derive(Args)]
#[command(after_help = "\
Prints one line when it is ready, \"listening on http://ADDRESS:PORT\", and logs to standard error. Ctrl-C (SIGINT) and
SIGTERM stop it when it has finished what it accepted; a second one stops it at once.

Examples:
  tocsin serve
  tocsin serve --data /var/lib/tocsin")]
pub(super) struct ServeArgs {
    /// Also stop when standard input ends, so that the server does not outlive the program that started it
    #[arg(long)]
    until_stdin_closes: bool,
}

pub(super) async fn run(global: &Global, args: &ServeArgs) -> Result<(), Failure> {
    let config = global.config()?;
    telemetry::start(&config.log).map_err(failed)?;
    // From here on a signal is not lost, however early it comes.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let services = open_services(&config).map_err(failed)?;
    let components = load_components(&config, services).map_err(failed)?;
    let server = Server::start(&config, components).await.map_err(failed)?;
    let address = format!("http://{}", server.public);
    if global.json {
        let private = server.private.map(|address| address.to_string());
        say(&json!({ "listening": address, "private": private, "socket": config.private.socket }).to_string());
    } else {
        say(&format!("listening on {address}"));
    }
    let stdin_closed = when_stdin_closes(args.until_stdin_closes);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = stdin_closed => {}
    }
    tracing::info!("stopping: no new requests, and those accepted are finished");
    tokio::select! {
        () = server.shut_down() => {
            tracing::info!("stopped");
            Ok(())
        }
        _ = interrupt.recv() => Err(failed("stopped at once, before all requests were finished")),
        _ = terminate.recv() => Err(failed("stopped at once, before all requests were finished")),
    }
}

/// Resolves when standard input has ended, or never if that is not asked for.
async fn when_stdin_closes(is_asked: bool) {
    if !is_asked {
        return std::future::pending().await;
    }
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: reading standard input cannot be given up, and must not keep the runtime.
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while std::io::stdin().read(&mut ignored).is_ok_and(|length| length > 0) {}
        sender.send(()).ok();
    });
    receiver.await.ok();
}
