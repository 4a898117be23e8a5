//! Writes the inputs of `fuzz/corpus` that have a name: one for each thing that can be right or wrong. What fuzzing
//! adds has the hash of its content for a name.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --no-default-features --bin seeds`

mod certificate;
mod publish_request;
mod revision_token;
mod validators;

use std::path::Path;

/// Name of a file, and its content.
type Seed = (String, Vec<u8>);

fn seed(name: &str, content: impl AsRef<[u8]>) -> Seed {
    (name.to_owned(), content.as_ref().to_vec())
}

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("android_key", validators::android_key()),
        ("app_attest", validators::app_attest()),
        ("certificate", certificate::seeds()),
        ("device_check", validators::device_check()),
        ("play_integrity", validators::play_integrity()),
        ("publish_request", publish_request::seeds()),
        ("revision_token", revision_token::seeds()),
        ("safetynet", validators::safetynet()),
    ] {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        for (name, content) in &seeds {
            std::fs::write(folder.join(name), content)?;
        }
        println!("{}: {} inputs", folder.display(), seeds.len());
    }
    Ok(())
}
