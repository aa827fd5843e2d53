//! The `edgewise` command, run as people run it.

use std::{
    env,
    path::PathBuf,
    process::{Output, Stdio},
    sync::LazyLock,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::User;

/// Longer than any line takes: only what never comes takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command's program: the one that `EDGEWISE_COMMAND` names, else it is built at first use, with the whole workspace
/// in view, so that what its native tests were built of serves here, too.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(program) = env::var_os("EDGEWISE_COMMAND") {
        return program.into();
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = std::process::Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--exclude", "edgewise-tests", "--bin", "edgewise"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    let lines = String::from_utf8_lossy(&built.stdout);
    let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = artifacts.filter_map(|artifact| Some(artifact["executable"].as_str()?.into())).next_back();
    program.expect("the edgewise command builds")
});

/// The command with these arguments, with a user's token.
pub fn edgewise(user: &User, arguments: &[&str]) -> Command {
    let mut command = Command::new(&*PROGRAM);
    command.args(arguments).env("EDGEWISE_URL", user.url()).stdin(Stdio::null()).kill_on_drop(true);
    if user.token().is_empty() {
        command.env_remove("EDGEWISE_TOKEN");
    } else {
        command.env("EDGEWISE_TOKEN", user.token());
    }
    command
}

/// Runs the command, and gives what it printed.
pub async fn run(user: &User, arguments: &[&str]) -> String {
    let output = try_run(user, arguments).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "edgewise {}: {complaint}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("the command prints text")
}

/// Runs the command to its end, good or bad.
pub async fn try_run(user: &User, arguments: &[&str]) -> Output {
    edgewise(user, arguments).output().await.expect("the command runs")
}

/// The command running, and the JSON lines that it prints.
#[derive(Debug)]
pub struct Watch {
    /// The process.
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    /// Starts the command.
    #[must_use]
    pub fn start(user: &User, arguments: &[&str]) -> Self {
        Self::of(edgewise(user, arguments))
    }

    /// Starts a command that is all but started.
    #[must_use]
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the command runs");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { child, lines }
    }

    /// The next line.
    pub async fn next(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line, in time");
        let line = line.expect("the command prints text").expect("the command is still running");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}
