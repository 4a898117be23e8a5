//! Where component files come from, how publish and verification become one, and the cache of compiled code.

use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The bytes of the components the server runs.
#[derive(Clone)]
pub struct ComponentFiles {
    /// `publish.wasm`; imports `verifier`.
    pub publish: Vec<u8>,
    /// `verification.wasm`; exports `verifier`.
    pub verification: Vec<u8>,
    /// `export.wasm`.
    pub export: Vec<u8>,
    /// `purge.wasm`.
    pub purge: Vec<u8>,
}

/// A component cannot be used.
#[derive(Debug)]
pub struct ComponentError(String);

impl ComponentError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ComponentError {}

impl ComponentFiles {
    /// From a folder that replaces single components, and otherwise those built into this binary.
    pub fn load(folder: Option<&Path>) -> Result<Self, ComponentError> {
        Ok(Self {
            publish: load_one(folder, "publish", embedded::PUBLISH)?,
            verification: load_one(folder, "verification", embedded::VERIFICATION)?,
            export: load_one(folder, "export", embedded::EXPORT)?,
            purge: load_one(folder, "purge", embedded::PURGE)?,
        })
    }
}

impl fmt::Debug for ComponentFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentFiles").finish_non_exhaustive()
    }
}

fn load_one(folder: Option<&Path>, name: &str, built_in: &[u8]) -> Result<Vec<u8>, ComponentError> {
    if let Some(folder) = folder {
        let file = folder.join(format!("{name}.wasm"));
        match std::fs::read(&file) {
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !built_in.is_empty() => {}
            Err(error) => return Err(ComponentError(format!("cannot read component {}: {error}", file.display()))),
        }
    }
    if built_in.is_empty() {
        return Err(ComponentError(format!(
            "this binary was built without components and no folder holds {name}.wasm; build them with `cargo xtask \
             build` and name the folder with --components or `folders.components`, or build with `cargo xtask dist`"
        )));
    }
    Ok(built_in.to_vec())
}

/// A validator that ships with the server: from `validators/NAME.wasm` of the folder, if it has one, and otherwise from
/// this binary.
pub(crate) fn builtin_validator(folder: Option<&Path>, name: &str) -> Result<Vec<u8>, ComponentError> {
    if let Some(file) = folder.map(|folder| folder.join(format!("validators/{name}.wasm")))
        && file.exists()
    {
        let unreadable = |error| ComponentError(format!("cannot read component {}: {error}", file.display()));
        return std::fs::read(&file).map_err(unreadable);
    }
    let built_in = embedded::VALIDATORS.iter().find(|(other, _)| *other == name);
    built_in.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| {
        let names: Vec<&str> = embedded::VALIDATORS.iter().map(|(name, _)| *name).collect();
        let names = if names.is_empty() { "no validators".to_owned() } else { names.join(", ") };
        ComponentError(format!(
            "no validator {name:?} ships with this server: it was built with {names}, and the folder of components \
             (folders.components or --components) has no validators/{name}.wasm"
        ))
    })
}

/// The components inside this binary; empty when it was built without (see `build.rs`).
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Plugs verification into publish: one component, one store, and a call between them costs microseconds. Spin does the
/// same from `[component.publish.dependencies]`.
pub fn compose_publish(publish: &[u8], verification: &[u8]) -> Result<Vec<u8>, ComponentError> {
    const VERIFIER: &str = "tocsin:component/verifier@0.1.0";
    let failed = |error: &dyn fmt::Display| {
        ComponentError(format!("publish.wasm and verification.wasm do not fit together: {error:#}"))
    };
    let mut graph = CompositionGraph::new();
    let mut package = |name: &str, bytes: &[u8]| {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut())
            .map_err(|error| ComponentError(format!("{name}.wasm is not a component: {error:#}")))?;
        graph.register_package(package).map_err(|error| failed(&error))
    };
    let publish = package("publish", publish)?;
    let verification = package("verification", verification)?;
    let verification = graph.instantiate(verification);
    let verifier = graph.alias_instance_export(verification, VERIFIER).map_err(|error| failed(&error))?;
    let publish = graph.instantiate(publish);
    graph.set_instantiation_argument(publish, VERIFIER, verifier).map_err(|error| failed(&error))?;
    for export in ["wasi:http/incoming-handler@0.2.12", "tocsin:component/publisher@0.1.0"] {
        let exported = graph.alias_instance_export(publish, export).map_err(|error| failed(&error))?;
        graph.export(exported, export).map_err(|error| failed(&error))?;
    }
    graph.encode(EncodeOptions::default()).map_err(|error| failed(&error))
}

/// Compiled components by content, engine version and engine settings. The files are machine code that will be run, so
/// the folder is the server's alone.
#[derive(Clone, Debug)]
pub struct CompileCache {
    folder: PathBuf,
}

impl CompileCache {
    /// In a folder, which is made with mode 0700 if it does not exist.
    pub fn open(folder: &Path) -> Result<Self, ComponentError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| ComponentError(format!("cannot make the cache folder {}: {error}", folder.display())))?;
        let mode = std::fs::metadata(folder).map(|folder| folder.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o022 != 0) {
            return Err(ComponentError(format!(
                "others may write to the cache folder {}, and what it holds is run; `chmod 700` it",
                folder.display()
            )));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The component that `make` yields, compiled. `inputs` determine what it yields; with them in the cache it is not
    /// called. `name` is for messages.
    pub fn compile(
        &self,
        engine: &Engine,
        name: &str,
        inputs: &[&[u8]],
        make: impl FnOnce() -> Result<Vec<u8>, ComponentError>,
    ) -> Result<Component, ComponentError> {
        let file = self.folder.join(format!("{}.cwasm", cache_key(engine, inputs)));
        if file.exists() {
            match load_compiled(engine, &file) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "a cached component is unusable; compiling anew")
                }
            }
        }
        let bytes = make()?;
        let started = std::time::Instant::now();
        let compiled = engine
            .precompile_component(&bytes)
            .map_err(|error| ComponentError(format!("{name}.wasm does not compile: {error:#}")))?;
        tracing::info!(component = name, milliseconds = started.elapsed().as_millis() as u64, "compiled a component");
        self.store(&file, &compiled);
        deserialize(engine, &compiled)
            .map_err(|error| ComponentError(format!("{name}.wasm was compiled and cannot be loaded: {error:#}")))
    }

    fn store(&self, file: &Path, compiled: &[u8]) {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        // A name of its own for each write: two that share one would leave a mixture, and it is run.
        let write = WRITES.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}-{write}.tmp", std::process::id()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut out| {
                out.write_all(compiled)?;
                // After a power failure the name must not lead to a file with holes.
                out.sync_all()
            })
            .and_then(|()| std::fs::rename(&temporary, file));
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write to the cache of compiled components; the next start will be slower");
        }
    }
}

fn cache_key(engine: &Engine, inputs: &[&[u8]]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut compatibility = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update((input.len() as u64).to_le_bytes());
        hash.update(input);
    }
    let content: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{content}-{:016x}", compatibility.finish())
}

#[expect(unsafe_code, reason = "loading machine code this server wrote itself into a folder of its own")]
fn load_compiled(engine: &Engine, file: &Path) -> wasmtime::Result<Component> {
    // Safety: the folder is made with mode 0700 and only `CompileCache::store` writes to it, so the file holds what
    // this engine version compiled; wasmtime itself refuses files of another version or with other settings.
    unsafe { Component::deserialize_file(engine, file) }
}

#[expect(unsafe_code, reason = "loading machine code that was compiled a moment ago")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // Safety: the bytes come straight from `Engine::precompile_component` of the same engine.
    unsafe { Component::deserialize(engine, compiled) }
}

/// Names of what a component imports, sorted: the whole of what it can ask for.
pub fn import_names(bytes: &[u8]) -> Result<Vec<String>, ComponentError> {
    let engine = Engine::default();
    let component = Component::new(&engine, bytes)
        .map_err(|error| ComponentError(format!("a component does not compile: {error:#}")))?;
    let mut names: Vec<String> = component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect();
    names.sort();
    Ok(names)
}
