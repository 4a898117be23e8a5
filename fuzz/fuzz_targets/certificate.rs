//! Text as a verification certificate.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_domain::testing::fuzz_checks::certificate(input);
});
