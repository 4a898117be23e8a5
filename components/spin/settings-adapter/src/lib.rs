//! `tocsin:capability/settings` from a Spin variable, and `validation` without validators: no app is validated in Spin yet,
//! so it is never asked, and whoever asks all the same is refused.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package tocsin:spin-settings;
            world adapter {
                export tocsin:capability/settings@0.1.0;
                export tocsin:capability/validation@0.1.0;
            }
        ",
        world: "tocsin:spin-settings/adapter",
        with: {
            "tocsin:types/types@0.1.0": tocsin_spin_adapter::bindings::tocsin::types::types,
            "tocsin:validator/types@0.1.0": generate,
        },
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::capability::settings as wit;
use bindings::exports::tocsin::capability::validation;
use bindings::tocsin::validator::types::{Evidence, Submission};
use tocsin_domain::settings::{
    ExportSettings, KeyOrder, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings,
};
use tocsin_spin_adapter::bindings::tocsin::types::types::PortError;
use tocsin_spin_adapter::settings::Settings;

struct Component;

impl wit::Guest for Component {
    fn publish() -> wit::PublishSettings {
        let PublishSettings {
            max_keys,
            max_same_start_keys,
            max_key_age_seconds,
            truncate_window_seconds,
            max_onset_days,
            max_onset_report_days,
            default_onset_days_ago,
            release_same_day_keys,
            allow_partial_revisions,
            default_region,
            response_padding_min_bytes,
            response_padding_range,
            revision_token_min_entries,
            enable_v1alpha1,
        } = Settings::read_or_fail().publish;
        wit::PublishSettings {
            max_keys,
            max_same_start_keys,
            max_key_age_seconds,
            truncate_window_seconds,
            max_onset_days,
            max_onset_report_days,
            default_onset_days_ago,
            release_same_day_keys,
            allow_partial_revisions,
            default_region,
            response_padding_min_bytes,
            response_padding_range,
            revision_token_min_entries,
            enable_v1alpha1,
        }
    }

    fn statistics() -> wit::StatisticsSettings {
        let StatisticsSettings { upload_minimum, embargo_seconds, response_padding_min_bytes, response_padding_range } =
            Settings::read_or_fail().statistics;
        wit::StatisticsSettings { upload_minimum, embargo_seconds, response_padding_min_bytes, response_padding_range }
    }

    fn verification() -> wit::VerificationSettings {
        let VerificationSettings { clock_skew_seconds, statistics_audience } = Settings::read_or_fail().verification;
        wit::VerificationSettings { clock_skew_seconds, statistics_audience }
    }

    fn export() -> wit::ExportSettings {
        let ExportSettings {
            min_records,
            padding_range,
            max_records,
            truncate_window_seconds,
            min_window_age_seconds,
            worker_timeout_seconds,
            ttl_seconds,
            reprocess_count,
            key_order,
        } = Settings::read_or_fail().export;
        wit::ExportSettings {
            min_records,
            padding_range,
            max_records,
            truncate_window_seconds,
            min_window_age_seconds,
            worker_timeout_seconds,
            ttl_seconds,
            reprocess_count,
            key_order: match key_order {
                KeyOrder::Metadata => wit::KeyOrder::Metadata,
                KeyOrder::KeyBytes => wit::KeyOrder::KeyBytes,
            },
        }
    }

    fn purge() -> wit::PurgeSettings {
        let PurgeSettings { ttl_seconds, allow_short_ttl } = Settings::read_or_fail().purge;
        wit::PurgeSettings { ttl_seconds, allow_short_ttl }
    }
}

impl validation::Guest for Component {
    fn validate(
        _submission: Submission,
        _health_authority: Option<u64>,
        _evidence: Option<Evidence>,
    ) -> Result<validation::Decision, PortError> {
        Ok(validation::Decision::Refused(vec!["no validators run in Spin yet".to_owned()]))
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
