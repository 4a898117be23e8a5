//! `spin.toml` names components that are built and routes that they serve.

use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What `cargo xtask build --components` makes, in `target/components`.
const BUILT: [&str; 4] = ["publish", "verification", "export", "purge"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest() -> Table {
    std::fs::read_to_string(root().join("spin.toml")).unwrap().parse().unwrap()
}

fn components(manifest: &Table) -> &Table {
    manifest["component"].as_table().unwrap()
}

/// Name and path of each component file, dependencies included.
fn files(manifest: &Table) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (id, component) in components(manifest) {
        files.push((id.clone(), component["source"].as_str().unwrap().to_owned()));
        let dependencies = component.get("dependencies").and_then(Value::as_table);
        for (interface, dependency) in dependencies.into_iter().flatten() {
            files.push((interface.clone(), dependency["path"].as_str().unwrap().to_owned()));
        }
    }
    files
}

#[test]
fn manifest_is_of_version_2() {
    assert_eq!(manifest()["spin_manifest_version"].as_integer(), Some(2));
}

#[test]
fn every_file_is_one_that_xtask_builds_and_none_is_left_out() {
    let manifest = manifest();
    let mut named: Vec<String> = files(&manifest).into_iter().map(|(_, path)| path).collect();
    let mut built = BUILT.map(|name| format!("target/components/{name}.wasm"));
    named.sort();
    built.sort();
    assert_eq!(named, built);

    // Under `cargo xtask test` the files are there to be looked at.
    if let Some(folder) = std::env::var_os("TOCSIN_COMPONENTS_DIR") {
        for path in named {
            let file = Path::new(&folder).join(Path::new(&path).file_name().unwrap());
            assert!(std::fs::read(&file).unwrap().starts_with(b"\0asm"), "{}", file.display());
        }
    }
}

#[test]
fn only_publish_is_public() {
    let manifest = manifest();
    let mut routes = Vec::new();
    for trigger in manifest["trigger"]["http"].as_array().unwrap() {
        let component = trigger["component"].as_str().unwrap();
        assert!(components(&manifest).contains_key(component), "{component}");
        let route = match &trigger["route"] {
            Value::String(route) => route.as_str(),
            private => {
                assert_eq!(private["private"].as_bool(), Some(true), "{component}");
                "private"
            }
        };
        routes.push((component, route));
    }
    routes.sort_unstable();
    assert_eq!(
        routes,
        [("export", "private"), ("publish", "/v1/publish"), ("publish", "/v1/stats"), ("purge", "private")]
    );
}

#[test]
fn dependency_is_an_interface_that_publish_imports_and_verification_exports() {
    let manifest = manifest();
    let dependencies: Vec<&String> =
        manifest["component"]["publish"]["dependencies"].as_table().unwrap().keys().collect();
    assert_eq!(dependencies, ["tocsin:component/verifier@0.1.0"]);

    let worlds = std::fs::read_to_string(root().join("wit/worlds.wit")).unwrap();
    assert!(worlds.starts_with("package tocsin:component@0.1.0;"));
    let world = |name: &str| worlds.split(&format!("world {name} {{")).nth(1).unwrap().split('}').next().unwrap();
    assert!(world("publish").contains("import verifier;"));
    assert!(world("verification").contains("export verifier;"));
}
