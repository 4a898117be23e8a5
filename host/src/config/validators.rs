//! Which validators there are, what each may do, and whose submissions pass through which.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest name of a validator, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// The only scope that a shipped validator needs.
const PLAY_INTEGRITY_SCOPE: &str = "https://www.googleapis.com/auth/playintegrity";

/// A validator: a component file, its limits, and what the host does for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidatorConfig {
    /// The component file. Either this or `builtin`. It is replaced while the server runs when the file changes.
    pub file: Option<PathBuf>,
    /// Name of a validator that ships with the server. Either this or `file`.
    pub builtin: Option<String>,
    /// Linear memory of all its memories together, in MiB.
    pub memory_mib: u32,
    /// Time spent executing (not waiting) in one call, in milliseconds.
    pub compute_ms: u64,
    /// Units of wasmtime's fuel for one call, about one for each instruction: the same on every machine.
    pub fuel: u64,
    /// What it may pass to the host in one call, in bytes.
    pub max_result_bytes: usize,
    /// What becomes of a submission when the validator fails: a trap, a limit reached, an answer against the contract.
    pub on_failure: OnFailure,
    /// Given to the validator as JSON.
    pub configuration: toml::Table,
    /// Host names that its exchanges may ask, each with an optional port (else 443).
    pub hosts: Vec<String>,
    /// Ask this origin in place of a host, such as a proxy of yours that may reach it: host name and https origin.
    pub origins: BTreeMap<String, String>,
    /// An exchange must be over within this time, in milliseconds.
    pub exchange_timeout_ms: u64,
    /// Allow exchanges in clear with this machine. For tests only.
    pub allow_insecure_http: bool,
    /// Sets of trust anchors: name and file of certificates (PEM).
    pub anchors: BTreeMap<String, PathBuf>,
    /// Private keys: name and file below the folder of keys. A P-256 key (PKCS#8, PEM) signs, 32 bytes of base64 unwrap.
    pub keys: BTreeMap<String, PathBuf>,
    /// Credentials for exchanges: name and file. It holds a bearer token, or is a service account of Google's (JSON).
    pub credentials: BTreeMap<String, PathBuf>,
    /// Scope of the access tokens that service accounts are asked for.
    pub google_scope: String,
    /// It asks whether certificates are revoked: the server fetches the list of `[revocation]`.
    pub revocation: bool,
}

impl Default for ValidatorConfig {
    fn default() -> Self {
        Self {
            file: None,
            builtin: None,
            memory_mib: 64,
            compute_ms: 200,
            fuel: 1_000_000_000,
            // Room for the longest exchange of the contract: 64 KiB of body and 64 KiB of continuation.
            max_result_bytes: 256 * 1024,
            on_failure: OnFailure::Refuse,
            configuration: toml::Table::new(),
            hosts: Vec::new(),
            origins: BTreeMap::new(),
            exchange_timeout_ms: 5_000,
            allow_insecure_http: false,
            anchors: BTreeMap::new(),
            keys: BTreeMap::new(),
            credentials: BTreeMap::new(),
            google_scope: PLAY_INTEGRITY_SCOPE.to_owned(),
            revocation: false,
        }
    }
}

/// What a failing validator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The phone may try again.
    Refuse,
    /// The submission passes, with nothing to note and the score 100.
    Accept,
}

/// The validators of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// Names of validators, in the order in which they are asked.
    pub validators: Vec<String>,
    /// How their answers become one.
    pub mode: ChainMode,
    /// With mode `score`: the sum of the scores of those that accept must reach it.
    pub threshold: u32,
    /// Names of validators that are asked and counted, and refuse nothing.
    pub observe: Vec<String>,
    /// What a phone is told when its submission is refused for good.
    pub on_refusal: OnRefusal,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self {
            validators: Vec::new(),
            mode: ChainMode::All,
            threshold: 0,
            observe: Vec::new(),
            on_refusal: OnRefusal::Refuse,
        }
    }
}

/// How the answers of several validators become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainMode {
    /// The first refusal decides.
    All,
    /// The first acceptance decides.
    Any,
    /// The sum of the scores decides.
    Score,
}

/// What a phone is told when its submission is refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRefusal {
    /// That it is refused.
    Refuse,
    /// What it would be told if it was stored.
    Pretend,
}

/// The list of revoked attestation certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationConfig {
    /// Where the list is.
    pub uri: String,
    /// Fetch it this often, in seconds, when a validator has `revocation = true`.
    pub every_seconds: u64,
    /// An older list is not used, in seconds.
    pub max_age_seconds: u64,
    /// It must come within this time, in milliseconds.
    pub request_timeout_ms: u64,
    /// A longer list is refused, in bytes.
    pub max_body_bytes: usize,
    /// Where the last list is kept for the next start.
    pub file: PathBuf,
    /// Accept an `http://` URI. For tests on one machine only.
    pub allow_insecure_http: bool,
}

impl Default for RevocationConfig {
    fn default() -> Self {
        Self {
            uri: "https://android.googleapis.com/attestation/status".to_owned(),
            every_seconds: 3_600,
            max_age_seconds: 172_800,
            request_timeout_ms: 30_000,
            max_body_bytes: 4 * 1024 * 1024,
            file: "revocation.json".into(),
            allow_insecure_http: false,
        }
    }
}

impl ValidatorConfig {
    /// Makes relative paths relative to `folder`, but for keys, whose folder is known only to the whole configuration.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let named = self.anchors.values_mut().chain(self.credentials.values_mut());
        for path in self.file.iter_mut().chain(named) {
            *path = folder.join(&*path);
        }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let is_name_good = |name: &str| {
            let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(good)
        };
        if !is_name_good(name) {
            return Err("the name must be 1 to 64 of a-z, 0-9 and -".to_owned());
        }
        if self.file.is_some() == self.builtin.is_some() {
            return Err("needs either `file` or `builtin`".to_owned());
        }
        // It becomes the name of a file.
        if self.builtin.as_deref().is_some_and(|name| !is_name_good(name)) {
            return Err("builtin must be 1 to 64 of a-z, 0-9 and -".to_owned());
        }
        for (field, value, most) in [
            ("memory_mib", u64::from(self.memory_mib), 4_096),
            ("compute_ms", self.compute_ms, 60_000),
            ("fuel", self.fuel, u64::MAX),
            ("max_result_bytes", self.max_result_bytes as u64, 16 * 1024 * 1024),
            ("exchange_timeout_ms", self.exchange_timeout_ms, 60_000),
        ] {
            if value == 0 || value > most {
                return Err(format!("{field} must be 1 to {most}"));
            }
        }
        for host in &self.hosts {
            if host.parse().ok().and_then(|authority| host_and_port(&authority)).is_none() {
                return Err(format!(
                    "hosts: {host:?} is not a host name with an optional port, such as \"api.example\""
                ));
            }
        }
        Ok(())
    }
}

/// Host (lower case) and port of an authority that is nothing but these, and spells the port plainly.
pub(crate) fn host_and_port(authority: &http::uri::Authority) -> Option<(String, Option<u16>)> {
    let (host, port) = (authority.host(), authority.port_u16());
    let plain = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    (!host.is_empty() && authority.as_str() == plain).then(|| (host.to_ascii_lowercase(), port))
}

/// Checks what the sections say about each other.
pub(super) fn check(
    validators: &BTreeMap<String, ValidatorConfig>,
    validation: &BTreeMap<String, ValidationConfig>,
    revocation: &RevocationConfig,
) -> Result<(), ConfigError> {
    for (name, validator) in validators {
        validator.check(name).map_err(|problem| ConfigError(format!("validators.{name}: {problem}")))?;
    }
    let mut apps = BTreeSet::new();
    for (app, chain) in validation {
        let failed = |problem: String| Err(ConfigError(format!("validation.{app:?}: {problem}")));
        if !apps.insert(app.to_lowercase()) {
            return failed("the app is there twice: names of apps are compared without case".to_owned());
        }
        let mut names = BTreeSet::new();
        for name in chain.validators.iter().chain(&chain.observe) {
            if !validators.contains_key(name) {
                return failed(format!("there is no validator {name:?}; add a section [validators.{name}]"));
            }
            if !names.insert(name) {
                return failed(format!("{name:?} is named twice"));
            }
        }
        if names.is_empty() {
            return failed("it names no validator; fill `validators` or `observe`".to_owned());
        }
        if chain.validators.is_empty() && chain.mode != ChainMode::All {
            return failed("a mode needs `validators`".to_owned());
        }
        if (chain.mode == ChainMode::Score) != (chain.threshold > 0) {
            return failed("mode = \"score\" needs a threshold of at least 1, and no other mode has one".to_owned());
        }
        if usize::try_from(chain.threshold).unwrap_or(usize::MAX) > 100 * chain.validators.len() {
            return failed("the threshold can never be reached: each validator gives at most 100".to_owned());
        }
    }
    for (name, value) in [
        ("every_seconds", revocation.every_seconds),
        ("max_age_seconds", revocation.max_age_seconds),
        ("request_timeout_ms", revocation.request_timeout_ms),
        ("max_body_bytes", revocation.max_body_bytes as u64),
    ] {
        if value == 0 || value > 10 * 366 * 86_400 {
            return Err(ConfigError(format!("revocation.{name} must be at least 1, and at most 316224000")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::{ChainMode, Config, OnFailure, OnRefusal};
    use std::path::Path;

    const TWO: &str = "[validators.a]\nfile = \"a.wasm\"\n[validators.b]\nbuiltin = \"b\"\n";

    #[test]
    fn only_file_needs_to_be_said() {
        let config = Config::parse("[validators.acme]\nfile = \"acme.wasm\"").expect("valid");
        let acme = &config.validators["acme"];
        assert_eq!(acme.file.as_deref(), Some(Path::new("acme.wasm")));
        assert_eq!((acme.memory_mib, acme.compute_ms, acme.fuel), (64, 200, 1_000_000_000));
        assert_eq!((acme.on_failure, acme.exchange_timeout_ms), (OnFailure::Refuse, 5_000));
        assert!(config.validation.is_empty() && acme.hosts.is_empty() && !acme.revocation);
    }

    #[test]
    fn chain_says_how_answers_become_one() {
        let text = format!(
            "{TWO}[validation.\"com.example.App\"]\nvalidators = [\"a\"]\nobserve = [\"b\"]\nmode = \"score\"\nthreshold = 60\n\
             on_refusal = \"pretend\""
        );
        let config = Config::parse(&text).expect("valid");
        let chain = &config.validation["com.example.App"];
        assert_eq!((chain.mode, chain.threshold, chain.on_refusal), (ChainMode::Score, 60, OnRefusal::Pretend));
        assert_eq!((&chain.validators[..], &chain.observe[..]), (&["a".to_owned()][..], &["b".to_owned()][..]));
    }

    #[test]
    fn examples_of_the_guides_are_valid() {
        let guides = [include_str!("../../../docs/operations.md"), include_str!("../../../docs/validators.md")];
        let blocks: Vec<&str> = guides
            .iter()
            .flat_map(|guide| guide.split("```toml\n").skip(1))
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(blocks.iter().filter(|block| block.contains("[validators.")).count() >= 2, "{} blocks", blocks.len());
        for block in blocks {
            Config::parse(block).expect(block);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let chain = |text: &str| format!("{TWO}[validation.app]\n{text}");
        let check = |text: String, expect: &[&str]| {
            let error = Config::parse(&text).expect_err(&text).to_string();
            expect.iter().for_each(|part| assert!(error.contains(part), "{part:?} is not in {error}"));
        };
        check(chain("validators = [\"a\", \"c\"]"), &["app", "no validator \"c\"", "[validators.c]"]);
        check(chain("observe = [\"c\"]"), &["no validator \"c\""]);
        check(chain("validators = [\"a\"]\nobserve = [\"a\"]"), &["\"a\" is named twice"]);
        check(chain(""), &["no validator"]);
        check(chain("validators = [\"a\"]\nmode = \"score\""), &["threshold"]);
        check(chain("validators = [\"a\"]\nthreshold = 3"), &["threshold"]);
        check(chain("validators = [\"a\"]\nmode = \"score\"\nthreshold = 101"), &["never be reached"]);
        check(chain("observe = [\"a\"]\nmode = \"any\""), &["needs `validators`"]);
        check(chain("validators = [\"a\"]\n[validation.APP]\nvalidators = [\"a\"]"), &["twice"]);
        check(chain("validator = [\"a\"]"), &["validator"]);
        check("[validators.a]".to_owned(), &["validators.a", "`file` or `builtin`"]);
        check("[validators.a]\nfile = \"a\"\nbuiltin = \"a\"".to_owned(), &["`file` or `builtin`"]);
        check("[validators.a]\nbuiltin = \"../a\"".to_owned(), &["builtin"]);
        check("[validators.A]\nfile = \"a\"".to_owned(), &["validators.A", "a-z"]);
        check("[validators.a]\nfile = \"a\"\nfuel = 0".to_owned(), &["fuel"]);
        check("[validators.a]\nfile = \"a\"\nmemory_mib = 5000".to_owned(), &["memory_mib"]);
        check("[validators.a]\nfile = \"a\"\nhosts = [\"https://a.example/\"]".to_owned(), &["https://a.example/"]);
        for host in ["user@a.example", "a.example:", "a.example:+1", "a.example:x", ""] {
            check(format!("[validators.a]\nfile = \"a\"\nhosts = [\"{host}\"]"), &["hosts", host]);
        }
        check("[validators.a]\nfile = \"a\"\nmemory = 1".to_owned(), &["memory"]);
        check("[revocation]\nevery_seconds = 0".to_owned(), &["revocation.every_seconds"]);
    }

    #[test]
    fn paths_start_at_the_folder_of_the_file_and_keys_at_theirs() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("tocsin.toml");
        let text = "[validators.a]\nfile = \"a.wasm\"\nanchors = { x = \"x.pem\" }\ncredentials = { c = \"c.json\" }\n\
                    keys = { k = \"k.p8\" }";
        std::fs::write(&file, text).expect("written");
        let config = Config::load(&file).expect("valid");
        let a = &config.validators["a"];
        assert_eq!(a.file.as_deref(), Some(&*folder.path().join("a.wasm")));
        assert_eq!(a.anchors["x"], folder.path().join("x.pem"));
        assert_eq!(a.credentials["c"], folder.path().join("c.json"));
        assert_eq!(a.keys["k"], folder.path().join("keys/k.p8"));
        assert_eq!(config.revocation.file, folder.path().join("revocation.json"));
    }
}
