//! Programs that are not ours.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where a program is, if it is on the path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// What a program prints, without the final line end; none when it fails or does not exist.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// `apt-get` with the rights to install; none where there is no such thing: not a Debian, or neither root nor a sudo
/// that asks no password.
pub(crate) fn apt_get() -> Option<impl Fn() -> Command> {
    let apt_get = find("apt-get")?;
    let root = output(Command::new("id").arg("-u"))? == "0";
    if !root {
        output(Command::new("sudo").args(["-n", "true"]))?;
    }
    Some(move || {
        let mut command = if root { Command::new("env") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "env"]);
        }
        // Its output is progress, and standard output is for results.
        command.arg("DEBIAN_FRONTEND=noninteractive").arg(&apt_get).stdin(Stdio::null()).stdout(std::io::stderr());
        command
    })
}

/// Installs Debian packages. The error is what to tell the user.
pub(crate) fn apt_install(packages: &[&str]) -> Result<(), String> {
    let wanted = packages.join(" ");
    let apt_get = apt_get().ok_or_else(|| format!("install these packages (Debian's names): {wanted}"))?;
    eprintln!("    apt-get install {wanted}");
    let install = || {
        apt_get()
            .args(["-o", "Dpkg::Use-Pty=0", "install", "-y", "-qq", "--no-install-recommends"])
            .args(packages)
            .status()
    };
    // The lists may be fresh enough already, and a mirror that does not answer takes its time.
    let installed = |status: std::io::Result<std::process::ExitStatus>| status.is_ok_and(|status| status.success());
    if installed(install()) {
        return Ok(());
    }
    eprintln!("    apt-get update");
    let _ = apt_get().args(["update", "-qq"]).status();
    if installed(install()) { Ok(()) } else { Err(format!("apt-get could not install them; by hand: {wanted}")) }
}
