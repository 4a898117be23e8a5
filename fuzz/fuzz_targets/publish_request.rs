//! Bytes as the body of a publish request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_domain::testing::fuzz_checks::publish_request(input);
});
