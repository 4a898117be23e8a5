use super::*;
use std::path::{Path, PathBuf};

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz")
}

#[test]
fn every_kept_input_passes_its_check() {
    for (name, check) in CHECKS {
        let folder = fuzz_folder().join("corpus").join(name);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let (mut count, mut failed) = (0, Vec::new());
        for file in entries.map(|entry| entry.expect("readable").path()) {
            let input = std::fs::read(&file).expect("readable");
            count += 1;
            if std::panic::catch_unwind(|| check(&input)).is_err() {
                failed.push(file);
            }
        }
        assert_eq!(failed, Vec::<PathBuf>::new(), "`cargo xtask fuzz {name} --input FILE` repeats one of these");
        assert!(count >= 4, "{name}: {count} inputs");
    }
}

#[test]
fn each_check_has_a_target() {
    for (name, _) in CHECKS {
        let file = fuzz_folder().join(format!("fuzz_targets/{name}.rs"));
        let source = std::fs::read_to_string(&file).expect("a target");
        assert!(source.contains(&format!("fuzz_checks::{name}(input)")), "{}", file.display());
    }
}

#[test]
fn nothing_is_refused_for_lack_of_settings() {
    assert!(crate::google::play_integrity::VerifyKey::try_from(verify_key()).is_ok());
    let key = Host.find_key(APP, &KEY_ID).expect("a key");
    assert!(EcKey::from_p256_point(&key.public_key).is_ok());
    assert_eq!(apple_root().len(), 549);
}

#[test]
fn pieces_are_split_by_their_lengths() {
    let check = |input: &[u8], expect: &[&[u8]]| assert_eq!(pieces(input), expect);
    check(&[], &[]);
    check(&[0], &[]);
    check(&[0, 2, 8, 9, 0, 0, 0, 9, 1], &[&[8, 9], &[], &[1]]);
}
