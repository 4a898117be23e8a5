//! Bytes as a chain of Android Key Attestation, and as what it says of the key.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_attestation::fuzz_checks::android_key(input);
});
