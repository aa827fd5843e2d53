//! What a build needs and a fresh machine lacks: the wasm32 target, two cargo tools, the Node packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::error::{Error, Result};
use crate::lockfile;
use crate::node::{self, Node};
use crate::process;
use crate::progress::Progress;
use crate::project::Project;
use crate::tools::{self, Tool};

const TARGET: &str = "wasm32-unknown-unknown";

/// How many steps [`ensure`] tells the user about.
pub(crate) const STEPS: u32 = 4;

/// Where everything is that builds and runs the Worker.
pub(crate) struct Tools {
    pub(crate) worker_build: PathBuf,
    pub(crate) wasm_bindgen: PathBuf,
    pub(crate) node: Node,
}

/// Finds the tools and installs those that are missing.
pub(crate) fn ensure(project: &Project, progress: &mut Progress) -> Result<Tools> {
    ensure_target(progress)?;
    // First what takes a minute and may lack its npm, then what takes several.
    let node = node::ensure(project, progress)?;
    let bindgen_version = lockfile::wasm_bindgen_version(project)?;
    let worker_build = Tool::worker_build().ensure(progress)?;
    let wasm_bindgen = Tool::wasm_bindgen(bindgen_version).ensure(progress)?;
    tools::clean_up()?;
    Ok(Tools { worker_build, wasm_bindgen, node })
}

fn ensure_target(progress: &mut Progress) -> Result<()> {
    if has_target() {
        progress.ready(&format!("Rust target {TARGET}: ready"));
        return Ok(());
    }
    progress.step(&format!("Rust target {TARGET}: installing (some seconds, once per toolchain)"));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]);
    install_with_rustup(&mut rustup, || {
        Error::failed(
            format!("The Rust target {TARGET} could not be installed"),
            format!("see rustup's message above, then try `rustup target add {TARGET}`"),
        )
    })
}

fn has_target() -> bool {
    process::capture(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_some_and(|folder| Path::new(&folder).is_dir())
}

/// rustfmt and clippy, which rustup's minimal profile leaves out.
pub(crate) fn ensure_checkers(progress: &mut Progress) -> Result<()> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if process::capture(cargo::command().args([command, "--version"])).is_some() {
            continue;
        }
        progress.step(&format!("{component}: installing (some seconds, once per toolchain)"));
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", component]);
        install_with_rustup(&mut rustup, || {
            Error::failed(
                format!("{component} could not be installed"),
                format!("see rustup's message above, then try `rustup component add {component}`"),
            )
        })?;
    }
    Ok(())
}

fn install_with_rustup(command: &mut Command, failed: impl FnOnce() -> Error) -> Result<()> {
    if process::capture(Command::new("rustup").arg("--version")).is_none() {
        return Err(Error::Missing {
            tool: "rustup",
            mend: "install Rust with it, as https://rustup.rs shows".to_owned(),
        });
    }
    process::run_quietly(command, failed)?;
    Ok(())
}
