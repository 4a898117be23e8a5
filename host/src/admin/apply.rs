//! Applies administration requests.

use super::{AdminRequest, keys, signers};
use crate::engine::Components;
use crate::explain::explain;
use crate::jobs::{self, JobFailure};
use crate::key_sets::{self, ImportFailure};
use crate::services::Services;
use crate::signing::{KeyError, KeyFileError};
use crate::storage::administration::{AdminError, Administration, AuthorizedAppRecord, HealthAuthorityRecord};
use http::StatusCode;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use tocsin_domain::publish::request::ApiVersion;

/// A request was not carried out.
#[derive(Debug)]
pub enum AdminFailure {
    /// The store refused or failed.
    Store(AdminError),
    /// A key file.
    Key(KeyFileError),
    /// A job.
    Job(JobFailure),
    /// The import of one health authority's keys.
    Import(ImportFailure),
    /// The server gave up on the request.
    Internal(String),
}

impl AdminFailure {
    /// HTTP status on the private listener.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Store(AdminError::Duplicate(_)) => StatusCode::CONFLICT,
            Self::Store(AdminError::NotFound(_)) => StatusCode::NOT_FOUND,
            Self::Store(AdminError::Invalid(_)) | Self::Key(_) => StatusCode::BAD_REQUEST,
            Self::Store(AdminError::Store(_)) | Self::Job(_) | Self::Import(_) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// A stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(AdminError::Duplicate(_)) => "duplicate",
            Self::Store(AdminError::NotFound(_)) => "not_found",
            Self::Store(AdminError::Invalid(_)) | Self::Key(_) => "bad_request",
            Self::Job(_) | Self::Import(_) => "job_failed",
            Self::Store(AdminError::Store(_)) | Self::Internal(_) => "internal_error",
        }
    }
}

impl fmt::Display for AdminFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Job(error) => error.fmt(f),
            Self::Import(error) => error.fmt(f),
            Self::Internal(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for AdminFailure {}

impl From<AdminError> for AdminFailure {
    fn from(error: AdminError) -> Self {
        Self::Store(error)
    }
}

impl From<KeyFileError> for AdminFailure {
    fn from(error: KeyFileError) -> Self {
        Self::Key(error)
    }
}

impl From<KeyError> for AdminFailure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::File(error) => Self::Key(error),
            KeyError::Store(error) => Self::Store(error.into()),
            error @ KeyError::Unreadable { .. } => Self::Internal(error.to_string()),
        }
    }
}

impl From<JobFailure> for AdminFailure {
    fn from(error: JobFailure) -> Self {
        Self::Job(error)
    }
}

/// Applies a request; jobs run in components, everything else on the store and the key files.
pub async fn apply(components: &Components, request: AdminRequest) -> Result<Value, AdminFailure> {
    match request {
        AdminRequest::RunJob { job } => jobs::run(components, job).await.map_err(AdminFailure::Job),
        AdminRequest::ExplainPublish { v1alpha1, body } => {
            let api = if v1alpha1 { ApiVersion::V1Alpha1 } else { ApiVersion::V1 };
            let explained = explain(components, api, body.into_bytes()).await;
            explained.map(|explained| json!(explained)).map_err(|error| AdminFailure::Internal(error.to_string()))
        }
        AdminRequest::ListValidators => Ok(json!(components.validators().status())),
        request => apply_without_components(components.services().clone(), request).await,
    }
}

/// Applies a request that runs no job.
pub(super) async fn apply_without_components(
    services: Arc<Services>,
    request: AdminRequest,
) -> Result<Value, AdminFailure> {
    if let AdminRequest::ImportKeySet { issuer, dry_run } = request {
        return import_key_set(&services, &issuer, dry_run).await;
    }
    tokio::task::spawn_blocking(move || apply_blocking(&services, request))
        .await
        .unwrap_or_else(|_| Err(AdminFailure::Internal("the request panicked; see the log".to_owned())))
}

async fn import_key_set(services: &Arc<Services>, issuer: &str, dry_run: bool) -> Result<Value, AdminFailure> {
    let (of, name) = (services.clone(), issuer.to_owned());
    let found = tokio::task::spawn_blocking(move || authority_of_issuer(&of, &name)).await;
    let authority =
        found.unwrap_or_else(|_| Err(AdminFailure::Internal("the request panicked; see the log".to_owned())))?;
    let report = key_sets::import_one(services, &authority, dry_run).await.map_err(AdminFailure::Import)?;
    Ok(json!(report))
}

fn apply_blocking(services: &Services, request: AdminRequest) -> Result<Value, AdminFailure> {
    let store = &*services.store;
    Ok(match request {
        AdminRequest::Status => status(services)?,
        AdminRequest::SetMaintenance { on } => {
            services.maintenance.set(on);
            if on {
                crate::http::maintenance::warn();
            } else {
                tracing::info!("no maintenance: phones are served");
            }
            json!({ "maintenance_mode": on })
        }
        AdminRequest::AddHealthAuthority(new) => {
            services.key_sets.check_uri(new.jwks_uri.as_deref())?;
            json!(store.add_health_authority(&new)?)
        }
        AdminRequest::UpdateHealthAuthority { issuer, update } => {
            services.key_sets.check_uri(update.jwks_uri.as_deref())?;
            json!(store.update_health_authority(id_of_issuer(services, &issuer)?, &update)?)
        }
        AdminRequest::ListHealthAuthorities => json!(store.health_authorities()?),
        AdminRequest::AddHealthAuthorityKey { issuer, key } => {
            store.add_health_authority_key(id_of_issuer(services, &issuer)?, &key)?;
            json!({ "issuer": issuer, "key": key })
        }
        AdminRequest::RevokeHealthAuthorityKey { issuer, version } => {
            store.revoke_health_authority_key(id_of_issuer(services, &issuer)?, &version, services.clock.now())?;
            json!({ "issuer": issuer, "version": version, "revoked": true })
        }
        AdminRequest::ReinstateHealthAuthorityKey { issuer, version } => {
            store.reinstate_health_authority_key(id_of_issuer(services, &issuer)?, &version)?;
            json!({ "issuer": issuer, "version": version, "reinstated": true })
        }
        AdminRequest::ActivateHealthAuthorityKey { issuer, version } => {
            let now = services.clock.now();
            store.activate_health_authority_key(id_of_issuer(services, &issuer)?, &version, now)?;
            json!({ "issuer": issuer, "version": version, "active": true })
        }
        AdminRequest::AddApp { mut app, issuers } => {
            app.health_authorities =
                issuers.iter().map(|issuer| id_of_issuer(services, issuer)).collect::<Result<_, _>>()?;
            store.add_authorized_app(&app)?;
            warn_about_bypasses(&app);
            json!(app)
        }
        AdminRequest::ListApps => json!(store.authorized_apps()?),
        AdminRequest::AddExportConfig(new) => {
            check_signing_keys(services, new.signers.iter().map(|signer| signer.signing_key.as_str()))?;
            json!(store.add_export_config(&new)?)
        }
        AdminRequest::ListExportConfigs => json!(store.export_configs()?),
        AdminRequest::EndExportConfig { id } => {
            let now = services.clock.now();
            store.end_export_config(id, now)?;
            json!({ "id": id, "thru_unix": now.unix() })
        }
        AdminRequest::RotateExportConfigSigner { id, signer, overlap_seconds, dry_run } => {
            json!(signers::rotate(services, id, &signer, overlap_seconds, dry_run)?)
        }
        AdminRequest::ListExportConfigSigners => json!(signers::list(services)?),
        AdminRequest::CreateSigningKey { name } => json!(services.keyring.create_signing_key(&name)?),
        AdminRequest::RotateRevisionKeys { create_anyway, dry_run } => {
            let rotation = jobs::rotate_keys(services, create_anyway, dry_run)?;
            jobs::rotation_json(rotation.as_ref(), dry_run)
        }
        AdminRequest::RotateRootKey { dry_run } => json!(keys::rotate_root(services, dry_run)?),
        AdminRequest::ListKeys => json!(keys::list(services)?),
        AdminRequest::ListBatches { limit } => json!(store.export_batches(None, limit)?),
        AdminRequest::RunJob { .. } | AdminRequest::ExplainPublish { .. } | AdminRequest::ListValidators => {
            return Err(AdminFailure::Internal("this needs the components".to_owned()));
        }
        AdminRequest::ImportKeySet { .. } => {
            return Err(AdminFailure::Internal("an import waits for the network".to_owned()));
        }
    })
}

fn status(services: &Services) -> Result<Value, AdminFailure> {
    let apps = services.store.authorized_apps()?;
    let number_of_apps = apps.len();
    let bypassing: Vec<String> = apps
        .into_iter()
        .filter(|app| app.bypass_verification || app.bypass_revision_token)
        .map(|app| app.name)
        .collect();
    let authorities = services.store.health_authorities()?;
    Ok(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "maintenance_mode": services.maintenance.mode().is_maintenance(),
        "store": services.store.status()?,
        "health_authorities": authorities.len(),
        "key_sets": services.key_sets.states(&authorities),
        "apps": number_of_apps,
        "export_configs": services.store.export_configs()?.len(),
        "signing_keys": services.keyring.public_keys().len(),
        "apps_that_bypass_checks": bypassing,
        "can_seal_revision_tokens": services.keyring.has_revision_key(),
    }))
}

fn id_of_issuer(services: &Services, issuer: &str) -> Result<u64, AdminFailure> {
    authority_of_issuer(services, issuer).map(|authority| authority.id)
}

fn authority_of_issuer(services: &Services, issuer: &str) -> Result<HealthAuthorityRecord, AdminFailure> {
    let authorities = services.store.health_authorities()?;
    authorities.into_iter().find(|authority| authority.issuer == issuer).ok_or_else(|| {
        AdminError::NotFound(format!(
            "there is no health authority with issuer {issuer:?}; add it with `tocsin health-authority add`"
        ))
        .into()
    })
}

fn check_signing_keys<'a>(services: &Services, names: impl Iterator<Item = &'a str>) -> Result<(), AdminFailure> {
    let keys = services.keyring.public_keys();
    for name in names {
        if !keys.iter().any(|key| key.name == name) {
            let text = format!("there is no signing key {name:?}; make it with `tocsin keys create {name}`");
            return Err(AdminError::NotFound(text).into());
        }
    }
    Ok(())
}

/// An app that bypasses checks lets anybody publish: say so loudly.
pub(crate) fn warn_about_bypasses(app: &AuthorizedAppRecord) {
    if app.bypass_verification {
        tracing::warn!(app = app.name, "THIS APP BYPASSES VERIFICATION: anybody can publish keys through it");
    }
    if app.bypass_revision_token {
        tracing::warn!(app = app.name, "THIS APP BYPASSES REVISION TOKENS: anybody who knows a key can revise it");
    }
}
