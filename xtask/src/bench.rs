//! `cargo xtask bench`: what the server costs, beside the least that the platform permits. `bench/run.mjs` measures.

use std::num::NonZeroU32;
use std::process::Command;

use crate::build::{self, Profile};
use crate::error::{Error, Result};
use crate::process;
use crate::progress::Progress;
use crate::project::Project;
use crate::setup;

pub(crate) const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

pub(crate) struct Options {
    pub(crate) rounds: NonZeroU32,
}

pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let mut progress = Progress::counted(setup::STEPS + 2);
    let tools = setup::ensure(project, &mut progress)?;
    progress.step("The Worker: building (release)");
    build::build(project, &tools, Profile::Release)?;
    progress.step("Measuring, which takes some minutes");
    let mut node = Command::new(tools.node.binary());
    node.current_dir(project.root()).arg("bench/run.mjs").arg(options.rounds.to_string());
    node.env("PATH", tools.node.path());
    if process::run(&mut node)? {
        Ok(())
    } else {
        Err(Error::failed("The measurement broke off", "see the message above"))
    }
}
