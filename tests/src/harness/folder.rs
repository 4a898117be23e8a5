//! A data folder made ready without a server, for one that then runs in its own process.

use super::people::{APP, AUDIENCE, HealthAuthority, ISSUER, KEY_VERSION, REGION};
use super::server::test_config;
use std::path::Path;
use std::sync::Arc;
use tocsin_host::config::{Config, FILE_NAME};
use tocsin_host::server::open_services;
use tocsin_host::services::Services;
use tocsin_host::storage::administration::{
    Administration, AuthorizedAppRecord, HealthAuthorityKeyRecord, NewExportConfig, NewHealthAuthority, SignerRecord,
};

/// Makes keys, registers a health authority and an app, and returns the configuration, which is not written yet
/// ([`write_config`]).
pub fn set_up(folder: &Path, authority: &HealthAuthority) -> (Config, Arc<Services>) {
    let config = test_config(folder);
    let services = open_services(&config).expect("opens");
    services.keyring.create_first_revision_key(services.clock.now()).expect("created");
    services.keyring.create_signing_key("export").expect("created");
    let new = NewHealthAuthority {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        name: "Test".into(),
        jwks_uri: None,
        allow_empty_key_set: false,
        statistics_enabled: true,
    };
    let id = services.store.add_health_authority(&new).expect("added").id;
    let key = HealthAuthorityKeyRecord {
        version: KEY_VERSION.into(),
        from_unix: 0,
        thru_unix: None,
        public_key: authority.public_key(),
    };
    services.store.add_health_authority_key(id, &key).expect("added");
    services
        .store
        .add_authorized_app(&AuthorizedAppRecord {
            name: APP.into(),
            regions: vec![REGION.into()],
            health_authorities: vec![id],
            bypass_verification: false,
            bypass_revision_token: false,
        })
        .expect("added");
    (config, services)
}

/// Adds an export config of the test region and returns its id.
pub fn add_export_config(services: &Services, root: &str, period_seconds: u64) -> u64 {
    let new = NewExportConfig {
        bucket: "public".into(),
        filename_root: root.into(),
        period_seconds,
        output_region: REGION.into(),
        input_regions: Vec::new(),
        exclude_regions: Vec::new(),
        include_travelers: false,
        only_non_travelers: false,
        max_records_override: None,
        signers: vec![SignerRecord {
            signing_key: "export".into(),
            verification_key_id: "310".into(),
            verification_key_version: "v1".into(),
        }],
        from_unix: 0,
        thru_unix: None,
    };
    services.store.add_export_config(&new).expect("added").id
}

/// Writes the whole configuration into the folder.
pub fn write_config(folder: &Path, config: &Config) {
    let text = toml::to_string(config).expect("the configuration is TOML");
    std::fs::write(folder.join(FILE_NAME), text).expect("written");
}
