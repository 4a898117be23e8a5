//! Least privilege is visible in the binary: what each built component imports is a golden file. A new line in one of
//! them gets the hardest look of a review.

use std::path::PathBuf;
use tocsin_host::components::{BUILTIN_VALIDATORS, builtin_validator, compose_publish, import_names};
use tocsin_tests::harness::components_folder;

fn check(name: &str, imports: &[String]) {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.imports"));
    let actual = imports.join("\n") + "\n";
    if std::env::var_os("TOCSIN_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &actual).expect("written");
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        actual, expected,
        "the imports of {name} changed; if that is meant, run the test with TOCSIN_UPDATE_GOLDEN=1"
    );
}

fn component(name: &str) -> Vec<u8> {
    std::fs::read(components_folder().join(format!("{name}.wasm"))).expect("the component is built")
}

#[test]
fn each_component_imports_what_it_uses_and_nothing_else() {
    for name in ["publish", "verification", "export", "purge"] {
        check(name, &import_names(&component(name)).expect("a component"));
    }
}

/// The contract of validators and nothing else, not even the inert parts of WASI that it tolerates: what ships has no
/// privilege that a third party's validator does not have.
#[test]
fn each_validator_that_ships_imports_the_contract_and_nothing_else() {
    let contract = ["tocsin:types/types@0.1.0", "tocsin:validator/services@0.1.0", "tocsin:validator/types@0.1.0"];
    for name in BUILTIN_VALIDATORS {
        let bytes = builtin_validator(name, Some(&components_folder())).expect("the validator is built");
        let imports = import_names(&bytes).expect("a component");
        check(&format!("validator-{name}"), &imports);
        assert_eq!(imports, contract, "{name}");
    }
}

#[test]
fn no_component_can_open_files_or_connections_or_print() {
    for name in ["publish", "verification", "export", "purge"] {
        for import in import_names(&component(name)).expect("a component") {
            for forbidden in ["wasi:cli", "wasi:filesystem", "wasi:http/outgoing-handler", "wasi:sockets"] {
                assert!(!import.starts_with(forbidden), "{name} imports {import}");
            }
        }
    }
}

#[test]
fn publish_and_verification_compose_and_the_verifier_is_no_import_any_more() {
    let composed = compose_publish(&component("publish"), &component("verification")).expect("they fit");
    let imports = import_names(&composed).expect("a component");
    assert!(imports.iter().all(|import| !import.contains("verifier")), "{imports:?}");
    assert!(imports.iter().any(|import| import.contains("signature-check")), "{imports:?}");
}
