//! Node and the npm packages of package.json: wrangler, workerd, esbuild, wasm-opt.
//!
//! wrangler needs a newer Node than many machines have, so package.json brings one along; the system's Node and npm, of
//! any version from 18, only have to install it.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::{Doing, Error, Result, read, write};
use crate::process;
use crate::progress::Progress;
use crate::project::Project;

const OLDEST_FOR_NPM: u32 = 18;
const OLDEST_FOR_WRANGLER: u32 = 22;

/// The installed packages.
pub(crate) struct Node {
    binary: PathBuf,
    packages: PathBuf,
}

impl Node {
    /// A Node that is new enough for wrangler.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(crate) fn wasm_opt(&self) -> PathBuf {
        self.packages.join(".bin/wasm-opt")
    }

    /// The native binary: the one in `.bin` may be a script that starts it.
    pub(crate) fn esbuild(&self) -> PathBuf {
        let native = self.packages.join(format!("@esbuild/{}/bin/esbuild", platform()));
        if native.is_file() { native } else { self.packages.join(".bin/esbuild") }
    }

    /// PATH with this Node and the packages' commands first.
    pub(crate) fn path(&self) -> OsString {
        let own = [self.binary.parent().map(Path::to_owned), Some(self.packages.join(".bin"))];
        let inherited = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = own.into_iter().flatten().chain(env::split_paths(&inherited)).collect();
        env::join_paths(folders).unwrap_or(inherited)
    }

    /// wrangler, quiet and without calls home.
    pub(crate) fn wrangler(&self, project: &Project) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .current_dir(project.root())
            .arg(self.packages.join("wrangler/bin/wrangler.js"))
            .env("PATH", self.path())
            .env("WRANGLER_SEND_METRICS", "false")
            .env("WRANGLER_HIDE_BANNER", "true")
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
            .env("X_LOCAL_OBSERVABILITY", "false");
        command
    }

    fn locate(packages: &Path) -> Option<Self> {
        let binary = [own_node(packages), PathBuf::from("node")]
            .into_iter()
            .find(|node| major_version(node).is_some_and(|major| major >= OLDEST_FOR_WRANGLER))?;
        Some(Self { binary, packages: packages.to_owned() })
    }

    /// The first of the packages' commands that does not run.
    fn broken(&self) -> Option<&'static str> {
        let starts = |command: &Path| {
            process::capture(Command::new(command).arg("--version").env("PATH", self.path())).is_some()
        };
        let bin = |name: &str| self.packages.join(".bin").join(name);
        [
            ("wrangler", bin("wrangler")),
            ("workerd", bin("workerd")),
            ("esbuild", self.esbuild()),
            ("wasm-opt", self.wasm_opt()),
        ]
        .into_iter()
        .find_map(|(name, command)| (!starts(&command)).then_some(name))
    }
}

/// Installs the packages where they are missing or package-lock.json has changed since.
pub(crate) fn ensure(project: &Project, progress: &mut Progress) -> Result<Node> {
    let packages = project.path("node_modules");
    let stamp = packages.join(".edgewise");
    let wanted = hex::encode(Sha256::digest(read(&project.path("package-lock.json"))?));
    let is_current = || std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);

    if is_current()
        && let Some(node) = Node::locate(&packages)
    {
        progress.ready("Node packages: ready");
        return Ok(node);
    }
    progress.step("Node packages: installing (up to 1 minute, once per clone)");
    let _lock = project.lock("node")?;
    if !is_current() {
        install(project)?;
        link_node(&packages)?;
    }
    let node = Node::locate(&packages).ok_or_else(|| Error::Missing {
        tool: "A Node new enough for wrangler",
        mend: format!("none comes for this kind of machine, so install Node {OLDEST_FOR_WRANGLER} or later"),
    })?;
    if let Some(name) = node.broken() {
        return Err(Error::failed(
            format!("{name} is installed in node_modules but does not run"),
            "remove the folder node_modules and try again",
        ));
    }
    write(&stamp, wanted)?;
    Ok(node)
}

fn install(project: &Project) -> Result<()> {
    let missing = |tool| Error::Missing {
        tool,
        mend: format!(
            "install Node {OLDEST_FOR_NPM} or later with npm, on Debian `apt-get install nodejs npm`"
        ),
    };
    let major = major_version(Path::new("node")).ok_or_else(|| missing("Node"))?;
    if major < OLDEST_FOR_NPM {
        return Err(Error::failed(
            format!("Node {major} is too old"),
            format!("install Node {OLDEST_FOR_NPM} or later with npm"),
        ));
    }
    process::capture(Command::new("npm").arg("--version")).ok_or_else(|| missing("npm"))?;
    let mut npm = Command::new("npm");
    npm.current_dir(project.root())
        // The packages' scripts only shorten what works without them.
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-engine-strict"])
        .args(["--include=dev", "--include=optional", "--loglevel=error"]);
    process::run_quietly(&mut npm, || {
        Error::failed(
            "The Node packages could not be installed",
            "see npm's message above; with the network and the disk in order, try again",
        )
    })?;
    Ok(())
}

/// What npm calls this kind of machine.
fn platform() -> &'static str {
    match (env::consts::OS, env::consts::ARCH) {
        ("macos", "aarch64") => "darwin-arm64",
        ("macos", _) => "darwin-x64",
        (_, "aarch64") => "linux-arm64",
        _ => "linux-x64",
    }
}

/// The Node that package.json brings along.
fn own_node(packages: &Path) -> PathBuf {
    packages.join(format!("node-{}/bin/node", platform()))
}

/// Makes `npx wrangler` find that Node: npm up to 10 drops the link when it drops the package of the other platform.
fn link_node(packages: &Path) -> Result<()> {
    let link = packages.join(".bin/node");
    if own_node(packages).is_file() && !link.exists() {
        let target = Path::new("..").join(format!("node-{}/bin/node", platform()));
        symlink(target, &link).doing(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

fn major_version(node: &Path) -> Option<u32> {
    parse_major(&process::capture(Command::new(node).arg("--version"))?)
}

fn parse_major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node() {
        assert_eq!(parse_major("v24.21.0"), Some(24));
        assert_eq!(parse_major("command not found"), None);
    }
}
