use super::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

#[test]
fn every_kept_input_passes_its_check() {
    for (name, check) in CHECKS {
        let (mut accepted, mut refused, mut failed) = (0, 0, Vec::new());
        for file in files(&fuzz_folder().join("corpus").join(name)) {
            let input = std::fs::read(&file).expect("readable");
            match std::panic::catch_unwind(|| check(&input)) {
                Ok(true) => accepted += 1,
                Ok(false) => refused += 1,
                Err(_) => failed.push(file),
            }
        }
        assert_eq!(failed, Vec::<PathBuf>::new(), "`cargo xtask fuzz {name} --input FILE` repeats one of these");
        assert!(accepted > 0 && refused > 0, "{name}: {accepted} accepted, {refused} refused");
    }
}

#[test]
fn each_check_has_a_target_and_kept_inputs() {
    let names = |folder: &str| -> BTreeSet<String> {
        let stems = files(&fuzz_folder().join(folder)).into_iter();
        stems.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
    };
    let (targets, corpus) = (names("fuzz_targets"), names("corpus"));
    // The others are those of the validators.
    for (name, _) in CHECKS {
        assert!(targets.contains(name), "{name}");
    }
    assert_eq!(corpus, targets);
}
