//! The check of a component file: it imports what a validator may, exports what a validator must, and says who it is.

use super::answer::check_identity;
use super::engine::ValidatorEngine;
use super::failure::ValidatorError;
use super::grants::{Grants, NoDeviceKeys};
use super::instance::{self, CallState, Usage};
use crate::bindings::validator::ContractPre;
use crate::components::CompileCache;
use crate::config::ValidatorConfig;
use crate::services::SystemClock;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

const VERSION: &str = "0.1.0";
const EXPORT: &str = "tocsin:validator/validator";
const IMPORTS: [(&str, &str); 3] =
    [("tocsin:validator/services", VERSION), ("tocsin:validator/types", VERSION), ("tocsin:types/types", VERSION)];
const INERT_WASI: [&str; 4] = ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/"];
const ALLOWED: &str = "a validator may import tocsin:validator/services, tocsin:validator/types and tocsin:types/types \
                       (all 0.1.0) and, of WASI 0.2, wasi:cli, wasi:io, wasi:clocks and wasi:random";
/// Bytes of SHA-256 that are shown.
const SHOWN_DIGEST_BYTES: usize = 8;

/// What a good file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedValidator {
    /// Its name and version, by its own account.
    pub identity: String,
    /// The first 16 hexadecimal digits of the file's SHA-256.
    pub digest: String,
    /// What it imports, sorted.
    pub imports: Vec<String>,
    /// Size of the file, in bytes.
    pub size: usize,
    /// How long compiling took, or reading the compiled code.
    pub compile: Duration,
    /// What asking for the identity cost.
    pub identity_usage: Usage,
}

/// A validator that can be called.
pub(super) struct Loaded {
    pub(super) pre: ContractPre<CallState>,
    pub(super) checked: CheckedValidator,
}

/// Checks the bytes of a file, with the limits that validators have by default. Takes as long as compiling does.
pub fn check_file(bytes: &[u8]) -> Result<CheckedValidator, ValidatorError> {
    check(bytes, None)
}

/// As [`check_file`], with a folder of compiled code, which a server may share.
pub fn check_file_with_cache(bytes: &[u8], folder: &Path) -> Result<CheckedValidator, ValidatorError> {
    let cache = CompileCache::open(folder).map_err(|error| ValidatorError::new(error.to_string()))?;
    check(bytes, Some(cache))
}

fn check(bytes: &[u8], cache: Option<CompileCache>) -> Result<CheckedValidator, ValidatorError> {
    let config = ValidatorConfig::default();
    let grants = Grants::new("validator", &config, Arc::new(SystemClock), Arc::new(NoDeviceKeys), None)?;
    let engine = ValidatorEngine::new(1, grants.limits.memory_bytes, cache)?;
    load(&engine, &Arc::new(grants), bytes).map(|loaded| loaded.checked)
}

/// Compiles, checks, and asks for the identity. The error does not say which validator it is about.
pub(super) fn load(engine: &ValidatorEngine, grants: &Arc<Grants>, bytes: &[u8]) -> Result<Loaded, ValidatorError> {
    check_is_component(bytes)?;
    let started = Instant::now();
    let component = engine.compile(&grants.name, bytes)?;
    let compile = started.elapsed();
    let imports = check_imports(engine, &component)?;
    check_export(engine, &component)?;
    let failed = |error: wasmtime::Error| {
        ValidatorError::new(format!(
            "its imports or exports are not those of version {VERSION} of the contract: {error:#}"
        ))
    };
    let pre = engine.linker.instantiate_pre(&component).and_then(ContractPre::new).map_err(failed)?;
    let digest = Sha256::digest(bytes).iter().take(SHOWN_DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let identity = String::new();
    let checked =
        CheckedValidator { identity, digest, imports, size: bytes.len(), compile, identity_usage: Usage::default() };
    let mut loaded = Loaded { pre, checked };
    let (identity, usage) = on_a_thread(instance::identity(engine, &loaded, grants))?;
    let identity = identity.map_err(|failure| ValidatorError::new(format!("`identity` fails: {failure}")))?;
    check_identity(&identity).map_err(|rule| ValidatorError::new(format!("`identity` returns {rule}")))?;
    loaded.checked.identity = identity;
    loaded.checked.identity_usage = usage;
    Ok(loaded)
}

/// Runs a future to its end from anywhere, also from inside another runtime.
fn on_a_thread<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, ValidatorError> {
    std::thread::scope(|scope| {
        let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().map(|it| it.block_on(future));
        let done = std::thread::Builder::new().name("validator check".to_owned()).spawn_scoped(scope, run);
        let done = done.and_then(|thread| thread.join().unwrap_or(Err(std::io::ErrorKind::Other.into())));
        done.map_err(|error| ValidatorError::new(format!("the check does not run: {error}")))
    })
}

fn check_is_component(bytes: &[u8]) -> Result<(), ValidatorError> {
    let hint = "build it for wasm32-wasip2, or make a component of the module with `wasm-tools component new`";
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Err(ValidatorError::new(format!("it is a core module and no component; {hint}")))
        }
        _ => Err(ValidatorError::new(format!("it is no WebAssembly component; {hint}"))),
    }
}

fn check_imports(engine: &ValidatorEngine, component: &Component) -> Result<Vec<String>, ValidatorError> {
    let component = component.component_type();
    let mut names: Vec<String> = component.imports(&engine.engine).map(|(name, _)| name.to_owned()).collect();
    names.sort();
    for name in &names {
        let (interface, version) = name.split_once('@').unwrap_or((name, "none"));
        if INERT_WASI.iter().any(|allowed| interface.starts_with(allowed)) && version.starts_with("0.2.") {
            continue;
        }
        match IMPORTS.iter().find(|(allowed, _)| *allowed == interface) {
            Some((_, allowed)) if *allowed == version => {}
            Some((_, allowed)) => {
                return Err(ValidatorError::new(format!(
                    "it imports {interface} in version {version}, and this server has version {allowed}; build it \
                     against the wit/ folder of this server"
                )));
            }
            None => return Err(ValidatorError::new(format!("it imports {name}, which no validator may: {ALLOWED}"))),
        }
    }
    Ok(names)
}

fn check_export(engine: &ValidatorEngine, component: &Component) -> Result<(), ValidatorError> {
    let component = component.component_type();
    let exports = component.exports(&engine.engine);
    let exported: Vec<(String, bool)> =
        exports.map(|(name, item)| (name.to_owned(), matches!(item.ty, ComponentItem::ComponentInstance(_)))).collect();
    let wanted = format!("{EXPORT}@{VERSION}");
    if exported.iter().any(|(name, is_instance)| *name == wanted && *is_instance) {
        return Ok(());
    }
    let other = exported.iter().find_map(|(name, _)| name.strip_prefix(EXPORT)?.strip_prefix('@'));
    Err(ValidatorError::new(match other {
        Some(version) => format!(
            "it exports {EXPORT} in version {version}, and this server calls version {VERSION}; build it against the \
             wit/ folder of this server"
        ),
        None => {
            let names: Vec<&str> = exported.iter().map(|(name, _)| name.as_str()).collect();
            format!("it does not export {wanted}, so it is no validator; it exports {}", list(&names))
        }
    }))
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
