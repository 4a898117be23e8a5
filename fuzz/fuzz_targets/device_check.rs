//! Bytes as a token of Apple DeviceCheck, and as what Apple answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_attestation::fuzz_checks::device_check(input);
});
