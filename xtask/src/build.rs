//! Compiling the Worker with worker-build, and not doing it again where nothing has changed.
//!
//! A release build goes to `build/`, which is what wrangler.toml deploys. A dev build is a matter of seconds, since it is
//! not optimised, and goes to `build/dev/`, so that neither overwrites the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::cargo;
use crate::error::{Doing, Error, Result, create_dir, write};
use crate::process;
use crate::project::Project;
use crate::setup::Tools;
use crate::wasm;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    /// Where the build goes, from the root of the repository.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Dev => "build/dev",
            Self::Release => "build",
        }
    }

    /// Cargo's folder for the profile.
    fn compiled(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds the Worker; cheap where it is built already.
pub(crate) fn build(project: &Project, tools: &Tools, profile: Profile) -> Result<()> {
    let folder = project.path(profile.folder());
    let _lock = project.lock(&format!("build-{}", profile.name()))?;
    let fingerprint = compile(project, tools, profile)?;
    let stamp = folder.join(".fingerprint");
    let is_current = fs::read_to_string(&stamp).is_ok_and(|built| built == fingerprint)
        && folder.join("index.js").is_file()
        && folder.join("index_bg.wasm").is_file();
    if is_current {
        return Ok(());
    }
    bundle(project, tools, profile)?;
    if profile == Profile::Release {
        drop_names(&folder.join("index_bg.wasm"))?;
    }
    create_dir(&folder)?;
    write(&stamp, fingerprint)
}

/// Has cargo compile what has changed, and tells what it made.
fn compile(project: &Project, tools: &Tools, profile: Profile) -> Result<String> {
    let mut cargo = cargo::command();
    // As worker-build calls it, which afterwards finds everything compiled.
    cargo.current_dir(project.root()).args(["build", "--lib", "--target", "wasm32-unknown-unknown"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    if !process::run(&mut cargo)? {
        return Err(Error::failed("The Worker does not compile", "see the compiler's message above"));
    }
    let wasm =
        target_folder(project)?.join("wasm32-unknown-unknown").join(profile.compiled()).join("edgewise.wasm");
    let mut hash = Sha256::new();
    hash.update(fs::read(&wasm).doing(|| format!("read {}", wasm.display()))?);
    for tool in [&tools.worker_build, &tools.wasm_bindgen, &tools.node.wasm_opt(), &tools.node.esbuild()] {
        hash.update(tool.as_os_str().as_encoded_bytes());
    }
    Ok(hex::encode(hash.finalize()))
}

/// Cargo's `target`, which the environment and cargo's settings may have elsewhere.
fn target_folder(project: &Project) -> Result<PathBuf> {
    let metadata = process::capture(cargo::command().current_dir(project.root()).args([
        "metadata",
        "--no-deps",
        "--format-version=1",
    ]));
    metadata
        .and_then(|json| serde_json::from_str::<serde_json::Value>(&json).ok())
        .and_then(|metadata| metadata["target_directory"].as_str().map(PathBuf::from))
        .ok_or_else(|| {
            Error::failed("cargo does not tell its target folder", "try `cargo metadata --no-deps`")
        })
}

fn drop_names(module: &Path) -> Result<()> {
    let whole = fs::read(module).doing(|| format!("read {}", module.display()))?;
    let smaller = wasm::without_names(&whole).ok_or_else(|| {
        Error::failed(format!("{} is no WebAssembly module", module.display()), "remove build/ and try again")
    })?;
    write(module, smaller)
}

/// Has worker-build make the JavaScript around the wasm, and optimise both for a release.
fn bundle(project: &Project, tools: &Tools, profile: Profile) -> Result<()> {
    let mut command = Command::new(&tools.worker_build);
    command
        .current_dir(project.root())
        .arg(format!("--{}", profile.name()))
        .args(["--out-dir", profile.folder()])
        .env("PATH", tools.node.path())
        .env("WASM_BINDGEN_BIN", &tools.wasm_bindgen)
        .env("WASM_OPT_BIN", tools.node.wasm_opt())
        .env("ESBUILD_BIN", tools.node.esbuild())
        .env_remove("RUST_BACKTRACE");
    process::run_quietly(&mut command, || {
        Error::failed("The Worker compiles but could not be bundled", "see worker-build's message above")
    })?;
    Ok(())
}
