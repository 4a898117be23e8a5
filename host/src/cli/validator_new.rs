//! `tocsin validator new`: a project to start from. The files are those of `templates/`, and the contract is the one of this
//! very server.

use super::Global;
use super::failure::{Failure, failed};
use super::output::show;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Path in the project, and content.
type TemplateFile = (&'static str, &'static str);

const WIT: [TemplateFile; 2] = [
    ("wit/validator.wit", include_str!("../../../wit/deps/tocsin-validator/validator.wit")),
    ("wit/deps/tocsin-types/types.wit", include_str!("../../../wit/deps/tocsin-types/types.wit")),
];

const RUST: [TemplateFile; 6] = [
    (".gitignore", include_str!("../../../templates/rust/gitignore")),
    ("Cargo.toml", include_str!("../../../templates/rust/Cargo.toml")),
    ("README.md", include_str!("../../../templates/rust/README.md")),
    ("cases.json", include_str!("../../../templates/rust/cases.json")),
    ("src/lib.rs", include_str!("../../../templates/rust/src/lib.rs")),
    ("src/rule.rs", include_str!("../../../templates/rust/src/rule.rs")),
];

const JAVASCRIPT: [TemplateFile; 8] = [
    (".gitignore", include_str!("../../../templates/javascript/gitignore")),
    ("README.md", include_str!("../../../templates/javascript/README.md")),
    ("build.mjs", include_str!("../../../templates/javascript/build.mjs")),
    ("cases.json", include_str!("../../../templates/javascript/cases.json")),
    ("package.json", include_str!("../../../templates/javascript/package.json")),
    ("src/rule.js", include_str!("../../../templates/javascript/src/rule.js")),
    ("src/validator.js", include_str!("../../../templates/javascript/src/validator.js")),
    ("test/rule.test.mjs", include_str!("../../../templates/javascript/test/rule.test.mjs")),
];

const PYTHON: [TemplateFile; 7] = [
    (".gitignore", include_str!("../../../templates/python/gitignore")),
    ("README.md", include_str!("../../../templates/python/README.md")),
    ("app.py", include_str!("../../../templates/python/app.py")),
    ("cases.json", include_str!("../../../templates/python/cases.json")),
    ("requirements.txt", include_str!("../../../templates/python/requirements.txt")),
    ("rule.py", include_str!("../../../templates/python/rule.py")),
    ("test_rule.py", include_str!("../../../templates/python/test_rule.py")),
];

/// Language and folder.
#[derive(Args)]
#[command(after_help = "\
Writes a validator that does something useful, its tests and cases, the contract, and a README that says how to build it
with the usual tools of the language. Needs no network; the build fetches the tools once.

Examples:
  tocsin validator new --lang rust symptom-date
  tocsin validator new --lang js flood-brake
  tocsin validator new --lang python fresh-report")]
pub(super) struct ValidatorNewArgs {
    /// The language
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Language,
    /// The folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Languages of templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Small and fast: some 100 kB, some ten microseconds a call
    Rust,
    /// JavaScript, with its engine inside: 12 MB
    Js,
    /// With its interpreter inside: 18 MB
    Python,
}

impl Language {
    fn files(self) -> &'static [TemplateFile] {
        match self {
            Self::Rust => &RUST,
            Self::Js => &JAVASCRIPT,
            Self::Python => &PYTHON,
        }
    }

    /// The commands that make a component of the project.
    fn build(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["cargo build --release --target wasm32-wasip2"],
            Self::Js => &["npm install", "npm run build"],
            Self::Python => &[
                "python3 -m venv venv && venv/bin/pip install -r requirements.txt",
                "venv/bin/componentize-py -d wit -w contract componentize --stub-wasi app -o validator.wasm",
            ],
        }
    }

    /// Where the component then is.
    fn component(self) -> &'static str {
        match self {
            Self::Rust => "target/wasm32-wasip2/release/validator.wasm",
            Self::Js | Self::Python => "validator.wasm",
        }
    }
}

/// Writes a project.
pub(super) fn run(global: &Global, args: &ValidatorNewArgs) -> Result<(), Failure> {
    let ValidatorNewArgs { lang, folder } = args;
    check_is_free(folder)?;
    let files: Vec<&TemplateFile> = lang.files().iter().chain(&WIT).collect();
    for (path, content) in &files {
        write(&folder.join(path), content)?;
    }
    let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    let value = json!({ "folder": folder, "files": names, "build": lang.build(), "component": lang.component() });
    show(global, &value, || {
        let commands = lang.build().join("\n  ");
        let (folder, component) = (folder.display(), lang.component());
        format!(
            "A validator is in {folder}; README.md there explains it. To build and to try it:\n  cd {folder}\n  {commands}\n  \
             tocsin validator check {component}\n  tocsin validator test {component} --cases cases.json"
        )
    });
    Ok(())
}

/// Nothing of anybody's is overwritten.
fn check_is_free(folder: &Path) -> Result<(), Failure> {
    let refuse = |what: String| {
        Err(Failure::new(format!("{} {what}", folder.display()), "Name a folder that does not exist or is empty."))
    };
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => refuse("is not empty".to_owned()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => refuse("is a file".to_owned()),
        Err(error) => refuse(format!("cannot be read: {error}")),
    }
}

fn write(file: &Path, content: &str) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| failed(format!("cannot write {}: {error}", file.display()));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    std::fs::write(file, content).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LANGUAGES: [(Language, &str); 3] =
        [(Language::Rust, "rust"), (Language::Js, "javascript"), (Language::Python, "python")];

    #[test]
    fn every_file_of_a_template_is_written() {
        fn collect(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(folder).expect("a folder of templates") {
                let entry = entry.expect("an entry");
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    collect(&entry.path(), &format!("{name}/"), names);
                } else {
                    names.insert(if name == "gitignore" { ".gitignore".to_owned() } else { name });
                }
            }
        }
        for (language, folder) in LANGUAGES {
            let mut names = BTreeSet::new();
            collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates").join(folder), "", &mut names);
            names.retain(|name| !name.contains("__pycache__"));
            let written: BTreeSet<String> = language.files().iter().map(|(path, _)| (*path).to_owned()).collect();
            assert_eq!(written, names, "{folder}");
        }
    }

    #[test]
    fn cases_of_templates_can_be_read() {
        for (language, folder) in LANGUAGES {
            let (_, cases) = language.files().iter().find(|(path, _)| *path == "cases.json").expect("cases");
            super::super::validator_test::check_cases(cases).expect(folder);
        }
    }

    #[test]
    fn readme_has_the_commands_that_build() {
        for (language, folder) in LANGUAGES {
            let (_, readme) = language.files().iter().find(|(path, _)| *path == "README.md").expect("a README");
            for command in language.build().iter().flat_map(|line| line.split(" && ")) {
                assert!(readme.contains(command), "{folder}: {command}");
            }
            assert!(readme.contains(&format!("tocsin validator test {} --cases cases.json", language.component())));
        }
    }

    #[test]
    fn folder_with_something_in_it_is_left_alone() {
        let parent = tempfile::tempdir().expect("temporary folder");
        let folder = parent.path().join("new");
        assert!(check_is_free(&folder).is_ok());
        write(&folder.join("a/b"), "c").expect("written");
        assert!(check_is_free(&folder).is_err_and(|failure| failure.to_string().contains("not empty")));
        assert!(check_is_free(&folder.join("a")).is_err());
        assert!(check_is_free(&folder.join("a/b")).is_err_and(|failure| failure.to_string().contains("a file")));
    }
}
