//! What a phone checks of an export file before it takes its keys: both members are there, the header is known, the
//! signature over the whole `export.bin` is that of the known key, and the content makes sense.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use std::fmt;
use std::io::{Cursor, Read};
use tocsin_domain::export::file::SIGNATURE_ALGORITHM;
use tocsin_domain::export::read::{
    ExportFile, FileSignature, ReadError, SanityReport, check_sanity, parse_export, parse_signatures,
};
use zip::ZipArchive;

/// Largest zip that is looked into, in bytes.
pub const MAX_ZIP_BYTES: usize = 256 * 1024 * 1024;
/// Largest `export.bin`: ten million keys.
const MAX_BIN_BYTES: u64 = 512 * 1024 * 1024;
/// Largest `export.sig`: ten signatures take about a kibibyte.
const MAX_SIG_BYTES: u64 = 64 * 1024;

/// The two members of an export file.
#[derive(Clone, PartialEq, Eq)]
pub struct Members {
    /// `export.bin`.
    pub bin: Vec<u8>,
    /// `export.sig`.
    pub sig: Vec<u8>,
}

impl fmt::Debug for Members {
    /// Keys are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("bin", &self.bin.len()).field("sig", &self.sig.len()).finish()
    }
}

/// Why a phone does not take a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a zip archive, or a damaged one.
    Zip(String),
    /// A member is not there.
    Missing(&'static str),
    /// A member is larger than any phone would read.
    TooLarge(&'static str),
    /// A member cannot be read.
    Content(ReadError),
    /// `export.sig` holds no signature.
    NotSigned,
    /// A signature is not about this file: its number in the batch differs.
    OtherBatch,
    /// No signature says that it was made with ECDSA on P-256 and SHA-256.
    UnknownAlgorithm,
    /// No signature was made with the key over exactly this `export.bin`.
    WrongSignature,
    /// A signer of `export.sig` is not among those that `export.bin` names.
    UnknownSigner,
    /// The content makes no sense.
    Nonsense(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zip(error) => write!(f, "this is no zip archive that can be read: {error}"),
            Self::Missing(name) => write!(f, "the archive has no {name}"),
            Self::TooLarge(name) => write!(f, "{name} is larger than any phone would read"),
            Self::Content(error) => error.fmt(f),
            Self::NotSigned => f.write_str("export.sig holds no signature"),
            Self::OtherBatch => f.write_str("export.sig and export.bin disagree about the file's number in its batch"),
            Self::UnknownAlgorithm => {
                write!(f, "no signature is of the algorithm that phones know ({SIGNATURE_ALGORITHM})")
            }
            Self::WrongSignature => {
                f.write_str("no signature fits: the file was signed with another key, or changed after it was signed")
            }
            Self::UnknownSigner => f.write_str("export.sig names a signer that export.bin does not name"),
            Self::Nonsense(faults) => write!(f, "the content makes no sense: {faults}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::Content(error)
    }
}

/// Takes the two members out of a zip archive. Others are ignored.
pub fn unzip(bytes: &[u8]) -> Result<Members, Refusal> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| Refusal::Zip(error.to_string()))?;
    Ok(Members {
        bin: member(&mut archive, "export.bin", MAX_BIN_BYTES)?,
        sig: member(&mut archive, "export.sig", MAX_SIG_BYTES)?,
    })
}

fn member(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &'static str, limit: u64) -> Result<Vec<u8>, Refusal> {
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => return Err(Refusal::Missing(name)),
        Err(error) => return Err(Refusal::Zip(error.to_string())),
    };
    let mut content = Vec::new();
    // Sizes in the archive may lie, so it is what comes out that is counted.
    file.take(limit + 1).read_to_end(&mut content).map_err(|error| Refusal::Zip(error.to_string()))?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= limit) {
        Ok(content)
    } else {
        Err(Refusal::TooLarge(name))
    }
}

/// An export file that could be read. Nothing is known about its signatures yet.
#[derive(Clone, Debug)]
pub struct Inspected<'a> {
    bin: &'a [u8],
    /// What `export.bin` holds.
    pub file: ExportFile<'a>,
    /// What `export.sig` holds.
    pub signatures: Vec<FileSignature>,
    /// How much of the content is odd.
    pub sanity: SanityReport,
}

/// Reads both members.
pub fn inspect(members: &Members) -> Result<Inspected<'_>, Refusal> {
    let file = parse_export(&members.bin)?;
    let signatures = parse_signatures(&members.sig)?;
    let sanity = check_sanity(&file);
    Ok(Inspected { bin: &members.bin, file, signatures, sanity })
}

impl Inspected<'_> {
    /// Decides as a phone that knows the public key (an uncompressed P-256 point). Returns the signature that fits.
    pub fn verify(&self, public_key: &[u8]) -> Result<&FileSignature, Refusal> {
        let ExportFile { batch_num, batch_size, signature_infos, .. } = &self.file;
        if self.signatures.is_empty() {
            return Err(Refusal::NotSigned);
        }
        let is_of_this_file =
            |signature: &FileSignature| signature.batch_num == *batch_num && signature.batch_size == *batch_size;
        if !self.signatures.iter().all(is_of_this_file) {
            return Err(Refusal::OtherBatch);
        }
        let mut known = self.signatures.iter().filter(|one| one.signer.signature_algorithm == SIGNATURE_ALGORITHM);
        if known.clone().next().is_none() {
            return Err(Refusal::UnknownAlgorithm);
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key);
        let fits = known.find(|one| key.verify(self.bin, &one.signature).is_ok()).ok_or(Refusal::WrongSignature)?;
        if !signature_infos.contains(&fits.signer) {
            return Err(Refusal::UnknownSigner);
        }
        match faults(&self.sanity, &self.file) {
            faults if faults.is_empty() => Ok(fits),
            faults => Err(Refusal::Nonsense(faults.join(", "))),
        }
    }

    /// What is odd, though a phone takes the file.
    pub fn warnings(&self) -> Vec<String> {
        let SanityReport { bad_length: _, too_old, in_future, bad_period: _, bad_onset, repeated, bad_window: _ } =
            self.sanity;
        texts(&[
            (too_old, "start more than 14 days before the file's end"),
            (in_future, "start after the file's end"),
            (bad_onset, "are more than 14 days away from symptom onset"),
            (repeated, "occur twice"),
        ])
    }
}

fn faults(sanity: &SanityReport, file: &ExportFile<'_>) -> Vec<String> {
    let SanityReport { bad_length, too_old: _, in_future: _, bad_period, bad_onset: _, repeated: _, bad_window } =
        *sanity;
    let mut faults = texts(&[
        (bad_length, "do not have 16 bytes"),
        (bad_period, "are valid for less than 1 or more than 144 intervals"),
    ]);
    if bad_window {
        faults.push("the file ends before it starts".to_owned());
    }
    if !(1..=file.batch_size).contains(&file.batch_num) {
        faults.push(format!("it is number {} of {}", file.batch_num, file.batch_size));
    }
    faults
}

fn texts(counts: &[(usize, &str)]) -> Vec<String> {
    counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} keys {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{generate, public_key_from_pem};
    use p256::ecdsa::signature::Signer as _;
    use p256::ecdsa::{DerSignature, SigningKey};
    use tocsin_domain::export::file::{FileEncoder, FileInfo, KeyList, KeyMetadata, Signer, encode_signatures};
    use tocsin_domain::export::zip::export_zip;
    use tocsin_domain::exposure::ReportType;
    use tocsin_domain::interval::Timestamp;

    const END: i64 = 1_600_041_600;

    fn signer() -> Signer {
        Signer {
            verification_key_version: "v1".to_owned(),
            verification_key_id: "310".to_owned(),
            signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
        }
    }

    fn metadata() -> KeyMetadata {
        KeyMetadata {
            transmission_risk: 2,
            rolling_start: i32::try_from(END / 600 - 144).expect("small"),
            rolling_period: 144,
            report_type: Some(ReportType::ConfirmedTest),
            days_since_onset: Some(0),
        }
    }

    /// The members of a file with one key, before they are zipped.
    fn members(key: &SigningKey, metadata: &KeyMetadata) -> Members {
        let (signers, end) = ([signer()], Timestamp::from_unix(END));
        let info = FileInfo { start: end.plus_seconds(-3600), end, region: "US", signers: &signers };
        let mut encoder = FileEncoder::new(&info, 1);
        encoder.push(KeyList::New, &[7; 16], metadata);
        let bin = encoder.finish().0;
        let signature: DerSignature = key.sign(&bin);
        let sig = encode_signatures([(&signers[0], signature.as_bytes())]);
        Members { bin, sig }
    }

    fn point(key: &SigningKey) -> Vec<u8> {
        key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }

    fn verify(members: &Members, key: &[u8]) -> Result<FileSignature, Refusal> {
        inspect(members)?.verify(key).cloned()
    }

    #[test]
    fn file_of_our_encoder_is_unzipped_and_accepted() {
        let (key, _) = generate();
        let made = members(&key, &metadata());
        let zip = export_zip(&made.bin, &[], &made.sig).expect("small");
        let read = unzip(&zip).expect("valid");
        assert_eq!(read, made);
        assert_eq!(verify(&read, &point(&key)).map(|fits| fits.signer), Ok(signer()));
        assert!(inspect(&read).expect("valid").warnings().is_empty());
    }

    #[test]
    fn another_key_or_any_changed_byte_is_refused() {
        let (key, _) = generate();
        let good = members(&key, &metadata());
        assert_eq!(verify(&good, &point(&generate().0)), Err(Refusal::WrongSignature));
        for byte in 0..good.bin.len() {
            let mut changed = good.clone();
            changed.bin[byte] ^= 1;
            assert!(verify(&changed, &point(&key)).is_err(), "byte {byte}");
        }
        assert_eq!(verify(&Members { sig: Vec::new(), ..good.clone() }, &point(&key)), Err(Refusal::NotSigned));
    }

    #[test]
    fn signature_of_another_algorithm_or_signer_is_refused() {
        let (key, _) = generate();
        let good = members(&key, &metadata());
        let signature: DerSignature = key.sign(&good.bin);
        let signed_by = |signer: &Signer| {
            let sig = encode_signatures([(signer, signature.as_bytes())]);
            verify(&Members { bin: good.bin.clone(), sig }, &point(&key)).map(|_| ())
        };
        assert_eq!(signed_by(&signer()), Ok(()));
        let other = Signer { signature_algorithm: "1.2.840.10045.4.3.4".to_owned(), ..signer() };
        assert_eq!(signed_by(&other), Err(Refusal::UnknownAlgorithm));
        let other = Signer { verification_key_id: "311".to_owned(), ..signer() };
        assert_eq!(signed_by(&other), Err(Refusal::UnknownSigner));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_what_is_odd_is_told() {
        let (key, _) = generate();
        let bad = members(&key, &KeyMetadata { rolling_period: 145, ..metadata() });
        assert!(
            matches!(verify(&bad, &point(&key)), Err(Refusal::Nonsense(text)) if text.contains("1 keys are valid"))
        );
        let old = KeyMetadata { rolling_start: metadata().rolling_start - 14 * 144, ..metadata() };
        let old = members(&key, &old);
        assert!(verify(&old, &point(&key)).is_ok());
        assert_eq!(inspect(&old).expect("valid").warnings(), ["1 keys start more than 14 days before the file's end"]);
    }

    #[test]
    fn archives_without_both_members_are_refused() {
        use std::io::Write;
        let zip = |names: &[&str], bytes: usize| {
            let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
            for name in names {
                writer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("started");
                writer.write_all(&vec![0; bytes]).expect("written");
            }
            writer.finish().expect("finished").into_inner()
        };
        assert_eq!(unzip(&zip(&["export.sig"], 1)), Err(Refusal::Missing("export.bin")));
        assert_eq!(unzip(&zip(&["export.bin", "x"], 1)), Err(Refusal::Missing("export.sig")));
        assert_eq!(unzip(&zip(&["export.bin", "export.sig"], 65_537)), Err(Refusal::TooLarge("export.sig")));
        assert!(matches!(unzip(b"PK no"), Err(Refusal::Zip(_))));
        assert!(unzip(&zip(&["x", "export.sig", "export.bin"], 5)).is_ok());
    }

    #[test]
    fn pem_of_a_generated_key_has_the_same_point() {
        use p256::pkcs8::{EncodePublicKey, LineEnding};
        let (key, _) = generate();
        let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).expect("encodes");
        assert_eq!(public_key_from_pem(&pem), Some(point(&key)));
    }
}
