//! The publish component: `tocsin:component/publisher`, and its routes over `wasi:http`.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

use tocsin_domain::ports::authorized_apps::AuthorizedApps;
use tocsin_domain::ports::settings::Settings;
use tocsin_domain::publish::request::{ApiVersion, MAX_BODY_BYTES};
use tocsin_domain::publish::response::{API_VERSION_HEADER, CONTENT_TYPE_HEADER, PublishResponse, api_version};
use tocsin_domain::publish::service::{Incoming, Publisher};
use tocsin_domain::settings::PublishSettings;
use tocsin_domain::statistics::report::StatisticsReporter;
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

use bindings::exports::tocsin::component::publisher::{
    ApiVersion as WitApiVersion, Guest, PublishRequest, Response, StatisticsRequest,
};

struct Component;

/// Gives a publisher over the host to `work`.
fn with_publisher<T>(settings: &PublishSettings, work: impl FnOnce(Publisher<'_>) -> T) -> T {
    work(Publisher {
        settings,
        authorized_apps: &Host,
        verifier: &Host,
        validation: &Host,
        exposures: &Host,
        sealing: &Host,
        clock: &Host,
        random: &Host,
    })
}

/// Gives the request in the domain's form to `look`.
fn with_incoming<T>(request: &PublishRequest, look: impl FnOnce(&Incoming<'_>) -> T) -> T {
    let PublishRequest { api, content_type, user_agent, body } = request;
    let api = match api {
        WitApiVersion::V1 => ApiVersion::V1,
        WitApiVersion::V1alpha1 => ApiVersion::V1Alpha1,
    };
    look(&Incoming { api, content_type: content_type.as_deref(), user_agent: user_agent.as_deref(), body })
}

fn report(content_type: Option<&str>, authorization: Option<&str>, body: &[u8]) -> PublishResponse {
    let reporter = StatisticsReporter {
        settings: &Host.statistics(),
        verifier: &Host,
        statistics: &Host,
        clock: &Host,
        random: &Host,
    };
    reporter.report(content_type, authorization, body)
}

fn response_to_wit(response: PublishResponse) -> Response {
    let PublishResponse { status, chaff, body } = response;
    Response { status, chaff, body }
}

impl Guest for Component {
    fn publish(request: PublishRequest) -> Response {
        let publish = |publisher: Publisher<'_>| with_incoming(&request, |incoming| publisher.publish(incoming));
        response_to_wit(with_publisher(&Host.publish(), publish))
    }

    fn statistics(request: StatisticsRequest) -> Response {
        let StatisticsRequest { content_type, authorization, body } = request;
        response_to_wit(report(content_type.as_deref(), authorization.as_deref(), &body))
    }

    fn explain(request: PublishRequest) -> String {
        let explain = |publisher: Publisher<'_>| with_incoming(&request, |incoming| publisher.explain(incoming));
        with_publisher(&Host.publish(), explain).to_json()
    }
}

impl wasip2::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let settings = Host.publish();
        let path = http::path(&request);
        let api = match path.as_str() {
            "/v1/publish" => Some(ApiVersion::V1),
            "/" if settings.enable_v1alpha1 => Some(ApiVersion::V1Alpha1),
            "/v1/stats" => None,
            // Tocsin's own host answers this itself.
            "/health" => return respond_health(out),
            _ => return http::respond_not_found(out),
        };
        let content_type = http::header(&request, "content-type");
        let content_type = content_type.as_deref();
        // A body that broke off is answered as what arrived: nobody is left to read the answer.
        let body = http::read_body(&request, MAX_BODY_BYTES).unwrap_or_default();
        let mut headers = vec![CONTENT_TYPE_HEADER];
        let PublishResponse { status, chaff: _, body } = match api {
            Some(api) => {
                headers.insert(0, (API_VERSION_HEADER, api_version(api)));
                let user_agent = http::header(&request, "user-agent");
                let incoming = Incoming { api, content_type, user_agent: user_agent.as_deref(), body: &body };
                with_publisher(&settings, |publisher| publisher.publish(&incoming))
            }
            None => report(content_type, http::header(&request, "authorization").as_deref(), &body),
        };
        http::respond(out, &http::Response { status, headers: &headers, body: &body });
    }
}

/// 200 while the store answers.
fn respond_health(out: ResponseOutparam) {
    let (status, body): (u16, &[u8]) = match Host.find_app("") {
        Ok(_) => (200, br#"{"status":"ok"}"#),
        Err(_) => (500, b"Internal Server Error\n"),
    };
    http::respond(out, &http::Response { status, headers: &[CONTENT_TYPE_HEADER], body });
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
#[cfg(target_family = "wasm")]
wasip2::http::proxy::export!(Component);
