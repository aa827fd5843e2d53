//! The project's own commands, called as `cargo xtask`: they need nothing but Rust, Node and npm, and install the rest.

mod arguments;
mod bench;
mod build;
mod cargo;
mod clock;
mod dev;
mod dev_vars;
mod error;
mod http;
mod lockfile;
mod node;
mod process;
mod progress;
mod project;
mod setup;
mod size;
mod summary;
mod test;
mod token;
mod tools;
mod wasm;

use std::process::ExitCode;

use arguments::{Command, HELP};
use error::Result;
use progress::Progress;
use project::Project;

fn main() -> ExitCode {
    match arguments::parse(lexopt::Parser::from_env()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::unless_ending();
            progress::tell(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    if let Command::Help = command {
        println!("{HELP}");
        return Ok(());
    }
    process::end_children_on_signals()?;
    let project = Project::find()?;
    match command {
        Command::Help => Ok(()),
        Command::Dev(options) => dev::run(&project, &options),
        Command::Test(only) => test::run(&project, &only),
        Command::Bench(options) => bench::run(&project, &options),
        Command::Build(profile) => {
            let tools = setup::ensure(&project, &mut Progress::Quiet)?;
            build::build(&project, &tools, profile)
        }
        Command::Rebuild(profile) => {
            dev::rebuild(&project, profile);
            Ok(())
        }
        Command::Token(claims) => {
            let token = token::mint(claims, &dev_vars::secret(&project)?, clock::unix_seconds())?;
            println!("{token}");
            Ok(())
        }
    }
}
