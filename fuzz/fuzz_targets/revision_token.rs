//! Text as a revision token, and bytes as what is sealed in one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    tocsin_domain::testing::fuzz_checks::revision_token(input);
});
