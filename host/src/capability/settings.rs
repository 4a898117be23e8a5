use crate::bindings::capabilities::tocsin::capability::settings as wit;
use crate::state::InstanceState;
use tocsin_domain::settings::{
    ExportSettings, KeyOrder, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings,
};

impl wit::Host for InstanceState {
    fn publish(&mut self) -> wit::PublishSettings {
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
        } = self.services.settings.publish.clone();
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

    fn verification(&mut self) -> wit::VerificationSettings {
        let VerificationSettings { clock_skew_seconds, statistics_audience } =
            self.services.settings.verification.clone();
        wit::VerificationSettings { clock_skew_seconds, statistics_audience }
    }

    fn statistics(&mut self) -> wit::StatisticsSettings {
        let StatisticsSettings { upload_minimum, embargo_seconds, response_padding_min_bytes, response_padding_range } =
            self.services.settings.statistics;
        wit::StatisticsSettings { upload_minimum, embargo_seconds, response_padding_min_bytes, response_padding_range }
    }

    fn export(&mut self) -> wit::ExportSettings {
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
        } = self.services.settings.export;
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

    fn purge(&mut self) -> wit::PurgeSettings {
        let PurgeSettings { ttl_seconds, allow_short_ttl } = self.services.settings.purge;
        wit::PurgeSettings { ttl_seconds, allow_short_ttl }
    }
}
