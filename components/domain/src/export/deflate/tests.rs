use super::*;
use crate::ports::Random;
use crate::testing::random::FakeRandom;
use proptest::prelude::*;
use std::io::{Cursor, Read};

/// Inflates with an independent decoder, by way of a zip file made here.
fn inflate(stream: &[u8], plain: &[u8]) -> Vec<u8> {
    let file = crate::export::zip::container(&[crate::export::zip::Member {
        name: "x",
        method: crate::export::zip::Method::Deflate,
        plain,
        packed: stream,
    }])
    .expect("fits");
    let mut archive = ::zip::ZipArchive::new(Cursor::new(file)).expect("a zip file");
    let mut content = Vec::new();
    archive.by_index(0).expect("a member").read_to_end(&mut content).expect("content with the right checksum");
    content
}

fn check(input: &[u8], runs: &[RecordRun]) -> usize {
    let stream = deflate(input, runs);
    assert!(inflate(&stream, input) == input, "{} bytes did not come back", input.len());
    stream.len()
}

fn records(metadata: &[(usize, &[u8])], random: &FakeRandom) -> (Vec<u8>, Vec<RecordRun>) {
    let mut bytes = b"a header of some length".to_vec();
    let mut runs = Vec::new();
    for &(count, tail) in metadata {
        runs.push(RecordRun { start: bytes.len(), length: 20 + tail.len(), count });
        for _ in 0..count {
            let mut key = [0; 16];
            random.fill(&mut key);
            bytes.extend_from_slice(&[0x3a, 18 + tail.len() as u8, 0x0a, 0x10]);
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(tail);
        }
    }
    (bytes, runs)
}

#[test]
fn empty_and_tiny_inputs_come_back() {
    for input in [&b""[..], b"a", b"aaaa", &[0; 300], b"the quick brown fox"] {
        check(input, &[]);
    }
}

#[test]
fn records_of_one_kind_take_one_match_and_sixteen_literals() {
    let random = FakeRandom::seeded(1);
    let (bytes, runs) = records(&[(50_000, b"\x10\x08\x18\xfc\xde\xa1\x01\x28\x01\x30\x02")], &random);
    let size = check(&bytes, &runs);
    assert!(size < 50_000 * 174 / 10, "{} bytes per key", size as f64 / 50_000.0);
}

#[test]
fn records_whose_length_changes_come_back() {
    let random = FakeRandom::seeded(2);
    let kinds: Vec<(usize, &[u8])> = (0..400)
        .map(|at| (at % 7, [&b"\x10\x08\x18\xfc\xde"[..], b"\x10", b"", b"\x10\x08\x18\xfc\xdf\xa1\x01"][at % 4]))
        .collect();
    let (bytes, runs) = records(&kinds, &random);
    let size = check(&bytes, &runs);
    assert!(size < bytes.len());
}

#[test]
fn a_kind_seen_earlier_is_found_again() {
    let random = FakeRandom::seeded(3);
    let kinds: Vec<(usize, &[u8])> =
        (0..20_000).map(|at| (1, [&b"abcdefghijk"[..], b"lmnopqrstuv", b"wxyzabcdefg"][at % 3])).collect();
    let (bytes, runs) = records(&kinds, &random);
    let size = check(&bytes, &runs);
    assert!(size < 20_000 * 185 / 10, "{} bytes per key", size as f64 / 20_000.0);
}

#[test]
fn incompressible_bytes_grow_by_no_more_than_the_stored_blocks() {
    let mut bytes = vec![0; 300_000];
    FakeRandom::seeded(4).fill(&mut bytes);
    // 40 bits for each stored block of at most 65,535 bytes.
    assert!(check(&bytes, &[]) <= bytes.len() + 5 * 2 * 300_000usize.div_ceil(BLOCK_BYTES));
}

#[test]
fn every_length_and_distance_has_the_code_of_the_rfc() {
    // Section 3.2.5: first length of each symbol, and its number of extra bits.
    let lengths = [
        (3, 257, 0),
        (10, 264, 0),
        (11, 265, 1),
        (18, 268, 1),
        (19, 269, 2),
        (115, 280, 4),
        (131, 281, 5),
        (257, 284, 5),
        (258, 285, 0),
    ];
    for (length, symbol, bits) in lengths {
        let code = length_code(length);
        assert_eq!((code.symbol, code.extra_bits), (symbol, bits), "{length}");
    }
    for (distance, symbol, bits) in
        [(1, 0, 0), (4, 3, 0), (5, 4, 1), (25, 9, 3), (33, 10, 4), (24_577, 29, 13), (32_768, 29, 13)]
    {
        let code = distance_code(distance);
        assert_eq!((code.symbol, code.extra_bits), (symbol, bits), "{distance}");
    }
}

fn any_run() -> impl Strategy<Value = RecordRun> {
    let number = prop_oneof![0usize..400, Just(usize::MAX), Just(usize::MAX / 2)];
    (number.clone(), number, 0usize..60).prop_map(|(start, length, count)| RecordRun { start, length, count })
}

proptest! {
    #[test]
    fn any_input_under_any_hints_comes_back(
        input in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..3_000),
        runs in prop::collection::vec(any_run(), 0..8),
    ) {
        check(&input, &runs);
    }

    #[test]
    fn repetitive_input_under_any_hints_comes_back(
        unit in prop::collection::vec(any::<u8>(), 1..40),
        times in 1usize..200,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..10),
        runs in prop::collection::vec(any_run(), 0..8),
    ) {
        let mut input = unit.repeat(times);
        for (at, byte) in flips {
            let at = at.index(input.len());
            input[at] = byte;
        }
        check(&input, &runs);
    }
}

#[test]
fn a_million_records_over_many_blocks_come_back() {
    let random = FakeRandom::seeded(5);
    let (bytes, runs) = records(
        &[(700_000, b"\x10\x08\x18\xfc\xde\xa1\x01\x28\x01\x30\x02"), (300_000, b"\x10\x08\x18\xfc\xde\xa1\x01")],
        &random,
    );
    check(&bytes, &runs);
}
