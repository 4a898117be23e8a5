//! The purge component: `tocsin:component/purger`, and `/cleanup-exposure` and `/cleanup-export` over `wasi:http`.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

use tocsin_domain::ports::Clock;
use tocsin_domain::ports::settings::Settings;
use tocsin_domain::purge;
use tocsin_guest::{Host, http};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tocsin:guest; world purge-jobs { export tocsin:component/purger@0.1.0; }",
        world: "tocsin:guest/purge-jobs",
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::component::purger::{FilesReport, Guest};

struct Component;

impl Guest for Component {
    fn purge_exposures() -> Result<u64, String> {
        let report = purge::purge_exposures(&Host, &Host.purge(), Host.now());
        report.map(|report| report.deleted).map_err(|error| error.to_string())
    }

    fn purge_export_files() -> Result<FilesReport, String> {
        let report = purge::purge_export_files(&Host, &Host.purge(), Host.now()).map_err(|error| error.to_string())?;
        let purge::FilesReport { deleted, delete_failures, kept, indexes_written, index_failures } = report;
        Ok(FilesReport { deleted, delete_failures, kept, indexes_written, index_failures })
    }
}

impl wasip2::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let outcome = match http::path(&request).as_str() {
            "/cleanup-exposure" => Component::purge_exposures().map(|_| ()),
            "/cleanup-export" => Component::purge_export_files().and_then(|report| {
                let FilesReport { deleted: _, delete_failures, kept: _, indexes_written: _, index_failures } = report;
                if delete_failures == 0 && index_failures.is_empty() {
                    return Ok(());
                }
                let indexes = index_failures.len();
                Err(format!("{delete_failures} files could not be deleted, {indexes} indexes not written"))
            }),
            _ => return http::respond_not_found(out),
        };
        http::respond_job(out, http::JobOutcome::from_failures(outcome.err().into_iter().collect()));
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
#[cfg(target_family = "wasm")]
wasip2::http::proxy::export!(Component);
