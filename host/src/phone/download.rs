//! A phone that downloads: the index, each file it names, the checks, and the matching against keys.

use super::PhoneError;
use super::check::{Inspected, MAX_ZIP_BYTES, inspect, unzip};
use super::client::Client;
use super::keys::PhoneKey;
use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tocsin_domain::tek::TemporaryExposureKey;

/// An index is read up to this size: a hundred thousand names.
const MAX_INDEX_BYTES: usize = 8 * 1024 * 1024;

/// What to download.
#[derive(Clone, Debug)]
pub struct DownloadPlan {
    /// The index, such as `http://127.0.0.1:8080/exports/us/index.txt`.
    pub index: Uri,
    /// What the names in the index are relative to, such as `http://127.0.0.1:8080/exports/`.
    pub base: String,
    /// The public key that phones know: an uncompressed P-256 point.
    pub public_key: Vec<u8>,
    /// Keep the files that passed in this folder.
    pub save: Option<PathBuf>,
    /// Keys to look for.
    pub look_for: Option<Vec<PhoneKey>>,
}

/// What was downloaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DownloadReport {
    /// The files that passed all checks, in the order of the index.
    pub files: Vec<DownloadedFile>,
    /// Files that did not, each with the reason.
    pub refused: Vec<String>,
    /// What became of the keys to look for.
    pub matching: Option<Matching>,
    /// From the request for the index to the last check.
    pub seconds: f64,
}

/// A file that passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DownloadedFile {
    /// Its name in the index.
    pub name: String,
    /// Size of the zip.
    pub bytes: u64,
    /// Keys published for the first time, padding included: a phone cannot tell.
    pub keys: u64,
    /// Keys whose status changed.
    pub revised_keys: u64,
    /// Region.
    pub region: String,
    /// Start of the batch.
    pub start_unix: i64,
    /// End of the batch.
    pub end_unix: i64,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// How many keys were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matching {
    /// Keys to look for.
    pub looked_for: u64,
    /// Of those, found in a file that passed, with the same validity.
    pub found: u64,
}

impl DownloadReport {
    /// Size of all files that passed.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Keys in all files that passed, revised ones included.
    pub fn keys(&self) -> u64 {
        self.files.iter().map(|file| file.keys + file.revised_keys).sum()
    }
}

/// Downloads and checks everything the index names. `progress` hears how many files of how many are done. Fails when the
/// index cannot be had; files that fail are in the report.
pub async fn run(plan: &DownloadPlan, progress: impl Fn(usize, usize)) -> Result<DownloadReport, PhoneError> {
    let started = Instant::now();
    let names = read_index(&plan.index).await?;
    if let Some(folder) = &plan.save {
        std::fs::create_dir_all(folder)
            .map_err(|error| PhoneError(format!("cannot make the folder {}: {error}", folder.display())))?;
    }
    let mut report = DownloadReport::default();
    let mut seeker = plan.look_for.as_deref().map(Seeker::new);
    let mut client = Client::new(&file_uri(&plan.base, "")?)?;
    for (done, name) in names.iter().enumerate() {
        progress(done, names.len());
        match download(plan, &mut client, name, seeker.as_mut()).await {
            Ok(file) => report.files.push(file),
            Err(error) => report.refused.push(format!("{name}: {error}")),
        }
    }
    report.matching = seeker.map(|seeker| seeker.result());
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

async fn read_index(index: &Uri) -> Result<Vec<String>, PhoneError> {
    let (status, body) = Client::new(index)?.get(index, MAX_INDEX_BYTES).await?;
    if status != StatusCode::OK {
        let next = "The index exists after the first batch of its export config was worked on (`tocsin job run \
                    create-batches`, then `tocsin job run do-work`)";
        return Err(PhoneError(format!("the index {index} cannot be read: {status}. {next}")));
    }
    let text = std::str::from_utf8(&body).map_err(|_| PhoneError(format!("the index {index} is no text")))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The address of a file: base and name, with one slash between.
fn file_uri(base: &str, name: &str) -> Result<Uri, PhoneError> {
    let address = format!("{}/{}", base.trim_end_matches('/'), name.trim_start_matches('/'));
    address.parse().map_err(|error| PhoneError(format!("{address} is no address: {error}")))
}

async fn download(
    plan: &DownloadPlan,
    client: &mut Client,
    name: &str,
    seeker: Option<&mut Seeker<'_>>,
) -> Result<DownloadedFile, PhoneError> {
    let (status, zip) = client.get(&file_uri(&plan.base, name)?, MAX_ZIP_BYTES).await?;
    if status != StatusCode::OK {
        return Err(PhoneError(format!("cannot be downloaded: {status}")));
    }
    let refused = |refusal: super::check::Refusal| PhoneError(refusal.to_string());
    let members = unzip(&zip).map_err(refused)?;
    let inspected = inspect(&members).map_err(refused)?;
    inspected.verify(&plan.public_key).map_err(refused)?;
    if let Some(seeker) = seeker {
        seeker.see(&inspected);
    }
    if let Some(folder) = &plan.save {
        save(folder, name, &zip)?;
    }
    let length = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    Ok(DownloadedFile {
        name: name.to_owned(),
        bytes: length(zip.len()),
        keys: length(inspected.file.keys.len()),
        revised_keys: length(inspected.file.revised_keys.len()),
        region: inspected.file.region.clone(),
        start_unix: inspected.file.start.unix(),
        end_unix: inspected.file.end.unix(),
        warnings: inspected.warnings(),
    })
}

/// The name comes from the server, so it may not choose where in the file system it goes.
fn save(folder: &Path, name: &str, zip: &[u8]) -> Result<(), PhoneError> {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
    let name: String = name.chars().map(|letter| if safe(letter) { letter } else { '_' }).collect();
    let file = folder.join(name.trim_start_matches('.'));
    std::fs::write(&file, zip).map_err(|error| PhoneError(format!("cannot write {}: {error}", file.display())))
}

/// Looks for keys in files.
struct Seeker<'a> {
    keys: HashMap<TemporaryExposureKey, &'a PhoneKey>,
    found: HashSet<TemporaryExposureKey>,
}

impl<'a> Seeker<'a> {
    fn new(keys: &'a [PhoneKey]) -> Self {
        Self { keys: keys.iter().map(|key| (key.key, key)).collect(), found: HashSet::new() }
    }

    fn see(&mut self, inspected: &Inspected<'_>) {
        for file_key in inspected.file.keys.iter().chain(&inspected.file.revised_keys) {
            let Ok(key) = TemporaryExposureKey::try_from(file_key.key) else { continue };
            let valid = (file_key.metadata.rolling_start, file_key.metadata.rolling_period);
            if self.keys.get(&key).is_some_and(|mine| (mine.rolling_start, mine.rolling_period) == valid) {
                self.found.insert(key);
            }
        }
    }

    fn result(&self) -> Matching {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Matching { looked_for: count(self.keys.len()), found: count(self.found.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::keys::daily_keys;
    use tocsin_domain::export::file::{FileEncoder, FileInfo, KeyList, KeyMetadata};
    use tocsin_domain::interval::Timestamp;

    const END: Timestamp = Timestamp::from_unix(1_600_041_600);

    #[test]
    fn base_and_name_are_joined_by_one_slash() {
        for (base, name) in [("http://h/exports", "us/1.zip"), ("http://h/exports/", "/us/1.zip")] {
            assert_eq!(file_uri(base, name).expect("an address"), "http://h/exports/us/1.zip");
        }
        assert!(file_uri("http://h/exports", "a b").is_err());
    }

    #[test]
    fn saved_file_stays_in_its_folder() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).expect("made");
        for name in ["us/1-2-00001.zip", "../../x", "..", "/etc/x"] {
            save(&inner, name, b"zip").or_else(|error| if name == ".." { Ok(()) } else { Err(error) }).expect(name);
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1);
        assert_eq!(std::fs::read(inner.join("us_1-2-00001.zip")).expect("saved"), b"zip");
    }

    #[test]
    fn key_is_found_once_and_only_with_its_validity() {
        let keys = daily_keys(END, 3);
        let mut seeker = Seeker::new(&keys);
        let info = FileInfo { start: END.plus_seconds(-60), end: END, region: "US", signers: &[] };
        let mut encoder = FileEncoder::new(&info, 4);
        let metadata = |start, period| KeyMetadata {
            transmission_risk: 0,
            rolling_start: start,
            rolling_period: period,
            report_type: None,
            days_since_onset: None,
        };
        let mut push = |key: &PhoneKey, period| {
            encoder.push(KeyList::New, key.key.as_bytes(), &metadata(key.rolling_start, period));
        };
        push(&keys[0], 144);
        push(&keys[0], 144);
        push(&keys[1], 143);
        let members = super::super::check::Members { bin: encoder.finish().0, sig: Vec::new() };
        seeker.see(&inspect(&members).expect("readable"));
        assert_eq!(seeker.result(), Matching { looked_for: 3, found: 1 });
    }
}
