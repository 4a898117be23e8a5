//! The export component: `tocsin:component/exporter`, and `/create-batches` and `/do-work` over `wasi:http`.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

use tocsin_domain::export::ExportError;
use tocsin_domain::export::batch::{self, CreateBatchesReport};
use tocsin_domain::export::worker;
use tocsin_domain::ports::Clock;
use tocsin_domain::ports::settings::Settings;
use tocsin_guest::{Host, http};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tocsin:guest; world export-jobs { export tocsin:component/exporter@0.1.0; }",
        world: "tocsin:guest/export-jobs",
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::component::exporter::{BatchReport, BatchesReport, Guest, WorkError, WorkReport};

struct Component;

impl Guest for Component {
    fn create_batches() -> Result<BatchesReport, String> {
        let report = batch::create_batches(&Host, &Host.export(), Host.now()).map_err(|error| error.to_string())?;
        let CreateBatchesReport { already_running, created, failures } = report;
        let failures = failures
            .into_iter()
            .map(|batch::ConfigFailure { config_id, error }| format!("export config {config_id}: {error}"))
            .collect();
        Ok(BatchesReport { already_running, created, failures })
    }

    fn do_work() -> Result<WorkReport, WorkError> {
        match worker::do_work(&Host, &Host, &Host.export(), Host.now()) {
            Ok(worker::WorkReport::NoBatch) => Ok(WorkReport::NoBatch),
            Ok(worker::WorkReport::Busy) => Ok(WorkReport::Busy),
            Ok(worker::WorkReport::LostLease { batch_id }) => Ok(WorkReport::LostLease(batch_id)),
            Ok(worker::WorkReport::Completed(report)) => {
                let worker::BatchReport {
                    batch_id,
                    config_id,
                    window: _,
                    files,
                    new_keys,
                    revised_keys,
                    padding_keys,
                    bad_rows,
                } = report;
                Ok(WorkReport::Completed(BatchReport {
                    batch_id,
                    config_id,
                    files,
                    new_keys,
                    revised_keys,
                    padding_keys,
                    bad_rows,
                }))
            }
            Err(error @ ExportError::Port(_)) => Err(WorkError::Leasing(error.to_string())),
            Err(error @ ExportError::Batch { .. }) => Err(WorkError::Batch(error.to_string())),
        }
    }
}

impl wasip2::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let outcome = match http::path(&request).as_str() {
            "/create-batches" => create_batches_over_http(),
            "/do-work" => do_work_over_http(),
            _ => return http::respond_not_found(out),
        };
        http::respond_job(out, outcome);
    }
}

fn create_batches_over_http() -> http::JobOutcome {
    match Component::create_batches() {
        Ok(BatchesReport { already_running: true, .. }) => http::JobOutcome::TooEarly,
        Ok(BatchesReport { failures, .. }) => http::JobOutcome::from_failures(failures),
        Err(error) => http::JobOutcome::Failed(vec![error]),
    }
}

/// A batch that fails does not keep the others from their turn.
fn do_work_over_http() -> http::JobOutcome {
    let mut failures = Vec::new();
    loop {
        match Component::do_work() {
            Ok(WorkReport::Completed(_)) => {}
            Ok(WorkReport::NoBatch | WorkReport::Busy) => break,
            Ok(WorkReport::LostLease(batch_id)) => failures.push(format!("the lease of batch {batch_id} was lost")),
            Err(WorkError::Batch(error)) => failures.push(error),
            Err(WorkError::Leasing(error)) => {
                failures.push(error);
                break;
            }
        }
    }
    http::JobOutcome::from_failures(failures)
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
#[cfg(target_family = "wasm")]
wasip2::http::proxy::export!(Component);
