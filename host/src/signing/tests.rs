use super::aead::KEY_BYTES;
use super::*;
use crate::storage::{SqliteOptions, SqliteStore};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::settings::KeyRotationSettings;

const NOW: Timestamp = Timestamp::from_unix(1_793_620_800);
const DAY: i64 = 86_400;

fn days(days: i64) -> Timestamp {
    NOW.plus_seconds(days * DAY)
}

fn keys(folder: &TempDir) -> PathBuf {
    folder.path().join("keys")
}

fn open_store(folder: &TempDir) -> Arc<SqliteStore> {
    let options = SqliteOptions::default();
    Arc::new(SqliteStore::open(&folder.path().join("tocsin.db"), &options).expect("store opens"))
}

fn open(folder: &TempDir) -> Keyring {
    Keyring::open(&keys(folder), open_store(folder)).expect("keys open")
}

fn open_error(folder: &TempDir) -> String {
    Keyring::open(&keys(folder), open_store(folder)).expect_err("must not open").to_string()
}

fn keyring() -> (TempDir, Keyring) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let keyring = open(&folder);
    (folder, keyring)
}

/// Ids of the revision keys that are not destroyed.
fn live(keyring: &Keyring) -> Vec<u64> {
    let rows = keyring.revision_keys().expect("read");
    let live: Vec<u64> = rows.iter().filter(|row| row.wrapped.is_some()).map(|row| row.id).collect();
    assert_eq!(live, keyring.keys.read().revision.keys().copied().collect::<Vec<_>>(), "memory is as the store");
    live
}

fn create(keyring: &Keyring, now: Timestamp) -> u64 {
    let rotation = keyring.rotate_revision_keys(&KeyRotationSettings::default(), now, true, false);
    rotation.expect("rotated").created.expect("created")
}

#[test]
fn signatures_are_deterministic_and_verify_natively() {
    let (_folder, keyring) = keyring();
    let public = keyring.create_signing_key("export").expect("created");
    let point = public_key_from_pem(&public.public_key_pem).expect("own PEM");
    let first = keyring.sign("export", b"message").expect("signed");
    assert_eq!(keyring.sign("export", b"message").expect("signed"), first);
    let raw = p256::ecdsa::Signature::from_der(&first).expect("DER").to_bytes();
    assert!(verify_es256(&point, b"message", &raw));
    assert!(!verify_es256(&point, b"massage", &raw));
    assert!(!verify_es256(&point[1..], b"message", &raw));
    assert!(!verify_es256(&point, b"message", &first));
}

#[test]
fn unknown_signing_key_is_an_internal_error() {
    let (_folder, keyring) = keyring();
    assert!(matches!(keyring.sign("nobody", b""), Err(PortError::Internal(_))));
}

#[test]
fn sealed_data_opens_only_whole_and_under_its_key() {
    let (_folder, keyring) = keyring();
    assert!(matches!(keyring.seal(b""), Err(PortError::Internal(_))), "no key yet");
    assert_eq!(keyring.create_first_revision_key(NOW).expect("created"), Some(1));
    let old = keyring.seal(b"secret").expect("sealed");
    assert_eq!(old.key_id, "1");
    assert_eq!(create(&keyring, NOW), 2);
    assert_eq!(keyring.seal(b"secret").expect("sealed").key_id, "2", "the newest key is effective");
    assert_eq!(keyring.open(&old), Ok(Some(b"secret".to_vec())), "older keys still open");
    for byte in 0..old.data.len() {
        let mut changed = old.clone();
        changed.data[byte] ^= 1;
        assert_eq!(keyring.open(&changed), Ok(None), "byte {byte}");
    }
    for key_id in ["2", "3", "x", ""] {
        assert_eq!(keyring.open(&Sealed { key_id: key_id.to_owned(), ..old.clone() }), Ok(None), "{key_id:?}");
    }
    assert_eq!(keyring.open(&Sealed { data: vec![0; 11], ..old }), Ok(None));
}

#[test]
fn keys_survive_reopening_and_are_never_overwritten() {
    let (folder, keyring) = keyring();
    let public = keyring.create_signing_key("export").expect("created");
    keyring.create_first_revision_key(NOW).expect("created");
    assert_eq!(keyring.create_first_revision_key(NOW).expect("no error"), None, "there is one");
    let token = keyring.seal(b"secret").expect("sealed");
    assert!(keyring.create_signing_key("export").is_err());
    drop(keyring);
    let again = open(&folder);
    assert_eq!(again.public_keys()[0].public_key_pem, public.public_key_pem);
    assert_eq!((live(&again), again.root_key_ids()), (vec![1], vec![1]));
    assert_eq!(again.open(&token), Ok(Some(b"secret".to_vec())));
}

#[test]
fn key_file_that_others_can_read_is_refused() {
    let (folder, keyring) = keyring();
    keyring.create_signing_key("export").expect("created");
    drop(keyring);
    let file = keys(&folder).join("signing/export.pem");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    let error = open_error(&folder);
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn key_names_cannot_leave_the_folder() {
    let (_folder, keyring) = keyring();
    for name in ["", "../x", "a/b", ".hidden", "a b"] {
        assert!(keyring.create_signing_key(name).is_err(), "{name:?}");
    }
}

#[test]
fn rotation_makes_and_destroys_what_is_due_and_a_dry_run_says_the_same() {
    let (folder, keyring) = keyring();
    let settings = KeyRotationSettings::default();
    let rotate = |now, create_anyway| {
        let dry = keyring.rotate_revision_keys(&settings, now, create_anyway, true).expect("planned");
        let before = keyring.revision_keys().expect("read");
        assert_eq!(keyring.rotate_revision_keys(&settings, now, create_anyway, true).expect("planned"), dry);
        assert_eq!(keyring.revision_keys().expect("read"), before, "a dry run changes nothing");
        let done = keyring.rotate_revision_keys(&settings, now, create_anyway, false).expect("rotated");
        assert_eq!(done, dry);
        (done.created, done.destroyed, done.next.expect("a next time"))
    };
    assert_eq!(rotate(NOW, false), (Some(1), vec![], days(7)));
    let token = keyring.seal(b"secret").expect("sealed");
    assert_eq!(rotate(days(7).plus_seconds(-1), false), (None, vec![], days(7)));
    assert_eq!(rotate(days(7), false), (Some(2), vec![], days(14)));
    assert_eq!(rotate(days(8), true), (Some(3), vec![], days(15)), "an operator can have one early");
    assert_eq!(rotate(days(21), false), (Some(4), vec![], days(22)));
    assert_eq!(keyring.open(&token), Ok(Some(b"secret".to_vec())));
    assert_eq!(rotate(days(22), false), (None, vec![1], days(23)));
    assert_eq!(keyring.open(&token), Ok(None), "its key is destroyed");
    assert_eq!(live(&keyring), [2, 3, 4]);
    drop(keyring);
    let again = open(&folder);
    assert_eq!((again.open(&token), live(&again)), (Ok(None), vec![2, 3, 4]));
    let row = &again.revision_keys().expect("read")[0];
    assert_eq!((row.created_at, row.destroyed_at), (NOW, Some(days(22))));
}

#[test]
fn destroyed_key_is_overwritten_in_the_database() {
    let (folder, keyring) = keyring();
    keyring.create_first_revision_key(NOW).expect("created");
    create(&keyring, NOW);
    let wrapped = keyring.revision_keys().expect("read")[0].wrapped.clone().expect("there");
    let is_in_file = |folder: &TempDir| {
        let database = std::fs::read(folder.path().join("tocsin.db")).expect("read");
        database.windows(wrapped.len()).any(|window| window == wrapped)
    };
    drop(keyring);
    assert!(is_in_file(&folder));
    let keyring = open(&folder);
    let rotated = keyring.rotate_revision_keys(&KeyRotationSettings::default(), days(15), false, false);
    assert_eq!(rotated.expect("rotated").destroyed, [1]);
    drop(keyring);
    assert!(!is_in_file(&folder));
}

#[test]
fn neither_the_database_nor_the_key_folder_holds_a_revision_key() {
    let (folder, keyring) = keyring();
    keyring.create_first_revision_key(NOW).expect("created");
    let token = keyring.seal(b"secret").expect("sealed");
    drop(keyring);
    let files = ["tocsin.db", "keys/root/1.key"].map(|name| std::fs::read(folder.path().join(name)).expect("read"));
    let decoded = tocsin_domain::base64::decode(std::str::from_utf8(&files[1]).expect("text")).expect("base64");
    for bytes in [&files[0], &decoded] {
        for window in bytes.windows(KEY_BYTES) {
            let key = AesKey::new(window.try_into().expect("its length"));
            assert_eq!(key.open(REVISION_TOKEN_AAD, &token.data), None);
        }
    }
}

#[test]
fn root_key_is_replaced_and_the_old_file_is_no_longer_needed() {
    let (folder, keyring) = keyring();
    keyring.create_first_revision_key(NOW).expect("created");
    let tokens = [keyring.seal(b"one").expect("sealed"), {
        create(&keyring, NOW);
        keyring.seal(b"two").expect("sealed")
    }];
    let before = keyring.revision_keys().expect("read");
    let dry = keyring.rotate_root_key(true).expect("planned");
    assert_eq!((keyring.root_key_ids(), keyring.revision_keys().expect("read")), (vec![1], before));
    let done = keyring.rotate_root_key(false).expect("rotated");
    assert_eq!(done, dry);
    let old = keys(&folder).join("root/1.key");
    assert_eq!(done, RootRotation { root_key: 2, rewrapped: vec![1, 2], unused: vec![old.clone()] });
    let opens = |keyring: &Keyring| tokens.iter().all(|token| matches!(keyring.open(token), Ok(Some(_))));
    assert!(opens(&keyring));
    drop(keyring);
    std::fs::remove_file(old).expect("removed");
    let keyring = open(&folder);
    assert!(opens(&keyring));
    assert!(keyring.revision_keys().expect("read").iter().all(|row| row.root_key_id == 2));
    assert_eq!(create(&keyring, NOW), 3);
    drop(keyring);
    assert_eq!(live(&open(&folder)), [1, 2, 3]);
}

/// A running server knows the keys whose file somebody removed by mistake.
#[test]
fn lost_root_file_is_healed_by_rotating_the_root_key_of_a_running_server() {
    let (folder, keyring) = keyring();
    keyring.create_first_revision_key(NOW).expect("created");
    std::fs::remove_file(keys(&folder).join("root/1.key")).expect("removed");
    let done = keyring.rotate_root_key(false).expect("rotated");
    assert_eq!(done, RootRotation { root_key: 2, rewrapped: vec![1], unused: vec![] });
    drop(keyring);
    assert_eq!(live(&open(&folder)), [1]);
}

#[test]
fn lost_root_key_is_told_and_its_revision_keys_can_be_given_up() {
    let (folder, keyring) = keyring();
    keyring.create_first_revision_key(NOW).expect("created");
    let token = keyring.seal(b"secret").expect("sealed");
    keyring.rotate_root_key(false).expect("rotated");
    drop(keyring);
    let file = keys(&folder).join("root/2.key");
    let aside = folder.path().join("aside");
    std::fs::rename(&file, &aside).expect("moved");
    let error = open_error(&folder);
    for part in ["revision key 1 ", "root key 2 ", "root/2.key", "missing", "backup", "destroy-unreadable"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    std::fs::rename(&aside, &file).expect("moved back");
    let keyring = open(&folder);
    assert_eq!(keyring.open(&token), Ok(Some(b"secret".to_vec())), "nothing was changed");
    drop(keyring);

    std::fs::remove_file(&file).expect("removed");
    let destroy = |dry_run| destroy_unreadable(&keys(&folder), &*open_store(&folder), days(1), dry_run);
    assert_eq!(destroy(true).expect("listed"), [1]);
    assert!(open_error(&folder).contains("revision key 1 "), "a dry run changes nothing");
    assert_eq!(destroy(false).expect("destroyed"), [1]);
    assert!(destroy(false).expect("destroyed").is_empty(), "only what is unreadable");
    let keyring = open(&folder);
    assert_eq!((live(&keyring), keyring.open(&token)), (vec![], Ok(None)));
    assert_eq!(keyring.create_first_revision_key(days(1)).expect("created"), Some(2));
}

#[test]
fn root_key_is_made_anew_only_when_nothing_needs_the_old_one() {
    let (folder, keyring) = keyring();
    drop(keyring);
    std::fs::remove_file(keys(&folder).join("root/1.key")).expect("removed");
    let keyring = open(&folder);
    assert_eq!(keyring.root_key_ids(), [1], "no row ever named it");
    keyring.create_first_revision_key(NOW).expect("created");
    drop(keyring);
    std::fs::remove_file(keys(&folder).join("root/1.key")).expect("removed");
    assert!(open_error(&folder).contains("missing"));
    assert!(!keys(&folder).join("root/1.key").exists() && !keys(&folder).join("root/2.key").exists());
}

/// What an older version left: key files, and a token sealed under each.
fn old_layout(folder: &TempDir, ids: &[u64]) -> Vec<Sealed> {
    let revision = keys(folder).join("revision");
    std::fs::create_dir_all(&revision).expect("made");
    let tokens = ids.iter().map(|id| {
        let bytes = random_bytes::<KEY_BYTES>();
        write_old_file(folder, *id, &bytes);
        Sealed { key_id: id.to_string(), data: AesKey::new(&bytes).seal(REVISION_TOKEN_AAD, &id.to_be_bytes()) }
    });
    tokens.collect()
}

fn write_old_file(folder: &TempDir, id: u64, bytes: &[u8; KEY_BYTES]) {
    let file = keys(folder).join(format!("revision/{id}.key"));
    files::write_secret(&file, &tocsin_domain::base64::encode(bytes)).expect("written");
    // Made a while ago.
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW.unix().unsigned_abs() + id);
    std::fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(time)).expect("dated");
}

fn check_all_open(keyring: &Keyring, tokens: &[Sealed]) {
    for token in tokens {
        let id: u64 = token.key_id.parse().expect("a number");
        assert_eq!(keyring.open(token), Ok(Some(id.to_be_bytes().to_vec())), "key {id}");
    }
}

#[test]
fn key_files_of_older_versions_move_into_the_database_and_their_tokens_stay_good() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let tokens = old_layout(&folder, &[1, 2, 12]);
    for _ in 0..2 {
        let keyring = open(&folder);
        check_all_open(&keyring, &tokens);
        assert_eq!(keyring.seal(b"").expect("sealed").key_id, "12", "the newest is effective");
        let rows = keyring.revision_keys().expect("read");
        let times: Vec<_> = rows.iter().map(|row| (row.id, row.created_at)).collect();
        assert_eq!(times, [1, 2, 12].map(|id: u64| (id, NOW.plus_seconds(id.cast_signed()))));
        assert!(!keys(&folder).join("revision").exists());
    }
    assert_eq!(create(&open(&folder), NOW), 13);
}

/// Crashed after the commit: the files are still there.
#[test]
fn take_over_that_was_cut_off_is_finished_by_the_next_start() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let tokens = old_layout(&folder, &[1, 2]);
    let old = |id: u64| std::fs::read_to_string(keys(&folder).join(format!("revision/{id}.key"))).expect("read");
    let bytes = [old(1), old(2)]
        .map(|text| tocsin_domain::base64::decode(&text).expect("base64").try_into().expect("32 bytes"));
    drop(open(&folder));
    std::fs::create_dir(keys(&folder).join("revision")).expect("made");
    write_old_file(&folder, 1, &bytes[0]);
    write_old_file(&folder, 2, &bytes[1]);
    let keyring = open(&folder);
    check_all_open(&keyring, &tokens);
    assert_eq!(live(&keyring), [1, 2]);
    assert!(!keys(&folder).join("revision").exists());
    // A file from a backup does not bring a destroyed key back.
    let rotated = keyring.rotate_revision_keys(&KeyRotationSettings::default(), days(20), false, false);
    assert_eq!(rotated.expect("rotated").destroyed, [1]);
    drop(keyring);
    std::fs::create_dir(keys(&folder).join("revision")).expect("made");
    write_old_file(&folder, 1, &bytes[0]);
    assert_eq!(live(&open(&folder)), [2, 3]);
    assert!(!keys(&folder).join("revision").exists());
}

#[test]
fn old_key_file_that_contradicts_the_database_is_told_and_left_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let tokens = old_layout(&folder, &[1]);
    drop(open(&folder));
    std::fs::create_dir(keys(&folder).join("revision")).expect("made");
    write_old_file(&folder, 1, &[7; KEY_BYTES]);
    write_old_file(&folder, 2, &[8; KEY_BYTES]);
    let error = open_error(&folder);
    assert!(error.contains("revision/1.key") && error.contains("move the file away"), "{error}");
    assert!(keys(&folder).join("revision/2.key").exists(), "all or none");
    std::fs::remove_file(keys(&folder).join("revision/1.key")).expect("moved away");
    let keyring = open(&folder);
    check_all_open(&keyring, &tokens);
    assert_eq!(live(&keyring), [1, 2]);
}
