//! The command line.

use lexopt::{Arg, Parser, ValueExt};

use crate::bench;
use crate::build::Profile;
use crate::dev;
use crate::error::{Error, Result};
use crate::test::Stage;
use crate::token::Claims;

pub(crate) const HELP: &str = "\
cargo xtask dev [--port 8787] [--state DIR] [--release]
    Starts the server on this machine; what is missing is installed first.
    --state    where the database lives (.wrangler/state)
    --release  optimised, as it would be deployed

cargo xtask test [--only STAGE]…
    Runs all checks and tests, or only: format, lint, lint-wasm, native, build, upload, black-box.

cargo xtask bench [--rounds 3]
    Measures what the server costs beside a bare JavaScript Worker, on this machine, and shows the ratios.

cargo xtask token --sub ID [--name NAME] [--owner] [--admin] [--scope SCOPE] [--hours 12]
    Prints a token for the local server, signed with the secret in .dev.vars.

cargo xtask build [--release | --dev]
    Compiles the Worker into build/ (build/dev/ with --dev); wrangler calls it before it deploys or serves.";

pub(crate) enum Command {
    Help,
    Dev(dev::Options),
    Test(Vec<Stage>),
    Bench(bench::Options),
    Build(Profile),
    /// A build for the server that `dev` has started.
    Rebuild(Profile),
    Token(Claims),
}

pub(crate) fn parse(mut parser: Parser) -> Result<Command> {
    let Some(first) = parser.next()? else { return Ok(Command::Help) };
    match first {
        Arg::Value(name) if name == "dev" => dev(parser),
        Arg::Value(name) if name == "test" => test(parser),
        Arg::Value(name) if name == "bench" => bench(parser),
        Arg::Value(name) if name == "build" => build(parser),
        Arg::Value(name) if name == "token" => token(parser),
        Arg::Value(name) if name == "help" => Ok(Command::Help),
        Arg::Long("help") | Arg::Short('h') => Ok(Command::Help),
        other => Err(other.unexpected().into()),
    }
}

fn dev(mut parser: Parser) -> Result<Command> {
    let mut options = dev::Options { port: 8787, state: None, profile: Profile::Dev };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("port") => options.port = parser.value()?.parse()?,
            Arg::Long("state") => options.state = Some(parser.value()?.into()),
            Arg::Long("release") => options.profile = Profile::Release,
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Dev(options))
}

fn test(mut parser: Parser) -> Result<Command> {
    let mut only = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("only") => {
                let name = parser.value()?.string()?;
                let stage = Stage::ALL.into_iter().find(|stage| stage.name() == name);
                only.push(stage.ok_or_else(|| Error::Usage(format!("There is no stage `{name}`")))?);
            }
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Test(only))
}

fn bench(mut parser: Parser) -> Result<Command> {
    let mut options = bench::Options { rounds: bench::ROUNDS };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Bench(options))
}

fn build(mut parser: Parser) -> Result<Command> {
    let mut profile = Profile::Release;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("release") => profile = Profile::Release,
            Arg::Long("dev") => profile = Profile::Dev,
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(dev::serving().map_or(Command::Build(profile), Command::Rebuild))
}

fn token(mut parser: Parser) -> Result<Command> {
    let mut claims = Claims { hours: 12, ..Claims::default() };
    let mut sub = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("sub") => sub = Some(parser.value()?.string()?),
            Arg::Long("name") => claims.name = Some(parser.value()?.string()?),
            Arg::Long("scope") => claims.scope = Some(parser.value()?.string()?),
            Arg::Long("hours") => claims.hours = parser.value()?.parse()?,
            Arg::Long("owner") => claims.is_owner = true,
            Arg::Long("admin") => claims.is_admin = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    claims.sub =
        sub.ok_or_else(|| Error::Usage("`--sub` is missing, the id of the token's user".to_owned()))?;
    Ok(Command::Token(claims))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command> {
        parse(Parser::from_args(arguments))
    }

    #[test]
    fn dev_listens_on_8787_unless_told_otherwise() {
        assert!(matches!(parsed(&["dev"]), Ok(Command::Dev(options)) if options.port == 8787));
        assert!(matches!(parsed(&["dev", "--port=9"]), Ok(Command::Dev(options)) if options.port == 9));
        assert!(parsed(&["dev", "--port", "eighty"]).is_err());
    }

    #[test]
    fn a_bench_has_at_least_one_round() {
        assert!(matches!(parsed(&["bench"]), Ok(Command::Bench(options)) if options.rounds == bench::ROUNDS));
        assert!(
            matches!(parsed(&["bench", "--rounds", "5"]), Ok(Command::Bench(options)) if options.rounds.get() == 5)
        );
        assert!(parsed(&["bench", "--rounds", "0"]).is_err());
    }

    #[test]
    fn a_token_needs_a_user() {
        assert!(matches!(parsed(&["token"]), Err(Error::Usage(_))));
        let command = parsed(&["token", "--sub", "ana", "--owner", "--hours", "1"]);
        assert!(
            matches!(command, Ok(Command::Token(claims)) if claims.sub == "ana" && claims.is_owner && claims.hours == 1)
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(matches!(parsed(&["test", "--only", "nothing"]), Err(Error::Usage(_))));
        assert!(matches!(parsed(&["deploy"]), Err(Error::Usage(_))));
        assert!(matches!(parsed(&[]), Ok(Command::Help)));
    }
}
