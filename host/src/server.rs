//! The whole server: opens everything, listens, runs the timer, shuts down.

use crate::blobs::BlobStore;
use crate::components::ComponentFiles;
use crate::config::Config;
use crate::engine::Components;
use crate::http::maintenance::Maintenance;
use crate::http::private::PrivateRoutes;
use crate::http::public::PublicRoutes;
use crate::http::server::{ConnectionLimits, Listener, serve};
use crate::jobs;
use crate::key_sets::{self, KeySets};
use crate::services::{ServiceSettings, Services, SystemClock};
use crate::signing::Keyring;
use crate::storage::administration::Administration;
use crate::storage::{SqliteOptions, SqliteStore};
use crate::validators::{self, Validators};
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::ports::Clock;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The server cannot start; the text says what to do.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

fn failed(error: impl fmt::Display) -> StartError {
    StartError(error.to_string())
}

/// Opens the store, the keys and the files that a configuration names.
pub fn open_services(config: &Config) -> Result<Arc<Services>, StartError> {
    open_services_with_clock(config, Arc::new(SystemClock))
}

/// As [`open_services`], with a clock of the caller's.
pub fn open_services_with_clock(
    config: &Config,
    clock: Arc<dyn Clock + Send + Sync>,
) -> Result<Arc<Services>, StartError> {
    let options = SqliteOptions { cache_mebibytes: config.storage.cache_mib, ..SqliteOptions::default() };
    let store = Arc::new(SqliteStore::open(&config.storage.database, &options).map_err(failed)?);
    let keyring = Keyring::open(&config.folders.keys, store.clone()).map_err(failed)?;
    let blobs = BlobStore::open_folder(&config.folders.blobs).map_err(|error| {
        StartError(format!("the folder of export files {} cannot be used: {error}", config.folders.blobs.display()))
    })?;
    Ok(Arc::new(Services {
        store,
        keyring: Arc::new(keyring),
        blobs,
        key_sets: KeySets::new(&config.jwks).map_err(failed)?,
        settings: ServiceSettings {
            publish: config.publish.clone(),
            statistics: config.statistics.clone(),
            verification: config.verification.clone(),
            export: config.export.clone(),
            purge: config.purge.clone(),
            key_rotation: config.key_rotation.clone(),
        },
        clock,
        maintenance: Maintenance::new(config.public.maintenance_mode),
    }))
}

/// Compiles (or takes from the cache) the components of a configuration.
pub fn load_components(config: &Config, services: Arc<Services>) -> Result<Arc<Components>, StartError> {
    let files = ComponentFiles::load(config.folders.components.as_deref()).map_err(failed)?;
    let validators = Validators::open(config, services.clock.clone(), services.store.clone()).map_err(failed)?;
    let max_requests = config.public.max_concurrent_requests;
    let components = Components::new(&files, &config.folders.cache, &config.limits, max_requests, services, validators);
    Ok(Arc::new(components.map_err(failed)?))
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    /// Where phones reach it.
    pub public: SocketAddr,
    /// Where schedulers reach it, if configured.
    pub private: Option<SocketAddr>,
    components: Arc<Components>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts to listen and, if configured, the timer of jobs.
    pub async fn start(config: &Config, components: Arc<Components>) -> Result<Self, StartError> {
        make_first_revision_key(components.services())?;
        warn_at_start(components.services());
        let (stop, stopped) = watch::channel(false);
        let limits = ConnectionLimits {
            max_connections: config.public.max_connections,
            header_timeout: Duration::from_millis(config.public.read_timeout_ms),
            grace: Duration::from_millis(config.public.shutdown_grace_ms),
        };
        let mut tasks = Vec::new();
        let routes = PrivateRoutes::new(components.clone());
        let private_handler = move |request| routes.clone().handle(request);
        let socket = listen_on_socket(&config.private.socket)?;
        tasks.push(tokio::spawn(serve(Listener::Unix(socket), limits, stopped.clone(), private_handler.clone())));
        let mut private = None;
        if let Some(address) = config.private.listen {
            let listener = listen(address).await?;
            private = Some(listener.local_addr().map_err(failed)?);
            tasks.push(tokio::spawn(serve(Listener::Tcp(listener), limits, stopped.clone(), private_handler)));
        }
        let listener = listen(config.public.listen).await?;
        let public = listener.local_addr().map_err(failed)?;
        let routes = PublicRoutes::new(components.clone(), &config.public, &config.chaff);
        let public_handler = move |request| routes.clone().handle(request);
        tasks.push(tokio::spawn(serve(Listener::Tcp(listener), limits, stopped.clone(), public_handler)));
        if config.jobs.timer {
            let import = key_sets::run_timer(components.clone(), config.jobs.clone(), stopped.clone());
            tasks.push(tokio::spawn(import));
            let validators = components.validators().clone();
            tasks.push(tokio::spawn(validators::run_revocation_timer(validators, stopped.clone())));
            tasks.push(tokio::spawn(jobs::run_timer(components.clone(), config.jobs.clone(), stopped)));
        }
        Ok(Self { public, private, components, stop, tasks })
    }

    /// The running components.
    pub fn components(&self) -> &Arc<Components> {
        &self.components
    }

    /// Stops to accept, finishes what was accepted (requests and a running job), and returns.
    pub async fn shut_down(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A task that panicked has ended too.
            task.await.ok();
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        StartError(format!(
            "cannot listen on {address}: {error}. Is another server running? The address is `public.listen`."
        ))
    })
}

/// The store's lock has shown that no other server runs on this folder, so a socket that is there is left over.
fn listen_on_socket(path: &Path) -> Result<UnixListener, StartError> {
    let failed = |error: std::io::Error| StartError(format!("cannot listen on the socket {}: {error}", path.display()));
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
        // A typing error in `private.socket` must not cost a database.
        Ok(_) => return Err(failed(std::io::Error::other("there is another file of that name"))),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Without a revision key nobody could be given a revision token.
fn make_first_revision_key(services: &Services) -> Result<(), StartError> {
    if let Some(revision_key) = services.keyring.create_first_revision_key(services.clock.now()).map_err(failed)? {
        tracing::info!(revision_key, "there was no revision key: made the first");
    }
    Ok(())
}

fn warn_at_start(services: &Services) {
    if services.maintenance.mode().is_maintenance() {
        crate::http::maintenance::warn();
    }
    services.key_sets.warn_at_start();
    match services.store.authorized_apps() {
        Ok(apps) => apps.iter().for_each(crate::admin::warn_about_bypasses),
        Err(error) => tracing::error!(%error, "the authorized apps cannot be read"),
    }
}
