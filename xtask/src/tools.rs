//! worker-build and wasm-bindgen, compiled from crates.io once per user into a folder that every clone finds.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::error::{Doing, Error, Result, create_dir, read, write};
use crate::process;
use crate::progress::Progress;
use crate::project::{lock, tools_folder, try_lock};

/// The version goes with that of the `worker` crate.
const WORKER_BUILD: &str = "0.8.7";

/// Where the tools are compiled, inside their folder; gone when they are.
const COMPILED: &str = ".compiled";

/// A command that cargo can install.
pub(crate) struct Tool {
    package: &'static str,
    binary: &'static str,
    version: String,
    source: Source,
}

#[derive(Clone, Copy)]
enum Source {
    Registry,
    WithoutOpenssl,
}

impl Tool {
    pub(crate) fn worker_build() -> Self {
        Self {
            package: "worker-build",
            binary: "worker-build",
            version: WORKER_BUILD.to_owned(),
            source: Source::WithoutOpenssl,
        }
    }

    pub(crate) fn wasm_bindgen(version: String) -> Self {
        Self { package: "wasm-bindgen-cli", binary: "wasm-bindgen", version, source: Source::Registry }
    }

    /// The path of the command, which is installed where neither PATH nor the cache has this version.
    pub(crate) fn ensure(&self, progress: &mut Progress) -> Result<PathBuf> {
        let label = format!("{} {}", self.package, self.version);
        let on_path = PathBuf::from(self.binary);
        if self.answers(&on_path) {
            progress.ready(&format!("{label}: ready, from PATH"));
            return Ok(on_path);
        }
        let folder = tools_folder()?;
        let home = folder.join(format!("{}-{}", self.package, self.version));
        let cached = home.join("bin").join(self.binary);
        if cached.is_file() {
            progress.ready(&format!("{label}: ready"));
            return Ok(cached);
        }
        progress.step(&format!("{label}: installing (some minutes, once per user)"));
        // Whoever waits here for another installation finds it done.
        let _lock = lock(&folder, "install")?;
        if !cached.is_file() {
            self.install(&folder, &home)?;
        }
        Ok(cached)
    }

    fn answers(&self, command: &Path) -> bool {
        process::capture(Command::new(command).arg("--version"))
            .and_then(|answer| answer.split_whitespace().next_back().map(|version| version == self.version))
            .unwrap_or(false)
    }

    fn install(&self, folder: &Path, home: &Path) -> Result<()> {
        self.check_compiler()?;
        let unfinished = folder.join(format!(".unfinished-{}", self.package));
        remove(&unfinished)?;
        let mut install = cargo::command();
        install.current_dir(folder).arg("install");
        match self.source {
            Source::Registry => install.args([self.package, "--version", &format!("={}", self.version)]),
            Source::WithoutOpenssl => install.arg("--path").arg(without_openssl(folder, self)?),
        };
        install
            // Unoptimised tools take a second longer a build, and minutes less to compile.
            .args(["--debug", "--force", "--root"])
            .arg(&unfinished)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TARGET_DIR", folder.join(COMPILED))
            .env_remove("CARGO_BUILD_TARGET");
        process::run_quietly(&mut install, || self.not_installed("see cargo's message above"))?;
        fs::rename(&unfinished, home).doing(|| format!("create {}", home.display()))
    }

    fn not_installed(&self, why: &str) -> Error {
        Error::failed(
            format!("{} {} could not be installed", self.package, self.version),
            format!("{why}; with the network and the disk in order, try again"),
        )
    }

    fn check_compiler(&self) -> Result<()> {
        if process::capture(Command::new("cc").arg("--version")).is_none() {
            return Err(Error::Missing {
                tool: "A C compiler (cc)",
                mend: format!("{} needs it, on Debian `apt-get install build-essential`", self.package),
            });
        }
        Ok(())
    }
}

/// A copy of the tool's source that compiles without OpenSSL's headers, which many machines lack. Only its own downloads
/// need them, and it downloads nothing where every tool is named to it.
fn without_openssl(folder: &Path, tool: &Tool) -> Result<PathBuf> {
    let (package, version) = (tool.package, &tool.version);
    let folder = folder.join(COMPILED).join("source");
    remove(&folder)?;
    let fetch = create_dir(folder.join("fetch"))?;
    write(&fetch.join("lib.rs"), "")?;
    write(
        &fetch.join("Cargo.toml"),
        format!("package.name = 'fetch'\nlib.path = 'lib.rs'\ndependencies.{package} = '={version}'\n"),
    )?;
    process::run_quietly(cargo::command().arg("fetch").current_dir(&fetch), || {
        tool.not_installed("see cargo's message above")
    })?;
    let source = registry_source(&format!("{package}-{version}"))
        .ok_or_else(|| tool.not_installed("cargo did not unpack its source"))?;

    let copy = folder.join(package);
    copy_folder(&source, &copy)?;
    let manifest = copy.join("Cargo.toml");
    write(&manifest, read(&manifest)?.replace("    \"native-tls\",\n", ""))?;
    Ok(copy)
}

/// Where cargo unpacked a package, `name-version`.
fn registry_source(package: &str) -> Option<PathBuf> {
    let cargo_home =
        env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))?;
    fs::read_dir(cargo_home.join("registry/src"))
        .ok()?
        .filter_map(|registry| Some(registry.ok()?.path().join(package)))
        .find(|source| source.join("Cargo.toml").is_file())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    create_dir(to)?;
    for entry in fs::read_dir(from).doing(|| format!("read {}", from.display()))? {
        let entry = entry.doing(|| format!("read {}", from.display()))?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &copy)?;
        } else {
            fs::copy(&source, &copy).doing(|| format!("copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Drops what compiling the tools left behind, a gigabyte that nobody needs again.
pub(crate) fn clean_up() -> Result<()> {
    let folder = tools_folder()?;
    let compiled = folder.join(COMPILED);
    // Where another process is still compiling there, it will clean up.
    if compiled.exists()
        && let Some(_lock) = try_lock(&folder, "install")?
    {
        remove(&compiled)?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).doing(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}
