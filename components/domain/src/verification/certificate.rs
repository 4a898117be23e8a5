//! Checks a verification certificate.
//!
//! The order of the checks is that of the reference, because the first failure is what the phone is told. One
//! difference: times are compared with a tolerance, since a health authority's clock is never exactly ours.

mod bearer;
mod claims;
mod diagnosis;
#[cfg(test)]
mod tests;

use crate::base64;
use crate::exposure::ReportType;
use crate::health_authority::{HealthAuthority, HealthAuthorityId, HealthAuthorityKey};
use crate::interval::Timestamp;
use crate::ports::health_authorities::HealthAuthorities;
use crate::ports::signature_check::SignatureCheck;
use crate::ports::verifier::{Claims, Proof, VerificationError, Verifier};
use crate::ports::{Clock, PortError};
use crate::settings::VerificationSettings;
use crate::text::shortened;
use crate::verification::hmac::{Transcript, keys_hmac};
use claims::{CertificateClaims, Header, KeyId};
use std::fmt;
use subtle::ConstantTimeEq;

/// The verifier for certificates of health authorities that the store knows.
#[derive(Clone, Copy)]
pub struct CertificateVerifier<'a> {
    /// What the operator configured.
    pub settings: &'a VerificationSettings,
    /// Whose certificates are believed.
    pub health_authorities: &'a dyn HealthAuthorities,
    /// Checks signatures.
    pub signature_check: &'a dyn SignatureCheck,
    /// The time; read once for each proof.
    pub clock: &'a dyn Clock,
}

impl Verifier for CertificateVerifier<'_> {
    fn verify(&self, proof: &Proof<'_>) -> Result<Claims, VerificationError> {
        verify(proof, self.clock.now(), self.settings, self.health_authorities, self.signature_check)
    }

    fn diagnose(&self, proof: &Proof<'_>) -> Vec<String> {
        diagnosis::diagnose(proof)
    }

    fn authenticate(&self, token: &str) -> Result<HealthAuthorityId, VerificationError> {
        bearer::authenticate(token, self.clock.now(), self.settings, self.health_authorities, self.signature_check)
    }
}

/// Why a certificate is not valid. The texts go to the phone: they quote the issuer, the audience and the report type,
/// and nothing that is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rejection {
    Segments,
    Header,
    Claims(Option<String>),
    SigningMethod,
    NoKeyId,
    UnknownIssuer(String),
    Audience { issuer: String, got: String, want: String },
    NoActiveKey,
    NotYetValid,
    Signature,
    Expired { seconds: i64 },
    IssuerNotAllowed(String),
    ReportType(String),
    HmacClaim,
    HmacSecret,
    NoKeys,
    HmacMismatch,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segments => f.write_str("token contains an invalid number of segments"),
            Self::Header => f.write_str("token header is not a base64url JSON object"),
            Self::Claims(None) => f.write_str("token claims are not a base64url JSON object"),
            Self::Claims(Some(field)) => write!(f, "token claims: invalid value of \"{field}\""),
            Self::SigningMethod => f.write_str("unsupported signing method, must be ES256"),
            Self::NoKeyId => f.write_str("missing required header field, 'kid' indicating key id"),
            Self::UnknownIssuer(issuer) => write!(f, "issuer not found: {}", shortened(issuer)),
            Self::Audience { issuer, got, want } => {
                write!(f, "audience mismatch for issuer: {} (+{}, -{want})", shortened(issuer), shortened(got))
            }
            Self::NoActiveKey => f.write_str("no active public keys for health authority"),
            Self::NotYetValid => f.write_str("not valid yet (NBF or IAT) in the future"),
            Self::Signature => f.write_str("signature is invalid"),
            Self::Expired { seconds } => write!(f, "token is expired by {seconds}s"),
            Self::IssuerNotAllowed(issuer) => {
                write!(f, "app has not authorized health authority issuer: {}", shortened(issuer))
            }
            Self::ReportType(text) => write!(f, "invalid report type: \"{}\"", shortened(text)),
            Self::HmacClaim => f.write_str("error decoding HMAC from claims"),
            Self::HmacSecret => f.write_str("error decoding HMAC secret from publish request"),
            Self::NoKeys => f.write_str("calculating expected HMAC: cannot calculate hmac on empty exposure keys"),
            Self::HmacMismatch => {
                f.write_str("HMAC mismatch, publish request does not match diagnosis verification certificate")
            }
        }
    }
}

impl From<Rejection> for VerificationError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection.to_string())
    }
}

/// The claims of `proof` if its certificate is valid at `now`, of a health authority the app may use, and covers the
/// keys.
pub fn verify(
    proof: &Proof<'_>,
    now: Timestamp,
    settings: &VerificationSettings,
    health_authorities: &dyn HealthAuthorities,
    signature_check: &dyn SignatureCheck,
) -> Result<Claims, VerificationError> {
    let token = Segments::split(proof.verification_payload)?;
    let header = base64::decode_url(token.header).map_err(|_| Rejection::Header)?;
    let header = Header::parse(&header)?;
    let claims = base64::decode_url(token.claims).map_err(|_| Rejection::Claims(None))?;
    let claims = CertificateClaims::parse(&claims)?;
    let key_id = header.check()?;
    let issuer = claims.issuer.as_ref();
    let authority =
        health_authorities.find_health_authority(issuer)?.ok_or_else(|| Rejection::UnknownIssuer(issuer.to_owned()))?;
    if claims.audience != authority.audience {
        let (issuer, got) = (issuer.to_owned(), claims.audience.to_string());
        return Err(Rejection::Audience { issuer, got, want: authority.audience }.into());
    }
    let key = active_key(&authority, &key_id, now).ok_or(Rejection::NoActiveKey)?;

    let skew = i64::from(settings.clock_skew_seconds);
    if claims.is_issued_in_the_future(now, skew) || claims.begins_in_the_future(now, skew) {
        return Err(Rejection::NotYetValid.into());
    }
    if !token.is_signed_by(key, signature_check)? {
        return Err(Rejection::Signature.into());
    }
    claims.check_expiry(now, skew)?;

    if !proof.allowed_health_authorities.contains(&authority.id) {
        return Err(Rejection::IssuerNotAllowed(issuer.to_owned()).into());
    }
    let report_type = ReportType::from_wire(&claims.report_type)
        .ok_or_else(|| Rejection::ReportType(claims.report_type.to_string()))?;
    check_hmac(&claims.tekmac, proof)?;
    let symptom_onset = Some(claims.symptom_onset_interval).filter(|onset| *onset != 0);
    Ok(Claims { health_authority: authority.id, report_type, symptom_onset })
}

/// A compact JWS, taken apart.
struct Segments<'a> {
    header: &'a str,
    claims: &'a str,
    /// Header and claims as they were signed.
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Segments<'a> {
    fn split(text: &'a str) -> Result<Self, Rejection> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Rejection::Segments)?;
        let (header, claims) = signed.split_once('.').ok_or(Rejection::Segments)?;
        if claims.contains('.') {
            return Err(Rejection::Segments);
        }
        Ok(Self { header, claims, signed, signature })
    }

    fn is_signed_by(&self, key: &HealthAuthorityKey, signature_check: &dyn SignatureCheck) -> Result<bool, PortError> {
        // An unreadable signature is checked like any other wrong one, as no signature at all.
        let signature = base64::decode_url(self.signature).unwrap_or_default();
        signature_check.verify_es256(&key.public_key, self.signed.as_bytes(), &signature)
    }
}

fn active_key<'k>(authority: &'k HealthAuthority, key_id: &KeyId, now: Timestamp) -> Option<&'k HealthAuthorityKey> {
    let KeyId::Text(version) = key_id else { return None };
    authority.keys.iter().find(|key| key.version == *version && key.is_valid_at(now))
}

fn check_hmac(tekmac: &str, proof: &Proof<'_>) -> Result<(), Rejection> {
    let expected = base64::decode(tekmac).map_err(|_| Rejection::HmacClaim)?;
    let secret = base64::decode(proof.hmac_key).map_err(|_| Rejection::HmacSecret)?;
    if proof.keys.is_empty() {
        return Err(Rejection::NoKeys);
    }
    let matches = |transcript| bool::from(keys_hmac(&secret, &proof.keys, transcript).ct_eq(expected.as_slice()));
    // The form without risks leaves them unprotected, so it counts only when there are none.
    let no_risks = || proof.keys.iter().all(|key| key.transmission_risk == 0);
    if matches(Transcript::WithRisk) || (no_risks() && matches(Transcript::WithoutRisk)) {
        Ok(())
    } else {
        Err(Rejection::HmacMismatch)
    }
}
