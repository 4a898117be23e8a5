//! The fallback: a sysroot made of Debian's packages.
//!
//! Debian's `rustc-web` comes with the sources of its standard library, which `-Z build-std` builds for our target once;
//! `wasi-libc` is the C library under it. The result is an ordinary sysroot with a `bin/rustc` in it that knows where it
//! lives, so that component builds need nothing but `RUSTC`.

use super::{TARGET, can_build};
use crate::failure::Failure;
use crate::tools;
use crate::workspace::{self, Workspace};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's compiler, whatever else is on the path.
const RUSTC: &str = "/usr/bin/rustc";
/// Where `rustc-web` and `rust-web-src` install.
const RUSTLIB: &str = "/usr/lib/rustlib";
/// Where `wasi-libc` installs.
const WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// The compiler of a sysroot made earlier, if there is one that still works.
pub(super) fn made_earlier(workspace: &Workspace) -> Result<Option<PathBuf>, Failure> {
    let sysroot = location()?;
    let rustc = compiler(&sysroot);
    if !is_current(&sysroot) || !can_build(&rustc, workspace) {
        return Ok(None);
    }
    eprintln!("    using the standard library at {} (delete it to ask rustup again)", sysroot.display());
    Ok(Some(rustc))
}

/// Makes the sysroot, installing Debian's packages where they are missing, and returns its compiler.
pub(super) fn make(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let sysroot = location()?;
    let rustc = compiler(&sysroot);
    ensure_packages()?;
    let scratch = sysroot.with_extension(format!("scratch-{}", std::process::id()));
    let made = Maker { scratch: &scratch, sysroot: &sysroot }.make();
    // Left-overs do no harm, and the error of the making is the one to report.
    let _ = std::fs::remove_dir_all(&scratch);
    made?;
    if can_build(&rustc, workspace) {
        eprintln!("    made a standard library at {}", sysroot.display());
        Ok(rustc)
    } else {
        Err(failure(format!("the standard library at {} does not link a program", sysroot.display())))
    }
}

/// A word for a POSIX shell.
pub(super) fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn failure(what: impl Into<String>) -> Failure {
    let next = format!("install the target yourself (`rustup target add {TARGET}`), then run the same command again");
    Failure::new(what, next)
}

fn location() -> Result<PathBuf, Failure> {
    if let Some(folder) = std::env::var_os("TOCSIN_WASM_SYSROOT") {
        return std::path::absolute(folder).map_err(|error| failure(format!("TOCSIN_WASM_SYSROOT: {error}")));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .ok_or_else(|| failure("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(cache.join("tocsin/wasm32-wasip2-sysroot"))
}

fn compiler(sysroot: &Path) -> PathBuf {
    sysroot.join("bin/rustc")
}

/// Whether the sysroot was made for the compiler that is installed now: an upgrade makes its libraries unreadable.
fn is_current(sysroot: &Path) -> bool {
    let made_for = std::fs::read_to_string(stamp_file(sysroot)).ok();
    made_for.is_some() && made_for == compiler_version()
}

fn stamp_file(sysroot: &Path) -> PathBuf {
    sysroot.join("made-for")
}

fn compiler_version() -> Option<String> {
    tools::output(Command::new(RUSTC).arg("-vV"))
}

fn ensure_packages() -> Result<(), Failure> {
    if tools::find("dpkg-query").is_none() {
        return Err(failure(format!("rustup has no {TARGET}, and without Debian's packages there is no other source")));
    }
    let missing: Vec<&str> =
        ["rustc-web", "rust-web-src", "wasi-libc"].into_iter().filter(|package| version(package).is_none()).collect();
    if !missing.is_empty() {
        tools::apt_install(&missing).map_err(|next| Failure::new("Debian's packages are missing", next))?;
    }
    match (version("rustc-web"), version("rust-web-src")) {
        (Some(compiler), Some(sources)) if compiler == sources => Ok(()),
        (compiler, sources) => Err(Failure::new(
            format!("rustc-web ({compiler:?}) and rust-web-src ({sources:?}) must be of one version"),
            "apt-get update && apt-get install rustc-web rust-web-src",
        )),
    }
}

/// The version of a package, if it is installed (and not merely known).
fn version(package: &str) -> Option<String> {
    let line = tools::output(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status} ${Version}", package]))?;
    line.strip_prefix("installed ").map(str::to_owned)
}

/// Makes a sysroot beside its final place and moves it there when it is whole.
struct Maker<'a> {
    scratch: &'a Path,
    sysroot: &'a Path,
}

impl Maker<'_> {
    fn make(&self) -> Result<(), Failure> {
        let version = compiler_version().ok_or_else(|| failure(format!("{RUSTC} does not run")))?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .ok_or_else(|| failure(format!("{RUSTC} does not name its host")))?;
        let written = |error: io::Error| failure(format!("cannot make {}: {error}", self.sysroot.display()));

        std::fs::create_dir_all(self.target_library().join("self-contained")).map_err(written)?;
        self.link_host(host).map_err(written)?;
        self.provide_linker(host)?;
        self.copy_libc().map_err(written)?;
        self.build_std()?;
        self.add_stubs_to_libc()?;
        self.write_compiler(&version).map_err(written)?;
        self.move_into_place().map_err(written)
    }

    fn new_sysroot(&self) -> PathBuf {
        self.scratch.join("sysroot")
    }

    fn rustlib(&self) -> PathBuf {
        self.new_sysroot().join("lib/rustlib")
    }

    /// Rust libraries for the target; the C library's files are in `self-contained` below it.
    fn target_library(&self) -> PathBuf {
        self.rustlib().join(TARGET).join("lib")
    }

    /// Build scripts and macros run on this machine: its standard library is Debian's.
    fn link_host(&self, host: &str) -> io::Result<()> {
        let rustlib = self.rustlib();
        std::fs::create_dir_all(rustlib.join(host))?;
        symlink(&Path::new(RUSTLIB).join(host).join("lib"), &rustlib.join(host).join("lib"))?;
        symlink(&Path::new(RUSTLIB).join("src"), &rustlib.join("src"))
    }

    /// `wasm-component-ld` and the linker it calls. Every rustup toolchain has both, with or without the target.
    fn provide_linker(&self, host: &str) -> Result<(), Failure> {
        let place = self.rustlib().join(host).join("bin");
        let written = |error: io::Error| failure(format!("cannot make {}: {error}", place.display()));
        if let Some(folder) = rustup_linkers(host) {
            // A link to the folder, not copies: the linker finds its libraries relative to where it really is.
            return symlink(&folder, &place).map_err(written);
        }
        std::fs::create_dir_all(&place).map_err(written)?;
        let lld = match debian_lld() {
            Some(lld) => lld,
            None => {
                tools::apt_install(&["lld"]).map_err(|next| Failure::new("there is no WebAssembly linker", next))?;
                debian_lld().ok_or_else(|| failure("package lld has no wasm-ld"))?
            }
        };
        symlink(&lld, &place.join("wasm-ld")).map_err(written)?;
        eprintln!("    cargo install wasm-component-ld");
        let installed = self.scratch.join("installed");
        let mut cargo = self.outside_cargo();
        cargo.args(["install", "--quiet", "--root"]).arg(&installed).arg("wasm-component-ld");
        succeed(&mut cargo, "cargo install wasm-component-ld")?;
        std::fs::copy(installed.join("bin/wasm-component-ld"), place.join("wasm-component-ld")).map_err(written)?;
        Ok(())
    }

    fn copy_libc(&self) -> io::Result<()> {
        for file in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
            std::fs::copy(Path::new(WASI_LIBC).join(file), self.libc_folder().join(file))?;
        }
        Ok(())
    }

    fn libc_folder(&self) -> PathBuf {
        self.target_library().join("self-contained")
    }

    fn build_std(&self) -> Result<(), Failure> {
        eprintln!("    building the standard library (about a minute)");
        let package = self.scratch.join("std");
        let target = self.scratch.join("target");
        let written = |error: io::Error| failure(format!("cannot write to {}: {error}", self.scratch.display()));
        // A workspace of its own: the cache may well be inside somebody's.
        let manifest = "[workspace]\n[package]\nname = \"only_std\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                        [profile.release]\npanic = \"abort\"\ncodegen-units = 1\n";
        std::fs::create_dir_all(package.join("src"))
            .and_then(|()| std::fs::write(package.join("Cargo.toml"), manifest))
            .and_then(|()| std::fs::write(package.join("src/lib.rs"), ""))
            .map_err(written)?;
        let mut cargo = self.outside_cargo();
        cargo
            .current_dir(&package)
            .args(["build", "--quiet", "--release", "-Z", "build-std=std,panic_abort", "--target", TARGET])
            // build-std is for nightly compilers only; this lets a stable one do it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", RUSTC)
            // Components are built with LTO, which needs the libraries' bitcode.
            .env("RUSTFLAGS", "-C embed-bitcode=yes")
            .env("CARGO_TARGET_DIR", &target);
        succeed(&mut cargo, "building the standard library")?;
        copy_libraries(&target.join(TARGET).join("release/deps"), &self.target_library()).map_err(written)
    }

    /// Debian's wasi-libc is older than the standard library and lacks functions that it refers to. Components use none
    /// of them, but they must link.
    fn add_stubs_to_libc(&self) -> Result<(), Failure> {
        let source = self.scratch.join("wasi_libc_stubs.rs");
        let object = self.scratch.join("wasi_libc_stubs.o");
        std::fs::write(&source, include_str!("../../wasi_libc_stubs.rs"))
            .map_err(|error| failure(format!("cannot write {}: {error}", source.display())))?;
        let mut rustc = Command::new(RUSTC);
        rustc.arg("--sysroot").arg(self.new_sysroot());
        rustc.args(["--edition", "2024", "--crate-type", "lib", "--emit", "obj", "--target", TARGET]);
        rustc.args(["-O", "-C", "panic=abort", "-C", "codegen-units=1", "-o"]).arg(&object).arg(&source);
        succeed(&mut rustc, "compiling the stubs of missing C functions")?;
        // S: ar cannot read WebAssembly objects and must not try to index them; the linker indexes them itself.
        let mut ar = Command::new("ar");
        ar.arg("qS").arg(self.libc_folder().join("libc.a")).arg(&object);
        succeed(&mut ar, "adding them to libc.a (ar is in the package binutils)")
    }

    fn write_compiler(&self, version: &str) -> io::Result<()> {
        let folder = self.new_sysroot().join("bin");
        std::fs::create_dir_all(&folder)?;
        let script =
            format!("#!/bin/sh\nexec {RUSTC} --sysroot {} \"$@\"\n", shell_quoted(&self.sysroot.to_string_lossy()));
        write_executable(&folder.join("rustc"), &script)?;
        std::fs::write(stamp_file(&self.new_sysroot()), version)
    }

    fn move_into_place(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.sysroot) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        std::fs::rename(self.new_sysroot(), self.sysroot)
    }

    /// Cargo for builds that are not of this workspace, untouched by what its callers have set for theirs.
    fn outside_cargo(&self) -> Command {
        let mut cargo = Command::new(workspace::cargo_program());
        cargo.current_dir(self.scratch).stdin(Stdio::null());
        for variable in
            ["CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WRAPPER", "RUSTC", "RUSTFLAGS"]
        {
            cargo.env_remove(variable);
        }
        cargo
    }
}

/// The folder with the linkers of some rustup toolchain: the current one, else any.
fn rustup_linkers(host: &str) -> Option<PathBuf> {
    let current = tools::output(Command::new("rustc").args(["--print", "sysroot"])).map(PathBuf::from);
    let home = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".rustup")));
    let toolchains = home.and_then(|home| std::fs::read_dir(home.join("toolchains")).ok());
    let others = toolchains.into_iter().flatten().flatten().map(|entry| entry.path());
    current
        .into_iter()
        .chain(others)
        .map(|toolchain| toolchain.join("lib/rustlib").join(host).join("bin"))
        .find(|folder| folder.join("wasm-component-ld").is_file())
}

/// Debian's WebAssembly linker; `lld` has a plain name for it, `lld-19` and its like one with the version.
fn debian_lld() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/bin")
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wasm-ld")))
        .collect();
    found.sort_by_key(|path| path.to_string_lossy().rsplit('-').next().and_then(|version| version.parse::<u32>().ok()));
    found.pop()
}

/// Copies the Rust libraries of a build, except for that of the package that only asked for them.
fn copy_libraries(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if shown.ends_with(".rlib") && !shown.starts_with("libonly_std") {
            std::fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

fn succeed(command: &mut Command, what: &str) -> Result<(), Failure> {
    match command.stdout(io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failure(format!("{what}: {status}"))),
        Err(error) => Err(failure(format!("{what}: {error}"))),
    }
}

#[cfg(unix)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(unix)]
fn write_executable(file: &Path, content: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, content)?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn write_executable(_: &Path, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_word_survives_a_shell() {
        let quoted = shell_quoted("it's $HOME");
        assert_eq!(
            tools::output(Command::new("sh").args(["-c", &format!("printf %s {quoted}")])).unwrap(),
            "it's $HOME"
        );
    }
}
