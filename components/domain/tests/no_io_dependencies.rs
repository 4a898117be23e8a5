//! The domain stays pure: a dependency outside the list needs a reason and a change here.

const ALLOWED: [&str; 5] = ["hmac", "serde", "serde_json", "sha2", "subtle"];

/// Names in the `[dependencies]` table, and of target-specific tables, of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_table = false;
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let name = table.rsplit_once("dependencies.").filter(|(before, _)| !before.ends_with("dev-"));
            names.extend(name.map(|(_, name)| name.to_owned()));
            in_table = table == "dependencies"
                || table == "build-dependencies"
                || (table.starts_with("target.") && !table.ends_with("dev-dependencies"));
        } else if in_table && let Some((name, _)) = line.split_once('=') {
            names.push(name.split('.').next().unwrap_or_default().trim().to_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

#[test]
fn domain_depends_on_pure_crates_only() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("manifest");
    assert_eq!(dependencies(&manifest), ALLOWED);
}

#[test]
fn every_way_to_write_a_dependency_is_seen() {
    let manifest = "[dependencies]\na.workspace = true\nb = \"1\" # why\n[dependencies.c]\nversion = \"1\"\n\
                    [target.'cfg(unix)'.dependencies]\nd = { version = \"1\" }\n[build-dependencies]\ne = \"1\"\n\
                    [dev-dependencies]\nx = \"1\"\n[dev-dependencies.y]\nversion = \"1\"\n[features]\nz = []\n";
    assert_eq!(dependencies(manifest), ["a", "b", "c", "d", "e"]);
}
