//! Bytes as an attestation or assertion of Apple App Attest.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_attestation::fuzz_checks::app_attest(input);
});
