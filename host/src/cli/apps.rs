//! `tocsin app`.

use super::Global;
use super::administration::{read, send};
use super::failure::Failure;
use super::output::{Table, joined, show, warn};
use crate::admin::AdminRequest;
use crate::storage::administration::{AuthorizedAppRecord, HealthAuthorityRecord};
use clap::{Args, Subcommand};

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin app add org.example.app --region US --health-authority gov.example.health
  tocsin app list")]
pub(super) enum AppCommand {
    /// Let an app publish
    #[command(after_help = "\
Example:
  tocsin app add org.example.app --region US --region CA --health-authority gov.example.health")]
    Add(AddArgs),
    /// All apps that may publish
    #[command(after_help = "Example:\n  tocsin app list --json")]
    List,
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// The name the app sends as healthAuthorityID
    name: String,
    /// Region its keys belong to; can be repeated
    #[arg(long = "region", value_name = "REGION", required = true)]
    regions: Vec<String>,
    /// Issuer of a health authority whose certificates it may present; can be repeated
    #[arg(long = "health-authority", value_name = "ISSUER", required_unless_present = "bypass_verification")]
    issuers: Vec<String>,
    /// FOR TESTS ONLY: accept keys without a verification certificate, from anybody
    #[arg(long)]
    bypass_verification: bool,
    /// FOR TESTS ONLY: accept revisions without a revision token, from anybody
    #[arg(long)]
    bypass_revision_token: bool,
}

pub(super) async fn run(global: &Global, command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Add(AddArgs { name, regions, issuers, bypass_verification, bypass_revision_token }) => {
            let app = AuthorizedAppRecord {
                name,
                regions,
                health_authorities: Vec::new(),
                bypass_verification,
                bypass_revision_token,
            };
            let value = send(global, AdminRequest::AddApp { app, issuers }).await?;
            if bypass_verification || bypass_revision_token {
                warn("this app bypasses checks: anybody can publish or revise keys through it");
            }
            let app: AuthorizedAppRecord = read(&value)?;
            show(global, &value, || format!("Added app {:?}, region {}.", app.name, joined(&app.regions)));
        }
        AppCommand::List => {
            let value = send(global, AdminRequest::ListApps).await?;
            let apps: Vec<AuthorizedAppRecord> = read(&value)?;
            let authorities = match apps.is_empty() || global.json {
                true => Vec::new(),
                false => read(&send(global, AdminRequest::ListHealthAuthorities).await?)?,
            };
            show(global, &value, || list(&apps, &authorities));
        }
    }
    Ok(())
}

fn list(apps: &[AuthorizedAppRecord], authorities: &[HealthAuthorityRecord]) -> String {
    let mut table = Table::new(&["app", "regions", "health authorities", "checks"]);
    for AuthorizedAppRecord { name, regions, health_authorities, bypass_verification, bypass_revision_token } in apps {
        let issuers: Vec<String> = health_authorities
            .iter()
            .map(|id| match authorities.iter().find(|authority| authority.id == *id) {
                Some(authority) => authority.issuer.clone(),
                None => id.to_string(),
            })
            .collect();
        let checks = match (bypass_verification, bypass_revision_token) {
            (false, false) => "all",
            (true, false) => "NO VERIFICATION",
            (false, true) => "NO REVISION TOKEN",
            (true, true) => "NONE",
        };
        table.row([name.clone(), joined(regions), joined(&issuers), checks.to_owned()]);
    }
    table.text_or("No app may publish; `tocsin app add --help` shows how to add one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_shows_issuers_and_bypassed_checks() {
        let app = |bypass_verification| AuthorizedAppRecord {
            name: "app".to_owned(),
            regions: vec!["US".to_owned(), "CA".to_owned()],
            health_authorities: vec![1, 2],
            bypass_verification,
            bypass_revision_token: false,
        };
        let authority = HealthAuthorityRecord {
            id: 1,
            issuer: "iss".to_owned(),
            audience: String::new(),
            name: String::new(),
            jwks_uri: None,
            allow_empty_key_set: false,
            statistics_enabled: true,
            keys: vec![],
        };
        let text = list(&[app(false), app(true)], &[authority]);
        assert!(text.contains("US, CA") && text.contains("iss, 2") && text.contains("NO VERIFICATION"), "{text}");
    }
}
