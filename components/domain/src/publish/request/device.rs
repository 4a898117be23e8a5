//! What the platform of the phone says about it, for an app's validators: an extension of v1, and in v1alpha1 what the
//! reference once checked itself.

use super::PublishRequest;
use crate::base64;
use crate::publish::transcript::transcripts;
use crate::validation::{Evidence, Transcript};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// Certificates that are looked at. Chains of attestation have three to six.
const MAX_CERTIFICATES: usize = 16;
/// Longest id of a device's key and longest challenge, in bytes.
const MAX_ID_BYTES: usize = 1024;

/// Evidence as sent. Fields that were not sent are empty.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
pub struct DeviceEvidence<'a> {
    /// `android` or `ios`, in any case; says how the payload was made when `method` does not.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub platform: Cow<'a, str>,
    /// How the payload was made, such as `app-attest`.
    #[serde(rename = "deviceVerificationMethod", skip_serializing_if = "str::is_empty")]
    pub method: Cow<'a, str>,
    /// What the platform gave the app; base64 if it is binary.
    #[serde(rename = "deviceVerificationPayload", skip_serializing_if = "str::is_empty")]
    pub payload: Cow<'a, str>,
    /// Id of the device's key, base64.
    #[serde(rename = "deviceKeyId", skip_serializing_if = "str::is_empty")]
    pub key_id: Cow<'a, str>,
    /// Certificates in DER form and base64, leaf first.
    #[serde(rename = "deviceCertificates", skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Cow<'a, str>>,
    /// The server's challenge that the payload answers, base64.
    #[serde(rename = "deviceChallenge", skip_serializing_if = "str::is_empty")]
    pub challenge: Cow<'a, str>,
}

impl fmt::Debug for DeviceEvidence<'_> {
    /// Shows none of it: it identifies a device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceEvidence").finish_non_exhaustive()
    }
}

/// Evidence cannot be read; the text names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceError(pub String);

/// Evidence that was read, and what it can be bound to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReadEvidence {
    /// What the phone sent; `None` when it sent nothing.
    pub evidence: Option<Evidence>,
    /// The challenge it answers.
    pub challenge: Option<Vec<u8>>,
    /// Hashes of the request, for the evidence to be about it.
    pub transcripts: Vec<Transcript>,
}

impl DeviceEvidence<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> DeviceEvidence<'static> {
        let Self { platform, method, payload, key_id, certificates, challenge } = self;
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        DeviceEvidence {
            platform: own(platform),
            method: own(method),
            payload: own(payload),
            key_id: own(key_id),
            certificates: certificates.into_iter().map(own).collect(),
            challenge: own(challenge),
        }
    }

    /// By its name, or else what the reference took from that platform.
    fn method(&self) -> Result<String, EvidenceError> {
        if !self.method.is_empty() {
            return Ok(self.method.clone().into_owned());
        }
        match self.platform.to_lowercase().as_str() {
            "android" => Ok("safetynet".to_owned()),
            "ios" => Ok("device-check".to_owned()),
            _ => Err(EvidenceError(
                "deviceVerificationMethod is missing: it says how deviceVerificationPayload was made".to_owned(),
            )),
        }
    }
}

impl PublishRequest<'_> {
    /// What validators are shown of the device, and what it can be bound to.
    pub fn evidence(&self) -> Result<ReadEvidence, EvidenceError> {
        let device = &self.device;
        let challenge = optional_bytes("deviceChallenge", &device.challenge)?;
        let sent = !device.payload.is_empty() || !device.certificates.is_empty();
        let evidence = if sent {
            if device.certificates.len() > MAX_CERTIFICATES {
                return Err(EvidenceError(format!("deviceCertificates has more than {MAX_CERTIFICATES} entries")));
            }
            let chain =
                device.certificates.iter().map(|text| bytes("deviceCertificates", text)).collect::<Result<_, _>>();
            Some(Evidence {
                method: device.method()?,
                token: device.payload.as_bytes().to_vec(),
                chain: chain?,
                key_id: optional_bytes("deviceKeyId", &device.key_id)?,
            })
        } else {
            None
        };
        let method = evidence.as_ref().map(|evidence| evidence.method.as_str());
        let transcripts = transcripts(self, method, challenge.as_deref());
        Ok(ReadEvidence { evidence, challenge, transcripts })
    }
}

fn optional_bytes(field: &str, text: &str) -> Result<Option<Vec<u8>>, EvidenceError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = bytes(field, text)?;
    if bytes.len() > MAX_ID_BYTES {
        return Err(EvidenceError(format!("{field} is longer than {MAX_ID_BYTES} bytes")));
    }
    Ok(Some(bytes))
}

fn bytes(field: &str, text: &str) -> Result<Vec<u8>, EvidenceError> {
    base64::decode(text).map_err(|_| EvidenceError(format!("{field} is not base64")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(device: DeviceEvidence<'static>) -> PublishRequest<'static> {
        PublishRequest { device, ..PublishRequest::default() }
    }

    #[test]
    fn nothing_sent_is_no_evidence_and_still_has_a_transcript() {
        let read = request(DeviceEvidence { platform: "ios".into(), ..DeviceEvidence::default() }).evidence();
        let read = read.expect("readable");
        assert_eq!((read.evidence, read.challenge), (None, None));
        let formats: Vec<_> = read.transcripts.iter().map(|transcript| transcript.format).collect();
        assert_eq!(formats, ["ens-v4"]);
    }

    #[test]
    fn evidence_is_what_was_sent_with_bytes_out_of_base64() {
        let device = DeviceEvidence {
            method: "android-key".into(),
            key_id: "AQI=".into(),
            certificates: vec!["Aw==".into(), "BAU=".into()],
            challenge: "Bg".into(),
            ..DeviceEvidence::default()
        };
        let read = request(device).evidence().expect("readable");
        assert_eq!(read.challenge, Some(vec![6]));
        let evidence = read.evidence.expect("evidence");
        assert_eq!(evidence.method, "android-key");
        assert_eq!((evidence.token, evidence.chain), (vec![], vec![vec![3], vec![4, 5]]));
        assert_eq!(evidence.key_id, Some(vec![1, 2]));
    }

    #[test]
    fn platform_stands_for_the_method_of_2020() {
        for (platform, method) in [("Android", "safetynet"), ("iOS", "device-check")] {
            let device =
                DeviceEvidence { platform: platform.into(), payload: "a.b.c".into(), ..DeviceEvidence::default() };
            let evidence = request(device).evidence().expect("readable").evidence.expect("evidence");
            assert_eq!((evidence.method.as_str(), evidence.token.as_slice()), (method, b"a.b.c".as_slice()));
        }
        let device = DeviceEvidence { payload: "a".into(), ..DeviceEvidence::default() };
        let error = request(device).evidence().expect_err("no way to tell");
        assert!(error.0.contains("deviceVerificationMethod"), "{error:?}");
    }

    #[test]
    fn what_is_not_base64_is_named_and_not_quoted() {
        let bad = || DeviceEvidence { payload: "x".into(), method: "m".into(), ..DeviceEvidence::default() };
        for (field, device) in [
            ("deviceKeyId", DeviceEvidence { key_id: "!secret!".into(), ..bad() }),
            ("deviceChallenge", DeviceEvidence { challenge: "!secret!".into(), ..bad() }),
            ("deviceCertificates", DeviceEvidence { certificates: vec!["!secret!".into()], ..bad() }),
        ] {
            let error = request(device).evidence().expect_err(field);
            assert_eq!(error.0, format!("{field} is not base64"));
        }
        let many = DeviceEvidence { certificates: vec!["AA==".into(); 17], ..bad() };
        assert!(request(many).evidence().is_err());
    }

    #[test]
    fn method_and_challenge_are_bound_by_the_fourth_format_only() {
        let hashes = |method: &str, challenge: &str| {
            let device = DeviceEvidence {
                method: method.to_owned().into(),
                payload: "x".into(),
                challenge: challenge.to_owned().into(),
                ..DeviceEvidence::default()
            };
            request(device).evidence().expect("readable").transcripts
        };
        let (first, second) = (hashes("app-attest", "AA=="), hashes("app-attest", "AQ=="));
        assert_eq!(first[..2], second[..2]);
        assert_ne!(first[2], second[2]);
        assert_ne!(first[2], hashes("android-key", "AA==")[2]);
    }
}
