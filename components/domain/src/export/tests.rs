//! What a download costs: sizes of whole files with metadata as it occurs.

use super::file::{FileEncoder, FileInfo, KeyList};
use super::record::{Record, sort};
use super::zip::export_zip;
use crate::exposure::{ReportType, SelectedExposure, TransmissionRisk};
use crate::interval::{IntervalNumber, RollingPeriod, Timestamp};
use crate::ports::Random;
use crate::settings::KeyOrder;
use crate::tek::TemporaryExposureKey;
use crate::testing::random::FakeRandom;
use ::zip::write::SimpleFileOptions;
use std::io::{Cursor, Read, Write};

/// Fourteen keys a person: one a day, the last one often cut short, onset some days ago, every fifth a clinical diagnosis.
fn people(keys: usize) -> Vec<Record> {
    const TODAY: i32 = 18_500 * 144;
    let random = FakeRandom::seeded(8);
    let mut records = Vec::new();
    while records.len() < keys {
        let onset = i8::try_from(random.below(7) + random.below(7)).expect("small");
        let (report_type, risk) = if random.below(5) == 0 {
            (ReportType::ConfirmedClinicalDiagnosis, 4)
        } else {
            (ReportType::ConfirmedTest, 2)
        };
        for day in 0..14i8 {
            let period = if day == 0 && random.below(2) == 0 { 1 + random.below(143) } else { 144 };
            let mut key = [0; 16];
            random.fill(&mut key);
            records.push(Record::new(&SelectedExposure {
                id: 0,
                key: TemporaryExposureKey::new(key),
                rolling_start: IntervalNumber::new(TODAY - 144 * i32::from(day)),
                rolling_period: RollingPeriod::try_from(i64::from(period)).expect("in range"),
                transmission_risk: TransmissionRisk::try_from(risk).expect("in range"),
                report_type: Some(report_type),
                days_since_onset: Some(onset - day),
            }));
        }
    }
    records.truncate(keys);
    records
}

/// Bytes of the zip file, which is checked to hold the keys, and of one by the `zip` crate at its best usual level.
fn sizes(keys: usize, order: KeyOrder) -> (usize, usize) {
    let mut records = people(keys);
    sort(&mut records, order);
    let start = Timestamp::from_unix(18_501 * 86_400);
    let info = FileInfo { start, end: start.plus_seconds(14_400), region: "US", signers: &[] };
    let mut encoder = FileEncoder::new(&info, keys);
    for record in &records {
        encoder.push(KeyList::New, &record.key(), &record.metadata().unpack());
    }
    let (bin, runs) = encoder.finish();
    let file = export_zip(&bin, &runs, b"").expect("fits");
    let mut read = Vec::new();
    let mut archive = ::zip::ZipArchive::new(Cursor::new(&file)).expect("a zip file");
    archive.by_name("export.bin").expect("a member").read_to_end(&mut read).expect("readable");
    assert!(read == bin);

    let mut general = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_level(Some(9));
    for (name, content) in [("export.bin", &bin[..]), ("export.sig", b"")] {
        general.start_file(name, options).expect("in memory");
        general.write_all(content).expect("in memory");
    }
    (file.len(), general.finish().expect("in memory").into_inner().len())
}

/// The second limit is in hundredths of a byte per key, the zip container included.
fn check(keys: usize, order: KeyOrder, at_most: usize) {
    let (ours, general) = sizes(keys, order);
    assert!(ours * 100 <= keys * at_most, "{keys} keys, {order:?}: {ours} bytes");
    // A general compressor's search gains up to half a percent in the default order, and 3% in the reference server's, at
    // five to ten times the time.
    assert!(ours <= general + general * 3 / 100, "{keys} keys, {order:?}: {ours} bytes, general {general}");
}

#[test]
fn key_costs_little_more_than_its_random_bytes_and_about_as_much_as_with_zlib() {
    check(1_000, KeyOrder::Metadata, 1880);
    check(17_500, KeyOrder::Metadata, 1765);
    check(50_000, KeyOrder::Metadata, 1755);
    check(1_000, KeyOrder::KeyBytes, 2030);
    check(50_000, KeyOrder::KeyBytes, 1940);
}
