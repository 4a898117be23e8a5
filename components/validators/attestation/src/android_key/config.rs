//! What an operator sets for Android Key Attestation.

use serde::{Deserialize, Serialize};

use crate::challenge::ChallengeRule;
use crate::contract::Score;

/// What an operator sets for Android Key Attestation of one app. With nothing but [`Self::certificate_sha256`] set, it
/// accepts a key in secure hardware of a phone with a locked boot loader and the manufacturer's system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AndroidKeyConfig {
    /// Package name; the name of the authorized app if absent.
    pub package: Option<String>,
    /// SHA-256 of the certificates that sign the app, 64 hexadecimal digits each (colons between bytes are fine, as
    /// `apksigner` and `keytool` print them). Required: anybody can build an app of the same name.
    pub certificate_sha256: Vec<CertificateDigest>,
    /// The least level at which both the key is kept and the attestation is made.
    pub security_level: RequiredLevel,
    /// Whether the phone must have a locked boot loader and the manufacturer's system. Without, the system can say
    /// whatever it likes about the app: only for tests.
    pub require_verified_boot: bool,
    /// Whether the submission must answer a challenge of the server. Without, only the phone's clock says how old
    /// evidence is.
    pub challenge: ChallengeRule,
    /// Oldest accepted month of security fixes of Android, as the number YYYYMM.
    pub min_os_patch_yyyymm: Option<u32>,
    /// Oldest accepted day of security fixes of the vendor's part, as the number YYYYMMDD.
    pub min_vendor_patch_yyyymmdd: Option<u32>,
    /// Oldest accepted day of security fixes of the boot image, as the number YYYYMMDD.
    pub min_boot_patch_yyyymmdd: Option<u32>,
    /// How old the key may be by the phone's clock, seconds, at least 1. Also how long a used key is remembered.
    pub max_age_seconds: u32,
    /// How far the phone's clock may be ahead, seconds.
    pub skew_seconds: u32,
    /// Score of acceptances.
    pub score: Score,
}

impl Default for AndroidKeyConfig {
    fn default() -> Self {
        Self {
            package: None,
            certificate_sha256: Vec::new(),
            security_level: RequiredLevel::Tee,
            require_verified_boot: true,
            challenge: ChallengeRule::Required,
            min_os_patch_yyyymm: None,
            min_vendor_patch_yyyymmdd: None,
            min_boot_patch_yyyymmdd: None,
            max_age_seconds: 86_400,
            skew_seconds: 3_600,
            score: Score::default(),
        }
    }
}

/// The least level of security. Software alone proves nothing and cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequiredLevel {
    /// A trusted execution environment or better.
    Tee,
    /// A chip of its own.
    StrongBox,
}

/// SHA-256 of a certificate that signs an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateDigest(pub [u8; 32]);

impl TryFrom<String> for CertificateDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a certificate digest is 64 hexadecimal digits, with or without colons between bytes";
        let digits: Vec<char> =
            if text.contains(':') { text.split(':').flat_map(pair).collect() } else { text.chars().collect() };
        let nibbles: Vec<u8> = digits
            .iter()
            .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
            .collect::<Option<_>>()
            .ok_or(WRONG)?;
        let bytes: Vec<u8> =
            nibbles.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect();
        match (nibbles.len(), bytes.try_into()) {
            (64, Ok(digest)) => Ok(Self(digest)),
            _ => Err(WRONG),
        }
    }
}

impl From<CertificateDigest> for String {
    fn from(digest: CertificateDigest) -> Self {
        digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The two digits of a byte; something that is no digit when there are more or fewer.
fn pair(byte: &str) -> Vec<char> {
    if byte.len() == 2 { byte.chars().collect() } else { vec![' '] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_secure_and_names_are_checked() {
        let config: AndroidKeyConfig = serde_json::from_str("{}").expect("a config");
        assert_eq!(config, AndroidKeyConfig::default());
        assert_eq!(config.security_level, RequiredLevel::Tee);
        assert!(
            config.require_verified_boot
                && config.challenge == ChallengeRule::Required
                && config.certificate_sha256.is_empty()
        );
        assert!(serde_json::from_str::<AndroidKeyConfig>(r#"{"require_locked":false}"#).is_err());
        assert!(serde_json::from_str::<AndroidKeyConfig>(r#"{"security_level":"software"}"#).is_err());
        let config: AndroidKeyConfig = serde_json::from_str(r#"{"security_level":"strong-box"}"#).expect("a config");
        assert_eq!(config.security_level, RequiredLevel::StrongBox);
    }

    #[test]
    fn digests_are_64_digits_with_or_without_colons() {
        let read = |text: String| CertificateDigest::try_from(text).ok();
        let expected = Some(CertificateDigest([0xab; 32]));
        assert_eq!(read("ab".repeat(32)), expected);
        assert_eq!(read(vec!["AB"; 32].join(":")), expected);
        assert_eq!(expected.map(String::from), Some("ab".repeat(32)));
        for wrong in [
            String::new(),
            "ab".repeat(31),
            "ab".repeat(33),
            "a".repeat(63),
            "zz".repeat(32),
            vec!["a"; 64].join(":"),
            vec!["ab"; 31].join(":"),
            format!("{}:", vec!["ab"; 32].join(":")),
            "é".repeat(32),
        ] {
            assert_eq!(read(wrong), None);
        }
    }
}
