//! The two members of an export file: `export.bin`, a header and a `TemporaryExposureKeyExport`, and `export.sig`, a
//! `TEKSignatureList`. Written field by field exactly as the reference server does, whose presence rules phones have met
//! since 2020: risk always, period unless 144, start unless 0, report type and onset only when known.

use super::deflate::RecordRun;
use crate::exposure::ReportType;
use crate::interval::Timestamp;
use crate::protobuf::{put_bytes, put_fixed64, put_int32, put_sint32, put_uint};

/// The first 16 bytes of `export.bin`.
pub const HEADER: &[u8; 16] = b"EK Export v1    ";

/// ECDSA on P-256 with SHA-256, as an object identifier.
pub const SIGNATURE_ALGORITHM: &str = "1.2.840.10045.4.3.2";

/// Always 1 of 1, even in a split batch, because phones would wait for the other parts.
pub const BATCH_NUMBER: i32 = 1;
/// See [`BATCH_NUMBER`].
pub const BATCH_SIZE: i32 = 1;

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo<'a> {
    /// Start of the batch.
    pub start: Timestamp,
    /// End of the batch, plus the file's number in seconds when the batch has several.
    pub end: Timestamp,
    /// Output region.
    pub region: &'a str,
    /// Who signs, newest first.
    pub signers: &'a [Signer],
}

/// A `SignatureInfo`: how phones know the key that signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Empty: not written.
    pub verification_key_version: String,
    /// Empty: not written.
    pub verification_key_id: String,
    /// Object identifier; [`SIGNATURE_ALGORITHM`] in files of this server.
    pub signature_algorithm: String,
}

/// What a file says about a key besides its bytes. Numbers are as on the wire; ours are in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMetadata {
    /// 0 to 8.
    pub transmission_risk: i32,
    /// First interval of validity.
    pub rolling_start: i32,
    /// Number of intervals, 1 to 144.
    pub rolling_period: i32,
    /// `None`: not written.
    pub report_type: Option<ReportType>,
    /// `None`: not written.
    pub days_since_onset: Option<i32>,
}

/// Which of a file's two lists a key goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyList {
    /// `keys`.
    New,
    /// `revised_keys`.
    Revised,
}

/// Writes an `export.bin`, keys in the order given.
#[derive(Debug)]
pub struct FileEncoder {
    bytes: Vec<u8>,
    runs: Vec<RecordRun>,
    template: Option<Template>,
}

/// The record of the key before, which most likely is the next one's but for the key.
#[derive(Debug)]
struct Template {
    list: KeyList,
    metadata: KeyMetadata,
    key_length: usize,
    /// The whole record.
    record: Vec<u8>,
    /// Where the key is in it.
    key_offset: usize,
}

impl FileEncoder {
    /// Starts a file that will hold about `keys` keys.
    pub fn new(info: &FileInfo<'_>, keys: usize) -> Self {
        let mut bytes = Vec::with_capacity(keys.saturating_mul(34).saturating_add(256));
        bytes.extend_from_slice(HEADER);
        put_fixed64(&mut bytes, 1, info.start.unix().cast_unsigned());
        put_fixed64(&mut bytes, 2, info.end.unix().cast_unsigned());
        put_bytes(&mut bytes, 3, info.region.as_bytes());
        put_int32(&mut bytes, 4, BATCH_NUMBER);
        put_int32(&mut bytes, 5, BATCH_SIZE);
        for signer in info.signers {
            put_bytes(&mut bytes, 6, &signer_message(signer));
        }
        Self { bytes, runs: Vec::new(), template: None }
    }

    /// Adds a key. All new keys must come before all revised ones.
    pub fn push(&mut self, list: KeyList, key: &[u8], metadata: &KeyMetadata) {
        let fits = |template: &Template| {
            template.metadata == *metadata && template.list == list && template.key_length == key.len()
        };
        let template = match self.template.take() {
            Some(template) if fits(&template) => template,
            other => {
                let template = Template::new(list, key, metadata, other.map(|old| old.record).unwrap_or_default());
                self.begin_run(template.record.len());
                template
            }
        };
        let key_at = self.bytes.len() + template.key_offset;
        self.bytes.extend_from_slice(&template.record);
        // Writing the record whole and the key over it is twice as fast as writing three pieces.
        self.bytes[key_at..key_at + key.len()].copy_from_slice(key);
        if let Some(run) = self.runs.last_mut() {
            run.count += 1;
        }
        self.template = Some(template);
    }

    /// Records of the same length make one run, whatever they hold.
    fn begin_run(&mut self, length: usize) {
        if self.runs.last().is_none_or(|run| run.length != length) {
            self.runs.push(RecordRun { start: self.bytes.len(), length, count: 0 });
        }
    }

    /// The file's bytes, and where its records are.
    pub fn finish(self) -> (Vec<u8>, Vec<RecordRun>) {
        (self.bytes, self.runs)
    }
}

impl Template {
    /// `record` is a buffer to use again.
    fn new(list: KeyList, key: &[u8], metadata: &KeyMetadata, mut record: Vec<u8>) -> Self {
        record.clear();
        put_bytes(&mut record, 1, key);
        put_metadata(&mut record, metadata);

        let number: u8 = match list {
            KeyList::New => 7,
            KeyList::Revised => 8,
        };
        // Tag and length of the record, then tag and length of the key.
        let before_key = [varint_length(record.len()) + 1, varint_length(key.len()) + 1];
        let message_length = record.len();
        record.resize(message_length + before_key[0], 0);
        record.copy_within(..message_length, before_key[0]);
        record[0] = number << 3 | 2;
        let mut rest = message_length;
        for byte in &mut record[1..before_key[0]] {
            *byte = (rest & 0x7f) as u8 | if rest > 0x7f { 0x80 } else { 0 };
            rest >>= 7;
        }
        Self { list, metadata: *metadata, key_length: key.len(), record, key_offset: before_key.iter().sum() }
    }
}

/// Bytes of a varint.
fn varint_length(value: usize) -> usize {
    (value.max(1).ilog2() / 7 + 1) as usize
}

/// Everything of a `TemporaryExposureKey` but the key.
fn put_metadata(message: &mut Vec<u8>, metadata: &KeyMetadata) {
    let KeyMetadata { transmission_risk, rolling_start, rolling_period, report_type, days_since_onset } = *metadata;
    put_int32(message, 2, transmission_risk);
    if rolling_start != 0 {
        put_int32(message, 3, rolling_start);
    }
    if rolling_period != 144 {
        put_int32(message, 4, rolling_period);
    }
    if let Some(report_type) = report_type {
        put_uint(message, 5, report_type.number().into());
    }
    if let Some(days) = days_since_onset {
        put_sint32(message, 6, days);
    }
}

/// Writes an `export.sig`: for each signer of the file, in the same order, its DER signature over all of `export.bin`.
pub fn encode_signatures<'a>(signatures: impl IntoIterator<Item = (&'a Signer, &'a [u8])>) -> Vec<u8> {
    let mut list = Vec::new();
    for (signer, der) in signatures {
        let mut signature = Vec::with_capacity(128);
        put_bytes(&mut signature, 1, &signer_message(signer));
        put_int32(&mut signature, 2, BATCH_NUMBER);
        put_int32(&mut signature, 3, BATCH_SIZE);
        put_bytes(&mut signature, 4, der);
        put_bytes(&mut list, 1, &signature);
    }
    list
}

fn signer_message(signer: &Signer) -> Vec<u8> {
    let Signer { verification_key_version, verification_key_id, signature_algorithm } = signer;
    let mut message = Vec::with_capacity(64);
    for (number, text) in [(3, verification_key_version), (4, verification_key_id)] {
        if !text.is_empty() {
            put_bytes(&mut message, number, text.as_bytes());
        }
    }
    put_bytes(&mut message, 5, signature_algorithm.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn signer(version: &str, id: &str) -> Signer {
        Signer {
            verification_key_version: version.into(),
            verification_key_id: id.into(),
            signature_algorithm: SIGNATURE_ALGORITHM.into(),
        }
    }

    fn metadata(
        risk: i32,
        start: i32,
        period: i32,
        report_type: Option<ReportType>,
        onset: Option<i32>,
    ) -> KeyMetadata {
        KeyMetadata {
            transmission_risk: risk,
            rolling_start: start,
            rolling_period: period,
            report_type,
            days_since_onset: onset,
        }
    }

    /// From the reference server's unit test.
    #[test]
    fn reference_vector_is_reproduced_byte_for_byte() {
        let signers = [signer("1", "310")];
        let start = Timestamp::from_unix(1_588_291_200);
        let info = FileInfo { start, end: start.plus_seconds(3600), region: "US", signers: &signers };
        let mut encoder = FileEncoder::new(&info, 4);
        let keys = [
            (&b"ABC"[..], metadata(8, 18, 0, Some(ReportType::ConfirmedClinicalDiagnosis), Some(0))),
            (b"DEF", metadata(1, 118, 1, Some(ReportType::ConfirmedTest), Some(-1))),
            (b"GHI", metadata(5, 118, 1, Some(ReportType::SelfReport), Some(-1))),
        ];
        for (key, metadata) in &keys {
            encoder.push(KeyList::New, key, metadata);
        }
        encoder.push(KeyList::Revised, b"123", &metadata(4, 100, 144, Some(ReportType::Revoked), None));
        let (bytes, _) = encoder.finish();
        assert_eq!(
            bytes,
            hex(
                "454b204578706f727420763120202020098066ab5e00000000119074ab5e000000001a02555320012801321d1a01312203333130\
                 2a13312e322e3834302e31303034352e342e332e323a0f0a03414243100818122000280230003a0f0a0344454610011876200128\
                 0130013a0f0a0347484910051876200128033001420b0a03313233100418642805"
            )
        );
        assert_eq!(crate::base64::encode(&Sha256::digest(&bytes)), "ho9AqUPleXoGs4wc5PEUU7MvbToDryEnQ+rJ8Fb1Hvc=");
    }

    /// From the reference server's example files.
    #[test]
    fn published_example_is_reproduced_byte_for_byte() {
        let signers = [signer("1", "some_id")];
        let info = FileInfo {
            start: Timestamp::from_unix(1_590_159_600),
            end: Timestamp::from_unix(1_590_246_000),
            region: "US",
            signers: &signers,
        };
        let mut encoder = FileEncoder::new(&info, 2);
        encoder.push(KeyList::New, &hex("172fc480e598490c34177604339b1543"), &metadata(8, 2_649_980, 1, None, None));
        encoder.push(KeyList::New, &hex("2b63053ac483238de176169e861f3dcd"), &metadata(1, 2_649_866, 114, None, None));
        let (bytes, runs) = encoder.finish();
        assert_eq!(
            bytes,
            hex("454b204578706f7274207631202020200 9f0e8c75e00000000 11703ac95e00000000 1a025553 2001 2801 3221 1a0131
                 2207736f6d655f6964 2a13312e322e3834302e31303034352e342e332e32
                 3a1b 0a10172fc480e598490c34177604339b1543 1008 18fcdea101 2001
                 3a1b 0a102b63053ac483238de176169e861f3dcd 1001 188adea101 2072")
        );
        assert_eq!(Sha256::digest(&bytes)[..], hex("38edb6fc758d9ba014eb66226a9ee580201de3a985dca5467234c5f41099ad3f"));
        assert_eq!(runs, [RecordRun { start: 77, length: 29, count: 2 }]);

        let der = hex("3046022100 9eb6e9d5ad6a688fa970b0e67c0886345eefdd1819592edd84604a1ccf4d0247
                       022100 906d7fcdf211c710f84a2a7917000573bef0ef27a4974129de2876ac6819f66a");
        let sig = encode_signatures([(&signers[0], &der[..])]);
        let expect = [hex("0a710a21"), bytes[44..77].to_vec(), hex("100118012248"), der].concat();
        assert_eq!(sig.len(), 115);
        assert_eq!(sig, expect);
    }

    #[test]
    fn zero_risk_and_zero_onset_are_written_and_a_full_day_is_not() {
        let info = FileInfo { start: Timestamp::default(), end: Timestamp::default(), region: "", signers: &[] };
        let (empty, _) = FileEncoder::new(&info, 0).finish();
        let mut encoder = FileEncoder::new(&info, 1);
        encoder.push(KeyList::New, &[9; 16], &metadata(0, 0, 144, None, Some(0)));
        let (bytes, _) = encoder.finish();
        assert_eq!(bytes[empty.len()..], [&[0x3a, 22, 0x0a, 0x10][..], &[9; 16], &[0x10, 0, 0x30, 0]].concat());
        // The region is written even when it is empty.
        assert_eq!(empty[34..], [0x1a, 0, 0x20, 1, 0x28, 1]);
    }

    #[test]
    fn without_signers_the_signature_list_is_empty() {
        assert!(encode_signatures(std::iter::empty()).is_empty());
    }

    #[test]
    fn runs_cover_the_records_of_both_lists() {
        let info = FileInfo { start: Timestamp::default(), end: Timestamp::default(), region: "", signers: &[] };
        let mut encoder = FileEncoder::new(&info, 4);
        for onset in [None, Some(1), Some(2)] {
            encoder.push(KeyList::New, &[1; 16], &metadata(0, 1, 144, None, onset));
        }
        encoder.push(KeyList::Revised, &[1; 16], &metadata(0, 1, 144, None, Some(2)));
        let (_, runs) = encoder.finish();
        assert_eq!(
            runs,
            [RecordRun { start: 40, length: 24, count: 1 }, RecordRun { start: 64, length: 26, count: 3 }]
        );
    }
}
