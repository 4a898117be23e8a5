//! Bytes as an attestation of Android SafetyNet.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_attestation::fuzz_checks::safetynet(input);
});
