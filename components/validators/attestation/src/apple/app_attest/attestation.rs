//! Attestations: the numbers of steps are those of Apple's page.

use der::asn1::ObjectIdentifier;
use subtle::ConstantTimeEq;

use crate::cbor::Value;
use crate::contract::{Acceptance, AttestedKey, Commit, Evidence, Rejection, Services, Stage};
use crate::x509::{self, BasicConstraints, Certificate, EcKey};

use super::auth_data::{self, AuthData, Credential};
use super::config::{AppAttestConfig, Environment, Freshness, Mode, ReceiptRule};
use super::receipt::Receipt;
use super::{ANCHORS, CLAIM_SPACE, Expected, RECEIPT_ANCHORS, check_extensions, misconfigured, signals};
use sha2::{Digest, Sha256};

/// Largest attestation object, bytes. Apple's have five to six thousand.
const MAX_BYTES: usize = 16 * 1024;
/// Apple's extension with the nonce.
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.2");
/// What precedes the nonce in it: a sequence of one octet string, tagged 1.
const NONCE_PREFIX: [u8; 6] = [0x30, 0x24, 0xa1, 0x22, 0x04, 0x20];
const DEVELOPMENT: &[u8; 16] = b"appattestdevelop";
const PRODUCTION: &[u8; 16] = b"appattest\0\0\0\0\0\0\0";
/// Certificates are dated back by this, in seconds. Observed in all known samples.
const DATED_BACK_SECONDS: i64 = 24 * 60 * 60;
/// Longest time a claim can be remembered, seconds: 30 days, by the contract. Used evidence that is good for longer can
/// then do no more than repeat the submission that it is about.
const MAX_CLAIM_SECONDS: i64 = 30 * 86_400;

/// The parts of an attestation whose shape was checked, and nothing else.
struct Attestation<'a> {
    leaf: Certificate<'a>,
    intermediate: Certificate<'a>,
    auth_data_bytes: &'a [u8],
    auth_data: AuthData<'a>,
    credential: Credential<'a>,
    receipt: Option<Receipt<'a>>,
}

pub(super) fn judge(
    evidence: &Evidence,
    expected: &Expected<'_>,
    config: &AppAttestConfig,
    services: &dyn Services,
) -> Result<Acceptance, Rejection> {
    let identity = |code, detail| Rejection::new(code, Stage::Identity, detail);
    let (anchors, now) = (services.anchors(ANCHORS), services.now());
    if anchors.is_empty() {
        return Err(misconfigured("the trust anchor set apple-app-attest is empty"));
    }
    let attestation = Attestation::parse(&evidence.token, config)?;
    config.challenge.check(expected.submission)?;
    // Step 1.
    attestation.verify_chain(&anchors, now)?;
    // Steps 2 to 4.
    attestation.check_nonce(&expected.nonce(attestation.auth_data_bytes))?;
    // Step 5.
    let key_id = evidence.key_id.as_deref().unwrap_or_default();
    let point = attestation.point()?;
    if !bool::from(Sha256::digest(point).as_slice().ct_eq(key_id)) {
        return Err(identity("aa-key-id", "the key id is not that of the attested key"));
    }
    // Step 6.
    expected.check_app(attestation.auth_data.rp_id_hash)?;
    // Step 7.
    if attestation.auth_data.counter != 0 {
        return Err(Rejection::new("aa-counter", Stage::State, "the attested key was used before"));
    }
    // Step 8.
    let environment = match attestation.credential.aaguid {
        PRODUCTION => Some(Environment::Production),
        DEVELOPMENT => Some(Environment::Development),
        _ => None,
    }
    .filter(|environment| config.environments.contains(environment))
    .ok_or_else(|| identity("aa-environment", "the key's environment is not one of environments"))?;
    // Step 9, and ours: the key in the authenticator data is the certified one.
    if !bool::from(attestation.credential.id.ct_eq(key_id)) {
        return Err(identity("aa-credential-id", "the credential id is not the key id"));
    }
    if !auth_data::is_cose_key(&attestation.credential.key, point) {
        return Err(identity("aa-cose-key", "the authenticator data is about another key than the certificate"));
    }
    // Of iOS 27.
    check_extensions(attestation.credential.extensions, config)?;
    let created = attestation.check_receipt(expected, services, now)?;
    let good_until = attestation.check_age(created, config, now)?;

    let commit = match config.mode {
        Mode::OneShot => Commit::ClaimOnce {
            space: CLAIM_SPACE.to_owned(),
            // Not of the certificate: the phone holds it before we do, and an ECDSA signature can be changed into
            // another that verifies as well, so that one attestation would pass as two. Nor the key's id, by which
            // Apple and the phone know it: what is remembered about people who published should lead to no phone.
            digest: Sha256::digest(attestation.leaf.spki).into(),
            expires_at: good_until
                .saturating_add(i64::from(config.skew_seconds))
                .min(now.saturating_add(MAX_CLAIM_SECONDS)),
        },
        Mode::Registered => {
            if services.find_key(&expected.submission.app, key_id).is_some() {
                return Err(Rejection::new("key-exists", Stage::State, "the key is registered already"));
            }
            Commit::StoreKey(AttestedKey {
                key_id: key_id.to_vec(),
                app: expected.submission.app.clone(),
                public_key: point.to_vec(),
                development: environment == Environment::Development,
                counter: 0,
                attested_at: now,
            })
        }
    };
    Ok(Acceptance {
        score: config.score,
        signals: signals(environment, attestation.credential.extensions),
        commits: vec![commit],
    })
}

impl<'a> Attestation<'a> {
    fn parse(bytes: &'a [u8], config: &AppAttestConfig) -> Result<Self, Rejection> {
        let malformed = |detail| Rejection::new("aa-malformed", Stage::Parse, detail);
        if bytes.len() > MAX_BYTES {
            return Err(malformed("the attestation is larger than 16 KiB"));
        }
        let object = Value::parse(bytes).map_err(|_| malformed("the attestation is not one strict CBOR value"))?;
        let format = object.get("fmt").and_then(Value::as_text).ok_or_else(|| malformed("there is no format"))?;
        if format != "apple-appattest" {
            return Err(Rejection::new("aa-fmt", Stage::Parse, "the format is not apple-appattest"));
        }
        let statement = object.get("attStmt").ok_or_else(|| malformed("there is no statement"))?;
        let certificate = |value: &Value<'a>| {
            value
                .as_bytes()
                .and_then(|der| Certificate::parse(der).ok())
                .ok_or_else(|| malformed("a certificate cannot be read"))
        };
        let Some(Value::Array(chain)) = statement.get("x5c") else {
            return Err(malformed("there are no certificates"));
        };
        let [leaf, intermediate] = chain.as_slice() else { return Err(malformed("there are not two certificates")) };
        let (leaf, intermediate) = (certificate(leaf)?, certificate(intermediate)?);
        let auth_data_bytes = object
            .get("authData")
            .and_then(Value::as_bytes)
            .ok_or_else(|| malformed("there is no authenticator data"))?;
        let bad_auth_data = |error: auth_data::Malformed| Rejection::new("aa-authdata", Stage::Parse, error.0);
        let auth_data = AuthData::parse(auth_data_bytes).map_err(bad_auth_data)?;
        let credential = auth_data.credential().map_err(bad_auth_data)?;
        let receipt = match config.receipt {
            ReceiptRule::Required => {
                Some(Receipt::parse(statement.get("receipt").and_then(Value::as_bytes).unwrap_or_default())?)
            }
            ReceiptRule::Ignored => None,
        };
        Ok(Self { leaf, intermediate, auth_data_bytes, auth_data, credential, receipt })
    }

    /// The chain has one shape: root, one authority that may issue only end entities, key. Any extended key usage is
    /// fine: Apple's differs from year to year.
    fn verify_chain(&self, anchors: &[Vec<u8>], now: i64) -> Result<(), Rejection> {
        let bad = |detail| Rejection::new("aa-chain", Stage::Chain, detail);
        let known = [x509::BASIC_CONSTRAINTS, x509::KEY_USAGE, x509::EXTENDED_KEY_USAGE];
        if self.leaf.has_unknown_critical(&known) || self.intermediate.has_unknown_critical(&known) {
            return Err(bad("a certificate has an unknown critical extension"));
        }
        let authority = Some(BasicConstraints { ca: true, path_length: Some(0) });
        if self.intermediate.basic_constraints() != Ok(authority) || !self.intermediate.may_issue(0) {
            return Err(bad("the second certificate is not that of an authority for end entities"));
        }
        if !self.leaf.basic_constraints().is_ok_and(|found| !found.unwrap_or_default().ca) {
            return Err(bad("the key's certificate is that of an authority"));
        }
        self.leaf
            .verify_issued_by::<EcKey>(&self.intermediate)
            .map_err(|_| bad("the second certificate did not issue the first"))?;
        let anchor = x509::find_anchor::<EcKey>(anchors, &self.intermediate)
            .filter(|anchor| anchor.may_issue(1))
            .ok_or_else(|| bad("the certificates lead to no trust anchor"))?;
        if ![&self.leaf, &self.intermediate, &anchor].iter().all(|certificate| certificate.is_valid_at(now)) {
            return Err(Rejection::new("aa-chain-expired", Stage::Chain, "a certificate is not valid now"));
        }
        Ok(())
    }

    fn check_nonce(&self, expected: &[u8; 32]) -> Result<(), Rejection> {
        let nonce = self
            .leaf
            .extension(NONCE)
            .and_then(|value| value.strip_prefix(&NONCE_PREFIX))
            .filter(|nonce| nonce.len() == expected.len())
            .ok_or_else(|| Rejection::new("aa-nonce-missing", Stage::Binding, "the certificate holds no nonce"))?;
        if !bool::from(nonce.ct_eq(expected)) {
            return Err(Rejection::new("binding-mismatch", Stage::Binding, "the key attests another submission"));
        }
        Ok(())
    }

    /// The certified key, a SEC1 point on P-256.
    fn point(&self) -> Result<&'a [u8; 65], Rejection> {
        let point = match self.leaf.public_key() {
            Ok(EcKey::P256(_)) => self.leaf.public_key_bytes().ok().and_then(|bytes| bytes.try_into().ok()),
            Ok(EcKey::P384(_)) | Err(_) => None,
        };
        point.ok_or_else(|| Rejection::new("aa-key-id", Stage::Identity, "the attested key is not on P-256"))
    }

    /// When the receipt says that the attestation was made; `None` when receipts are ignored.
    fn check_receipt(
        &self,
        expected: &Expected<'_>,
        services: &dyn Services,
        now: i64,
    ) -> Result<Option<i64>, Rejection> {
        let Some(receipt) = &self.receipt else { return Ok(None) };
        let anchors = services.anchors(RECEIPT_ANCHORS);
        if anchors.is_empty() {
            return Err(misconfigured("the trust anchor set apple-root-g3 is empty"));
        }
        receipt.verify(&anchors, now)?;
        let fields = receipt.fields()?;
        if fields.app_id != expected.app_id.as_bytes() {
            return Err(Rejection::new("aa-receipt-app", Stage::Identity, "the receipt is of another app or team"));
        }
        if !Certificate::parse(fields.certificate).is_ok_and(|certificate| certificate.spki == self.leaf.spki) {
            return Err(Rejection::new("aa-receipt-key", Stage::Identity, "the receipt is of another key"));
        }
        // Ours: the receipt was made for this submission.
        if !bool::from(fields.client_data_hash.ct_eq(expected.client_data_hash)) {
            return Err(Rejection::new("aa-receipt-binding", Stage::Binding, "the receipt is of another submission"));
        }
        Ok(Some(fields.created))
    }

    /// Refuses what is too old or too new; otherwise unix seconds until which it would be accepted.
    fn check_age(&self, receipt: Option<i64>, config: &AppAttestConfig, now: i64) -> Result<i64, Rejection> {
        let created = match config.freshness {
            Freshness::Receipt => {
                receipt.ok_or_else(|| misconfigured("freshness is receipt but the receipt is ignored"))?
            }
            Freshness::CertificateDates => self.leaf.not_before.saturating_add(DATED_BACK_SECONDS),
            Freshness::CertificateValidity => return Ok(self.leaf.not_after),
        };
        let good_until = created.saturating_add(i64::from(config.max_age_seconds));
        if now > good_until {
            return Err(Rejection::new("stale", Stage::Freshness, "the attestation is older than max_age_seconds"));
        }
        if created > now.saturating_add(i64::from(config.skew_seconds)) {
            return Err(Rejection::new(
                "in-future",
                Stage::Freshness,
                "the attestation is newer than skew_seconds allows",
            ));
        }
        Ok(good_until)
    }
}
