//! Export files as a phone sees them: downloaded by index, unzipped, checked, read.

use super::client::Client;
use std::collections::BTreeMap;
use std::io::Read;
use tocsin_domain::export::read::{SanityReport, check_sanity, parse_export, parse_signatures};
use tocsin_domain::exposure::ReportType;
use tocsin_host::signing::public_key_from_pem;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadedFile {
    /// Its name in the index.
    pub name: String,
    /// The zip.
    pub zip: Vec<u8>,
    /// Unix seconds.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
    /// Region.
    pub region: String,
    /// New keys: bytes and report type.
    pub keys: Vec<([u8; 16], Option<ReportType>)>,
    /// Revised keys: bytes and report type.
    pub revised_keys: Vec<([u8; 16], Option<ReportType>)>,
}

/// The names in an index.
pub async fn index(client: &mut Client, root: &str) -> Vec<String> {
    let answer = client.get(&format!("/exports/{root}/index.txt")).await;
    assert_eq!(answer.status, 200, "the index of {root} exists");
    let text = String::from_utf8(answer.body.to_vec()).expect("ASCII");
    text.lines().map(str::to_owned).collect()
}

/// Downloads and checks all files of an index, as a phone would; fails the test on a file a phone would not accept.
pub async fn download(client: &mut Client, root: &str, public_key_pem: &str) -> Vec<DownloadedFile> {
    let mut files = Vec::new();
    for name in index(client, root).await {
        let answer = client.get(&format!("/exports/{name}")).await;
        assert_eq!(answer.status, 200, "{name} is listed and exists");
        files.push(check(name, answer.body.to_vec(), public_key_pem));
    }
    files
}

/// The members of a zip by name.
pub fn unzip(zip: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).expect("a zip");
    let mut members = BTreeMap::new();
    for member in 0..archive.len() {
        let mut member = archive.by_index(member).expect("a member");
        let mut content = Vec::new();
        member.read_to_end(&mut content).expect("readable");
        members.insert(member.name().to_owned(), content);
    }
    members
}

/// Checks a file as a phone does: signature, header, keys in range.
pub fn check(name: String, zip: Vec<u8>, public_key_pem: &str) -> DownloadedFile {
    let members = unzip(&zip);
    let bin = &members["export.bin"];
    let point = public_key_from_pem(public_key_pem).expect("a public key");
    let signatures = parse_signatures(&members["export.sig"]).expect("signatures");
    assert_eq!(signatures.len(), 1);
    let signature = p256::ecdsa::Signature::from_der(&signatures[0].signature).expect("DER");
    assert!(tocsin_host::signing::verify_es256(&point, bin, &signature.to_bytes()), "{name} is signed");
    let file = parse_export(bin).expect("an export");
    // A key may be published until it is 15 days old, and phones pass over keys that are too old for them.
    let sanity = SanityReport { too_old: 0, ..check_sanity(&file) };
    assert!(sanity.is_clean(), "{name}: {sanity:?}");
    let key = |key: &tocsin_domain::export::read::FileKey<'_>| {
        let bytes: [u8; 16] = key.key.try_into().expect("16 bytes");
        (bytes, key.metadata.report_type)
    };
    DownloadedFile {
        start: file.start.unix(),
        end: file.end.unix(),
        region: file.region.clone(),
        keys: file.keys.iter().map(key).collect(),
        revised_keys: file.revised_keys.iter().map(key).collect(),
        name,
        zip,
    }
}
