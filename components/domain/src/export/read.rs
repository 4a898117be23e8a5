//! Reading export files as a phone does: parse both members, then ask whether the content makes sense. Unzipping and the
//! check of the signatures are the caller's.
//!
//! Strict about the header and about what is no protobuf; tolerant of fields and enum values it does not know, and of
//! absent fields, which take the defaults of the format.

use super::file::{HEADER, KeyMetadata, Signer};
use crate::exposure::ReportType;
use crate::interval::{INTERVALS_PER_DAY, IntervalNumber, Timestamp};
use crate::protobuf::{Fields, Malformed, Value, zigzag_decode};
use std::fmt;

/// A parsed `export.bin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile<'a> {
    /// Start of the batch.
    pub start: Timestamp,
    /// End of the batch, plus the file's number when the batch has several.
    pub end: Timestamp,
    /// Region.
    pub region: String,
    /// 1 in files of this server.
    pub batch_num: i32,
    /// 1 in files of this server.
    pub batch_size: i32,
    /// Who signed, newest first.
    pub signature_infos: Vec<Signer>,
    /// Keys published for the first time.
    pub keys: Vec<FileKey<'a>>,
    /// Keys whose status changed.
    pub revised_keys: Vec<FileKey<'a>>,
}

/// A key of an export file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileKey<'a> {
    /// 16 bytes in a sane file.
    pub key: &'a [u8],
    /// The rest.
    pub metadata: KeyMetadata,
}

impl fmt::Debug for FileKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey").field("key", &"redacted").field("metadata", &self.metadata).finish()
    }
}

/// One signature of an `export.sig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSignature {
    /// Who signed.
    pub signer: Signer,
    /// Equals that of the `export.bin`.
    pub batch_num: i32,
    /// Equals that of the `export.bin`.
    pub batch_size: i32,
    /// DER, over all of `export.bin`.
    pub signature: Vec<u8>,
}

/// Why bytes are not a member of an export file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// `export.bin` does not begin with [`HEADER`].
    UnknownHeader,
    /// What follows is not a protobuf message, or a field has the wrong type; names the message.
    Malformed(&'static str),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHeader => f.write_str("export.bin does not begin with \"EK Export v1\" and four spaces"),
            Self::Malformed(message) => write!(f, "{message} is malformed"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Parses an `export.bin`.
pub fn parse_export(bytes: &[u8]) -> Result<ExportFile<'_>, ReadError> {
    let message = bytes.strip_prefix(HEADER).ok_or(ReadError::UnknownHeader)?;
    parse_export_message(message)
}

fn parse_export_message(message: &[u8]) -> Result<ExportFile<'_>, ReadError> {
    const NAME: &str = "TemporaryExposureKeyExport";
    let mut file = ExportFile {
        start: Timestamp::default(),
        end: Timestamp::default(),
        region: String::new(),
        batch_num: 0,
        batch_size: 0,
        signature_infos: Vec::new(),
        keys: Vec::new(),
        revised_keys: Vec::new(),
    };
    for field in Fields::new(message) {
        match field.map_err(|Malformed| ReadError::Malformed(NAME))? {
            (1, value) => file.start = Timestamp::from_unix(fixed64(value, NAME)?.cast_signed()),
            (2, value) => file.end = Timestamp::from_unix(fixed64(value, NAME)?.cast_signed()),
            (3, value) => file.region = text(value, NAME)?,
            (4, value) => file.batch_num = int32(value, NAME)?,
            (5, value) => file.batch_size = int32(value, NAME)?,
            (6, value) => file.signature_infos.push(parse_signer(bytes(value, NAME)?)?),
            (7, value) => file.keys.push(parse_key(bytes(value, NAME)?)?),
            (8, value) => file.revised_keys.push(parse_key(bytes(value, NAME)?)?),
            _unknown => {}
        }
    }
    Ok(file)
}

/// Parses an `export.sig`.
pub fn parse_signatures(list: &[u8]) -> Result<Vec<FileSignature>, ReadError> {
    const NAME: &str = "TEKSignatureList";
    let mut signatures = Vec::new();
    for field in Fields::new(list) {
        match field.map_err(|Malformed| ReadError::Malformed(NAME))? {
            (1, value) => signatures.push(parse_signature(bytes(value, NAME)?)?),
            _unknown => {}
        }
    }
    Ok(signatures)
}

fn parse_signature(message: &[u8]) -> Result<FileSignature, ReadError> {
    const NAME: &str = "TEKSignature";
    let mut signature =
        FileSignature { signer: parse_signer(&[])?, batch_num: 0, batch_size: 0, signature: Vec::new() };
    for field in Fields::new(message) {
        match field.map_err(|Malformed| ReadError::Malformed(NAME))? {
            (1, value) => signature.signer = parse_signer(bytes(value, NAME)?)?,
            (2, value) => signature.batch_num = int32(value, NAME)?,
            (3, value) => signature.batch_size = int32(value, NAME)?,
            (4, value) => signature.signature = bytes(value, NAME)?.to_vec(),
            _unknown => {}
        }
    }
    Ok(signature)
}

fn parse_signer(message: &[u8]) -> Result<Signer, ReadError> {
    const NAME: &str = "SignatureInfo";
    let mut signer = Signer {
        verification_key_version: String::new(),
        verification_key_id: String::new(),
        signature_algorithm: String::new(),
    };
    for field in Fields::new(message) {
        match field.map_err(|Malformed| ReadError::Malformed(NAME))? {
            (3, value) => signer.verification_key_version = text(value, NAME)?,
            (4, value) => signer.verification_key_id = text(value, NAME)?,
            (5, value) => signer.signature_algorithm = text(value, NAME)?,
            _unknown => {}
        }
    }
    Ok(signer)
}

fn parse_key(message: &[u8]) -> Result<FileKey<'_>, ReadError> {
    const NAME: &str = "TemporaryExposureKey";
    let mut key: &[u8] = &[];
    let mut metadata = KeyMetadata {
        transmission_risk: 0,
        rolling_start: 0,
        rolling_period: INTERVALS_PER_DAY,
        report_type: None,
        days_since_onset: None,
    };
    for field in Fields::new(message) {
        match field.map_err(|Malformed| ReadError::Malformed(NAME))? {
            (1, value) => key = bytes(value, NAME)?,
            (2, value) => metadata.transmission_risk = int32(value, NAME)?,
            (3, value) => metadata.rolling_start = int32(value, NAME)?,
            (4, value) => metadata.rolling_period = int32(value, NAME)?,
            (5, value) => {
                metadata.report_type = u8::try_from(varint(value, NAME)?).ok().and_then(ReportType::from_number);
            }
            (6, value) => metadata.days_since_onset = Some(zigzag_decode(varint(value, NAME)?)),
            _unknown => {}
        }
    }
    Ok(FileKey { key, metadata })
}

fn varint(value: Value<'_>, message: &'static str) -> Result<u64, ReadError> {
    if let Value::Varint(number) = value { Ok(number) } else { Err(ReadError::Malformed(message)) }
}

/// Cut to 32 bits, as protobuf readers do.
fn int32(value: Value<'_>, message: &'static str) -> Result<i32, ReadError> {
    varint(value, message).map(|number| number as i32)
}

fn fixed64(value: Value<'_>, message: &'static str) -> Result<u64, ReadError> {
    if let Value::Fixed64(number) = value { Ok(number) } else { Err(ReadError::Malformed(message)) }
}

fn bytes<'a>(value: Value<'a>, message: &'static str) -> Result<&'a [u8], ReadError> {
    if let Value::Bytes(bytes) = value { Ok(bytes) } else { Err(ReadError::Malformed(message)) }
}

fn text(value: Value<'_>, message: &'static str) -> Result<String, ReadError> {
    let bytes = bytes(value, message)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ReadError::Malformed(message))
}

/// How many keys of a file are not as they should be (the limits are those of the reference's analyzer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SanityReport {
    /// Keys that do not have 16 bytes.
    pub bad_length: usize,
    /// Keys that start more than 14 days before the file's end.
    pub too_old: usize,
    /// Keys that start after the file's end.
    pub in_future: usize,
    /// Rolling periods outside 1 to 144.
    pub bad_period: usize,
    /// More than 14 days between onset and key, either way.
    pub bad_onset: usize,
    /// Keys that occur twice in one list.
    pub repeated: usize,
    /// The file's end is not after its start.
    pub bad_window: bool,
}

impl SanityReport {
    /// Whether there is nothing to complain about.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// Looks at every key of a file, revised ones included.
pub fn check_sanity(file: &ExportFile<'_>) -> SanityReport {
    const OLDEST_DAYS: i64 = 14;
    const LARGEST_ONSET: u32 = 14;
    let oldest = file.end.plus_seconds(-OLDEST_DAYS * crate::interval::DAY_SECONDS);
    let mut report = SanityReport { bad_window: file.end <= file.start, ..SanityReport::default() };
    for FileKey { key, metadata } in file.keys.iter().chain(&file.revised_keys) {
        let start = IntervalNumber::new(metadata.rolling_start).start();
        report.bad_length += usize::from(key.len() != 16);
        report.too_old += usize::from(start < oldest.utc_midnight());
        report.in_future += usize::from(start > file.end);
        report.bad_period += usize::from(!(1..=INTERVALS_PER_DAY).contains(&metadata.rolling_period));
        report.bad_onset +=
            usize::from(metadata.days_since_onset.is_some_and(|days| days.unsigned_abs() > LARGEST_ONSET));
    }
    for list in [&file.keys, &file.revised_keys] {
        let mut keys: Vec<_> = list.iter().map(|key| key.key).collect();
        keys.sort_unstable();
        report.repeated += keys.windows(2).filter(|pair| pair[0] == pair[1]).count();
    }
    report
}

#[cfg(test)]
mod tests {
    use super::super::file::{FileEncoder, FileInfo, KeyList, SIGNATURE_ALGORITHM, encode_signatures};
    use super::*;
    use proptest::prelude::*;

    const END: i64 = 1_600_041_600;

    fn signer() -> Signer {
        Signer {
            verification_key_version: "v1".into(),
            verification_key_id: "310".into(),
            signature_algorithm: SIGNATURE_ALGORITHM.into(),
        }
    }

    fn good() -> KeyMetadata {
        KeyMetadata {
            transmission_risk: 2,
            rolling_start: i32::try_from(END / 600 - 144).expect("small"),
            rolling_period: 144,
            report_type: Some(ReportType::ConfirmedTest),
            days_since_onset: Some(-3),
        }
    }

    fn file(keys: &[(KeyList, &[u8], KeyMetadata)]) -> Vec<u8> {
        let signers = [signer()];
        let end = Timestamp::from_unix(END);
        let info = FileInfo { start: end.plus_seconds(-3600), end, region: "US", signers: &signers };
        let mut encoder = FileEncoder::new(&info, 1);
        for (list, key, metadata) in keys {
            encoder.push(*list, key, metadata);
        }
        encoder.finish().0
    }

    #[test]
    fn unknown_or_short_header_is_an_error() {
        for bytes in [&b""[..], b"EK Export v1", b"EK Export v2    ", b"PK"] {
            assert_eq!(parse_export(bytes), Err(ReadError::UnknownHeader));
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_absent_ones_take_their_defaults() {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&[0x78, 5, 0x3a, 4, 0x78, 1, 0x28, 99]);
        let parsed = parse_export(&bytes).expect("valid");
        assert_eq!(parsed.keys.len(), 1);
        assert_eq!(parsed.keys[0].metadata.rolling_period, 144);
        assert_eq!(parsed.keys[0].metadata.report_type, None);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&[0x3a, 2, 0x08, 1]);
        assert_eq!(parse_export(&bytes), Err(ReadError::Malformed("TemporaryExposureKey")));
        assert_eq!(parse_signatures(&[0x0a, 9]), Err(ReadError::Malformed("TEKSignatureList")));
    }

    #[test]
    fn signatures_are_read_back() {
        let signer = signer();
        let list = encode_signatures([(&signer, &b"der"[..])]);
        let expect = FileSignature { signer, batch_num: 1, batch_size: 1, signature: b"der".to_vec() };
        assert_eq!(parse_signatures(&list), Ok(vec![expect]));
    }

    #[test]
    fn sanity_counts_each_fault_once() {
        let check = |key: &[u8], metadata: KeyMetadata, expect: SanityReport| {
            let bytes = file(&[(KeyList::New, &[1; 16], good()), (KeyList::Revised, key, metadata)]);
            assert_eq!(check_sanity(&parse_export(&bytes).expect("valid")), expect);
        };
        let clean = SanityReport::default();
        check(&[2; 16], good(), clean);
        // The same key may be new and revised in one file.
        check(&[1; 16], good(), clean);
        check(&[2; 15], good(), SanityReport { bad_length: 1, ..clean });
        check(&[2; 16], KeyMetadata { rolling_period: 145, ..good() }, SanityReport { bad_period: 1, ..clean });
        check(&[2; 16], KeyMetadata { rolling_period: 0, ..good() }, SanityReport { bad_period: 1, ..clean });
        check(&[2; 16], KeyMetadata { days_since_onset: Some(15), ..good() }, SanityReport { bad_onset: 1, ..clean });
        let future = KeyMetadata { rolling_start: good().rolling_start + 145, ..good() };
        check(&[2; 16], future, SanityReport { in_future: 1, ..clean });
        let old = KeyMetadata { rolling_start: good().rolling_start - 14 * 144, ..good() };
        check(&[2; 16], old, SanityReport { too_old: 1, ..clean });
    }

    #[test]
    fn a_key_twice_in_one_list_is_noticed() {
        let bytes = file(&[(KeyList::New, &[1; 16], good()), (KeyList::New, &[1; 16], good())]);
        let report = check_sanity(&parse_export(&bytes).expect("valid"));
        assert_eq!(report.repeated, 1);
        assert!(!report.is_clean());
    }

    #[test]
    fn debug_output_never_shows_key_bytes() {
        let bytes = file(&[(KeyList::New, &[0xab; 16], good())]);
        let shown = format!("{:?}", parse_export(&bytes).expect("valid"));
        assert!(shown.contains("redacted") && !shown.contains("171"));
    }

    fn any_metadata() -> impl Strategy<Value = KeyMetadata> {
        let onset = prop::option::of(any::<i32>());
        (any::<i32>(), any::<i32>(), any::<i32>(), 0u8..6, onset).prop_map(
            |(risk, start, period, report_type, days)| KeyMetadata {
                transmission_risk: risk,
                rolling_start: start,
                rolling_period: period,
                report_type: ReportType::from_number(report_type),
                days_since_onset: days,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            new in prop::collection::vec((any::<Vec<u8>>(), any_metadata()), 0..20),
            revised in prop::collection::vec((any::<[u8; 16]>(), any_metadata()), 0..20),
        ) {
            let mut keys: Vec<(KeyList, &[u8], KeyMetadata)> = Vec::new();
            keys.extend(new.iter().map(|(key, metadata)| (KeyList::New, &key[..], *metadata)));
            keys.extend(revised.iter().map(|(key, metadata)| (KeyList::Revised, &key[..], *metadata)));
            let bytes = file(&keys);
            let parsed = parse_export(&bytes).expect("valid");
            prop_assert_eq!(parsed.signature_infos, vec![signer()]);
            prop_assert_eq!((parsed.batch_num, parsed.batch_size, parsed.region.as_str()), (1, 1, "US"));
            prop_assert_eq!((parsed.start.unix(), parsed.end.unix()), (END - 3600, END));
            let read: Vec<_> = [(KeyList::New, parsed.keys), (KeyList::Revised, parsed.revised_keys)]
                .into_iter()
                .flat_map(|(list, keys)| keys.into_iter().map(move |key| (list, key.key, key.metadata)))
                .collect();
            prop_assert_eq!(read, keys);
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = parse_export(&[&HEADER[..], &bytes].concat());
            let _ = parse_signatures(&bytes);
        }
    }
}
