//! Bytes as a token of Play Integrity, and as what Google says of one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_attestation::fuzz_checks::play_integrity(input);
});
