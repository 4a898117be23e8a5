//! A real server in this process: the built components, the SQLite store, real HTTP on loopback, and a clock of the test's.

use super::people::{APP, AUDIENCE, HealthAuthority, ISSUER, KEY_VERSION, REGION};
use crate::harness::client::Client;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::testing::clock::FakeClock;
use tocsin_host::admin::{AdminRequest, apply};
use tocsin_host::config::Config;
use tocsin_host::engine::Components;
use tocsin_host::jobs::{self, Job};
use tocsin_host::server::{Server, load_components, open_services_with_clock};
use tocsin_host::storage::administration::{
    AuthorizedAppRecord, HealthAuthorityKeyRecord, NewExportConfig, NewHealthAuthority, SignerRecord,
};

/// Noon of a day, far from any boundary: 2026-11-02T12:00:00Z.
pub const NOON: Timestamp = Timestamp::from_unix(1_793_620_800);

/// A server for one test.
#[derive(Debug)]
pub struct TestServer {
    folder: Arc<TempDir>,
    /// Its clock.
    pub clock: Arc<FakeClock>,
    /// The health authority it trusts.
    pub authority: HealthAuthority,
    config: Config,
    server: Option<Server>,
}

/// A configuration for tests: own folder, free port, no timer.
pub fn test_config(folder: &Path) -> Config {
    let mut config = Config::parse("").expect("defaults are valid");
    config.public.listen = ([127, 0, 0, 1], 0).into();
    config.private.socket = folder.join("tocsin.sock");
    config.storage.database = folder.join("tocsin.db");
    config.folders.keys = folder.join("keys");
    config.folders.blobs = folder.join("exports");
    // Compiled components are the same for all tests, and compiling them takes seconds.
    config.folders.cache = std::env::temp_dir().join("tocsin-test-cache");
    config.folders.components = Some(super::components_folder());
    config.jobs.timer = false;
    config.public.max_concurrent_requests = 32;
    config
}

impl TestServer {
    /// With the default rules, a health authority, an app and keys.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// As [`Self::start`], with changed settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("temporary folder"));
        let mut config = test_config(folder.path());
        change(&mut config);
        config.export.truncate_window_seconds = config.publish.truncate_window_seconds;
        config.export.ttl_seconds = config.purge.ttl_seconds;
        let mut server = Self {
            folder,
            clock: Arc::new(FakeClock::at(NOON)),
            authority: HealthAuthority::new(),
            config,
            server: None,
        };
        server.open().await;
        server.set_up().await;
        server
    }

    async fn open(&mut self) {
        let services = open_services_with_clock(&self.config, self.clock.clone()).expect("services open");
        let components = load_components(&self.config, services).expect("components load");
        self.server = Some(Server::start(&self.config, components).await.expect("server starts"));
    }

    async fn set_up(&self) {
        self.admin(AdminRequest::CreateSigningKey { name: "export".to_owned() }).await;
        self.admin(AdminRequest::AddHealthAuthority(NewHealthAuthority {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            name: "Test".to_owned(),
            jwks_uri: None,
            allow_empty_key_set: false,
            statistics_enabled: true,
        }))
        .await;
        self.admin(AdminRequest::AddHealthAuthorityKey {
            issuer: ISSUER.to_owned(),
            key: HealthAuthorityKeyRecord {
                version: KEY_VERSION.to_owned(),
                from_unix: 0,
                thru_unix: None,
                public_key: self.authority.public_key(),
            },
        })
        .await;
        self.add_app(APP, &[ISSUER], false, false).await;
    }

    /// Adds an app in the test region.
    pub async fn add_app(&self, name: &str, issuers: &[&str], bypass_verification: bool, bypass_revision_token: bool) {
        self.admin(AdminRequest::AddApp {
            app: AuthorizedAppRecord {
                name: name.to_owned(),
                regions: vec![REGION.to_owned()],
                health_authorities: Vec::new(),
                bypass_verification,
                bypass_revision_token,
            },
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
        })
        .await;
    }

    /// Adds an export config of the test region.
    pub async fn add_export_config(&self, root: &str, period_seconds: u64, change: impl FnOnce(&mut NewExportConfig)) {
        let mut new = NewExportConfig {
            bucket: self.config.public.exports_bucket.clone(),
            filename_root: root.to_owned(),
            period_seconds,
            output_region: REGION.to_owned(),
            input_regions: Vec::new(),
            exclude_regions: Vec::new(),
            include_travelers: false,
            only_non_travelers: false,
            max_records_override: None,
            signers: vec![SignerRecord {
                signing_key: "export".to_owned(),
                verification_key_id: "310".to_owned(),
                verification_key_version: "v1".to_owned(),
            }],
            from_unix: 0,
            thru_unix: None,
        };
        change(&mut new);
        self.admin(AdminRequest::AddExportConfig(new)).await;
    }

    /// The running components.
    pub fn components(&self) -> &Arc<Components> {
        self.server.as_ref().expect("running").components()
    }

    /// Carries out an administration request that must succeed.
    pub async fn admin(&self, request: AdminRequest) -> Value {
        apply(self.components(), request).await.expect("administration succeeds")
    }

    /// Runs a job that must succeed.
    pub async fn job(&self, job: Job) -> Value {
        jobs::run(self.components(), job).await.expect("the job succeeds")
    }

    /// Where the public listener is.
    pub fn public_address(&self) -> SocketAddr {
        self.server.as_ref().expect("running").public
    }

    /// A client of the public listener.
    pub fn client(&self) -> Client {
        Client::new(self.server.as_ref().expect("running").public)
    }

    /// A client of the private listener's address, if the test configured one.
    pub fn private_client(&self) -> Client {
        Client::new(self.server.as_ref().expect("running").private.expect("`private.listen` is configured"))
    }

    /// The private listener's socket.
    pub fn socket(&self) -> PathBuf {
        self.config.private.socket.clone()
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The PEM of the export signing key.
    pub async fn export_public_key(&self) -> String {
        let keys = self.admin(AdminRequest::ListKeys).await;
        keys["signing"][0]["public_key_pem"].as_str().expect("a PEM").to_owned()
    }

    /// Shuts down and starts again on the same folder.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.open().await;
    }

    /// Shuts down.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shut_down().await;
        }
    }
}
