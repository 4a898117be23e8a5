//! The publish component: `tocsin:component/publisher`, and `/v1/publish` over `wasi:http`.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

use tocsin_domain::ports::settings::Settings;
use tocsin_domain::publish::request::MAX_BODY_BYTES;
use tocsin_domain::publish::response::{API_VERSION_HEADER, CONTENT_TYPE_HEADER, PublishResponse};
use tocsin_domain::publish::service::Publisher;
use tocsin_guest::{Host, http};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tocsin:guest; world publish { export tocsin:component/publisher@0.1.0; }",
        world: "tocsin:guest/publish",
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::component::publisher::{Guest, PublishRequest, PublishResponse as WitResponse};

struct Component;

fn publish(content_type: Option<&str>, body: &[u8]) -> PublishResponse {
    let publisher = Publisher {
        settings: &Host.publish(),
        authorized_apps: &Host,
        verifier: &Host,
        exposures: &Host,
        sealing: &Host,
        clock: &Host,
        random: &Host,
    };
    publisher.publish(content_type, body)
}

impl Guest for Component {
    fn publish(request: PublishRequest) -> WitResponse {
        let PublishRequest { content_type, body } = request;
        let PublishResponse { status, body } = publish(content_type.as_deref(), &body);
        WitResponse { status, body }
    }
}

impl wasip2::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        if http::path(&request) != "/v1/publish" {
            return http::respond_not_found(out);
        }
        let content_type = http::header(&request, "content-type");
        // A body that broke off is answered as what arrived: nobody is left to read the answer.
        let body = http::read_body(&request, MAX_BODY_BYTES).unwrap_or_default();
        let PublishResponse { status, body } = publish(content_type.as_deref(), &body);
        http::respond(
            out,
            &http::Response { status, headers: &[API_VERSION_HEADER, CONTENT_TYPE_HEADER], body: &body },
        );
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
#[cfg(target_family = "wasm")]
wasip2::http::proxy::export!(Component);
