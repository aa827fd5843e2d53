//! The `edgewise` command: a channel at the prompt.

mod commands;
mod context;
mod failure;
mod find;
mod home;
mod key;
mod replay;
mod screen;
mod session;

use std::process::ExitCode;

use clap::Parser;

use crate::{commands::Command, context::Options};

const EXAMPLES: &str = "\
Examples:
  edgewise login --name Ana
  edgewise channels
  edgewise send general 'Hello, everyone'
  edgewise tail general
  edgewise history general --limit 200 --json | jq -r .content
  edgewise react general 12 👍

CHANNEL is a channel's name or id, MESSAGE a message's number in its channel or its id.";

/// Chat in the channels of an Edgewise server.
#[derive(Debug, Parser)]
#[command(name = "edgewise", version, after_help = EXAMPLES, max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.options.context(arguments.command.needs_token()) {
        Ok(mut context) => arguments.command.run(&mut context).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Who read the output has had enough: `edgewise history general | head`.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("edgewise: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Arguments::command().get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("edgewise "), "{} has no example", command.get_name());
        }
    }
}
