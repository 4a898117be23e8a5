//! Sends administration requests to where the store is: the running server or, when none runs, this process.

use super::Global;
use super::failure::{Failure, failed};
use crate::admin::client::{ClientError, send as send_to_server};
use crate::admin::{AdminRequest, apply_offline};
use crate::config::{LogConfig, LogFormat};
use crate::telemetry;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::OnceLock;

/// Carries out a request and returns its answer.
pub(super) async fn send(global: &Global, request: AdminRequest) -> Result<Value, Failure> {
    let config = global.config()?;
    match send_to_server(&config.private.socket, &request).await {
        Ok(value) => Ok(value),
        Err(ClientError::NoServer) => {
            // What a server would log is for people here, and only if something is wrong.
            start_logging()?;
            apply_offline(&config, request).await.map_err(failed)
        }
        Err(error @ ClientError::Refused(_)) => Err(failed(error)),
        Err(error @ ClientError::Connection(_)) => Err(Failure::new(
            error.to_string(),
            format!("Look at the server's log; its socket is {}.", config.private.socket.display()),
        )),
    }
}

/// Once in a process.
fn start_logging() -> Result<(), Failure> {
    static STARTED: OnceLock<()> = OnceLock::new();
    if STARTED.set(()).is_err() {
        return Ok(());
    }
    telemetry::start(&LogConfig { level: "warn".to_owned(), format: LogFormat::Human }).map_err(failed)
}

/// The answer as a record. It comes from this program, maybe of another version.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| {
        Failure::new(
            format!("the server's answer is not understood: {error}"),
            "Is the running server of another version? Use --json, or its own binary.",
        )
    })
}
