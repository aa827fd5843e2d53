//! `cargo xtask test`: everything that has to hold before a change is taken, from formatting to the running server.

use std::process::Command;

use crate::build::{self, Profile};
use crate::cargo;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::process;
use crate::progress::{self, Progress};
use crate::project::Project;
use crate::setup::{self, Tools};
use crate::size;
use crate::summary::Summary;

/// A part of the whole, in the order of running: the cheap ones first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Format,
    Lint,
    LintWasm,
    Native,
    Build,
    Upload,
    BlackBox,
}

impl Stage {
    pub(crate) const ALL: [Self; 7] =
        [Self::Format, Self::Lint, Self::LintWasm, Self::Native, Self::Build, Self::Upload, Self::BlackBox];

    /// What `--only` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Lint => "lint",
            Self::LintWasm => "lint-wasm",
            Self::Native => "native",
            Self::Build => "build",
            Self::Upload => "upload",
            Self::BlackBox => "black-box",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Format => "Formatting (cargo fmt --check)",
            Self::Lint => "Lints, native (cargo clippy)",
            Self::LintWasm => "Lints, wasm32 (cargo clippy)",
            Self::Native => "Native tests (cargo test)",
            Self::Build => "The Worker's release build",
            Self::Upload => "The upload (wrangler deploy --dry-run)",
            Self::BlackBox => "Black-box tests against the Worker in workerd",
        }
    }

    /// Cannot be run on a build that is not there.
    fn needs_build(self) -> bool {
        matches!(self, Self::Upload | Self::BlackBox)
    }
}

pub(crate) fn run(project: &Project, only: &[Stage]) -> Result<()> {
    let wanted = |stage: &Stage| {
        only.is_empty()
            || only.contains(stage)
            || (*stage == Stage::Build && only.iter().any(|stage| stage.needs_build()))
    };
    let stages: Vec<Stage> = Stage::ALL.into_iter().filter(wanted).collect();
    let mut summary = Summary::default();
    let outcome = run_stages(project, &stages, &mut summary);
    if let Err(error) = &outcome {
        process::unless_ending();
        progress::tell(error);
    }
    if !summary.is_empty() {
        println!("{summary}");
    }
    outcome.map_err(|_| Error::Told)
}

fn run_stages(project: &Project, stages: &[Stage], summary: &mut Summary) -> Result<()> {
    let total = stages.len() + 1;
    let whole = Stopwatch::start();
    eprintln!("[1/{total}] Tools");
    let tools = setup::ensure(project, &mut Progress::Nested)?;
    setup::ensure_checkers(&mut Progress::Nested)?;
    eprintln!("      ready after {}", whole.seconds());
    for (index, &stage) in stages.iter().enumerate() {
        let stopwatch = Stopwatch::start();
        eprintln!("[{}/{total}] {}", index + 2, stage.title());
        run_stage(project, &tools, stage, summary)?;
        // The test runner's own summary is to stay the last word.
        if stage != Stage::BlackBox {
            eprintln!("      passed after {}, {} in all", stopwatch.seconds(), whole.seconds());
        }
    }
    Ok(())
}

fn run_stage(project: &Project, tools: &Tools, stage: Stage, summary: &mut Summary) -> Result<()> {
    let mut cargo = cargo::command();
    cargo.current_dir(project.root());
    match stage {
        Stage::Format => {
            cargo.args(["fmt", "--all", "--check"]);
            check(&mut cargo, "The code is not formatted", "run `cargo fmt --all`")
        }
        Stage::Lint => {
            cargo.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
            check(&mut cargo, "clippy has objections to the native code", "see its messages above")
        }
        Stage::LintWasm => {
            cargo.args(["clippy", "-p", "edgewise", "-p", "edgewise-core"]);
            cargo.args(["--target", "wasm32-unknown-unknown", "--", "-D", "warnings"]);
            check(&mut cargo, "clippy has objections to the Worker's code", "see its messages above")
        }
        Stage::Native => {
            cargo.args(["test", "--workspace", "--exclude", "edgewise-tests", "--no-fail-fast"]);
            test(&mut cargo, summary, "Native tests fail")
        }
        Stage::Build => build::build(project, tools, Profile::Release),
        Stage::Upload => {
            let mut wrangler = tools.node.wrangler(project);
            wrangler.args(["deploy", "--dry-run"]);
            let said = process::run_quietly(&mut wrangler, || {
                Error::failed("wrangler would not deploy this", "see its message above")
            })?;
            size::check(&said)
        }
        Stage::BlackBox => {
            cargo.args(["test", "-p", "edgewise-tests", "--no-fail-fast"]);
            cargo.env("EDGEWISE_NODE", tools.node.binary()).env("PATH", tools.node.path());
            test(&mut cargo, summary, "Black-box tests fail")
        }
    }
}

fn check(command: &mut Command, what: &str, mend: &str) -> Result<()> {
    if process::run(command)? { Ok(()) } else { Err(Error::failed(what, mend)) }
}

fn test(command: &mut Command, summary: &mut Summary, what: &str) -> Result<()> {
    if process::run_watched(command, |line| summary.count(line))? {
        Ok(())
    } else {
        Err(Error::failed(what, "see the test runner's output above"))
    }
}
