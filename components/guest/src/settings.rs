use crate::Host;
use crate::bindings::tocsin::capability::settings as wit;
use tocsin_domain::ports::settings::Settings;
use tocsin_domain::settings::{
    ExportSettings, KeyOrder, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings,
};

impl Settings for Host {
    fn publish(&self) -> PublishSettings {
        let wit::PublishSettings {
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
        } = wit::publish();
        PublishSettings {
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

    fn verification(&self) -> VerificationSettings {
        let wit::VerificationSettings { clock_skew_seconds, statistics_audience } = wit::verification();
        VerificationSettings { clock_skew_seconds, statistics_audience }
    }

    fn statistics(&self) -> StatisticsSettings {
        let wit::StatisticsSettings {
            upload_minimum,
            embargo_seconds,
            response_padding_min_bytes,
            response_padding_range,
        } = wit::statistics();
        StatisticsSettings { upload_minimum, embargo_seconds, response_padding_min_bytes, response_padding_range }
    }

    fn export(&self) -> ExportSettings {
        let wit::ExportSettings {
            min_records,
            padding_range,
            max_records,
            truncate_window_seconds,
            min_window_age_seconds,
            worker_timeout_seconds,
            ttl_seconds,
            reprocess_count,
            key_order,
        } = wit::export();
        ExportSettings {
            min_records,
            padding_range,
            max_records,
            truncate_window_seconds,
            min_window_age_seconds,
            worker_timeout_seconds,
            ttl_seconds,
            reprocess_count,
            key_order: match key_order {
                wit::KeyOrder::Metadata => KeyOrder::Metadata,
                wit::KeyOrder::KeyBytes => KeyOrder::KeyBytes,
            },
        }
    }

    fn purge(&self) -> PurgeSettings {
        let wit::PurgeSettings { ttl_seconds, allow_short_ttl } = wit::purge();
        PurgeSettings { ttl_seconds, allow_short_ttl }
    }
}
