//! `state.json`: what a server must know before the suite is run against it.

use super::{Problem, problem};
use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::pkcs8::DecodePrivateKey;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Health authorities and apps. The keys are made for these tests and protect nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// For readers.
    pub about: String,
    /// Issuer of certificates that do not say otherwise; signed with its first key.
    pub default_issuer: String,
    /// Issuer of statistics tokens that do not say otherwise; signed with its first key.
    pub default_statistics_issuer: String,
    /// `aud` of statistics tokens.
    pub statistics_audience: String,
    /// Who vouches.
    pub health_authorities: Vec<Authority>,
    /// Who may publish.
    pub apps: Vec<App>,
    #[serde(skip)]
    folder: PathBuf,
}

/// A health authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// For readers.
    pub about: String,
    /// `iss` of its certificates.
    pub issuer: String,
    /// `aud` of its certificates.
    pub audience: String,
    /// For people.
    pub name: String,
    /// Whether it may read statistics.
    pub statistics: bool,
    /// Its keys.
    pub keys: Vec<AuthorityKey>,
}

/// A key of a health authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityKey {
    /// `kid` of what it signs.
    pub version: String,
    /// Name of the pair of files in `keys/`.
    pub key: String,
    /// Valid after this time, unix seconds.
    pub from_unix: i64,
    /// Valid before this time, unix seconds; not given: no end.
    pub thru_unix: Option<i64>,
}

/// An app that may publish.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// For readers.
    pub about: String,
    /// What it sends as `healthAuthorityID`.
    pub name: String,
    /// Where its keys count.
    pub regions: Vec<String>,
    /// Issuers whose certificates it may present.
    pub health_authorities: Vec<String>,
    /// Publishes without a valid certificate.
    #[serde(default)]
    pub bypass_verification: bool,
    /// Revises without a revision token.
    #[serde(default)]
    pub bypass_revision_token: bool,
}

impl State {
    /// Reads `state.json` of the suite's folder.
    pub fn load(folder: &Path) -> Result<Self, Problem> {
        let file = folder.join("state.json");
        let in_file = |error: &dyn std::fmt::Display| Problem(format!("{}: {error}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|error| in_file(&error))?;
        let state: Self = serde_json::from_str(&text).map_err(|error| in_file(&error))?;
        Ok(Self { folder: folder.to_owned(), ..state })
    }

    /// The health authority of an issuer.
    pub fn authority(&self, issuer: &str) -> Result<&Authority, Problem> {
        match self.health_authorities.iter().find(|authority| authority.issuer == issuer) {
            Some(authority) => Ok(authority),
            None => problem(format!("state.json has no health authority {issuer:?}")),
        }
    }

    /// The file of a public key: PEM, `PUBLIC KEY`.
    pub fn public_key_file(&self, key: &str) -> PathBuf {
        self.folder.join("keys").join(format!("{key}.pub.pem"))
    }

    /// A private key.
    pub fn private_key(&self, key: &str) -> Result<SigningKey, Problem> {
        let file = self.folder.join("keys").join(format!("{key}.pem"));
        let pem = std::fs::read_to_string(&file).map_err(|error| Problem(format!("{}: {error}", file.display())))?;
        match SecretKey::from_pkcs8_pem(&pem) {
            Ok(key) => Ok(SigningKey::from(key)),
            Err(_) => problem(format!("{} is no P-256 private key in PEM (PKCS #8)", file.display())),
        }
    }
}
