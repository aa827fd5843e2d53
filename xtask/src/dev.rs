//! `cargo xtask dev`: from a fresh clone to a server that answers, and back to nothing with Ctrl-C.

use std::env;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::build::{self, Profile};
use crate::clock::{self, Stopwatch};
use crate::dev_vars;
use crate::error::{Doing, Error, Result, create_dir};
use crate::http;
use crate::process::{self, Running};
use crate::progress::{self, Progress};
use crate::project::{Project, try_lock};
use crate::setup::{self, Tools};
use crate::token::{self, Claims};

/// How long the server has for its first answer, and how long after it has reported an error.
const PATIENCE: Duration = Duration::from_secs(90);
const PATIENCE_AFTER_ERROR: Duration = Duration::from_secs(5);
/// How long it may answer something else than 200 before it is shown as it is.
const PATIENCE_WITH_HEALTH: Duration = Duration::from_secs(5);

/// Tells the build command of wrangler.toml that this server calls it, and for which profile.
const SERVING: &str = "EDGEWISE_DEV_PROFILE";

pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) state: Option<PathBuf>,
    pub(crate) profile: Profile,
}

pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    check_port(address)?;
    let state = state_folder(project, options.state.as_deref())?;
    let _lock = try_lock(&state, "dev")?.ok_or_else(|| {
        Error::failed(
            format!("Another server is using {}", state.display()),
            "stop it, or choose another folder with `--state`",
        )
    })?;
    let secret = dev_vars::ensure_secret(project)?;

    let mut progress = Progress::counted(setup::STEPS + 3);
    let tools = setup::ensure(project, &mut progress)?;
    progress.step(&format!("The Worker: building ({})", options.profile.name()));
    build::build(project, &tools, options.profile)?;
    progress.step(&format!("The database in {}: migrating", state.display()));
    migrate(project, &tools, &state)?;
    progress.step(&format!("The server: starting on {address}"));
    let mut server = Server::start(project, &tools, address, &state, options.profile)?;
    let note = server.wait_for_health()?;

    let claims = Claims {
        sub: "ana".to_owned(),
        name: Some("Ana".to_owned()),
        is_owner: true,
        hours: 12,
        ..Claims::default()
    };
    let token = token::mint(claims, &secret, clock::unix_seconds())?;
    println!("{}", welcome(address, &token));
    if let Some(note) = note {
        eprintln!("{note}");
    }
    server.follow()
}

/// The profile of the server that called this program, if one did.
pub(crate) fn serving() -> Option<Profile> {
    match env::var(SERVING).as_deref() {
        Ok("dev") => Some(Profile::Dev),
        Ok("release") => Some(Profile::Release),
        _ => None,
    }
}

/// Builds what has been edited. A failure is told, but is none for wrangler, which would print a backtrace and stop
/// answering: the server goes on with the last build.
pub(crate) fn rebuild(project: &Project, profile: Profile) {
    let rebuilt =
        setup::ensure(project, &mut Progress::Quiet).and_then(|tools| build::build(project, &tools, profile));
    if let Err(error) = rebuilt {
        process::unless_ending();
        progress::tell(&error);
    }
}

fn check_port(address: SocketAddr) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Error::PortTaken(address.port())),
        Err(source) => Err(Error::Io { doing: format!("listen on {address}"), source }),
    }
}

fn state_folder(project: &Project, chosen: Option<&Path>) -> Result<PathBuf> {
    let here = env::current_dir().doing(|| "tell the current folder".to_owned())?;
    create_dir(chosen.map_or_else(|| project.path(".wrangler/state"), |folder| here.join(folder)))
}

fn migrate(project: &Project, tools: &Tools, state: &Path) -> Result<()> {
    let mut wrangler = tools.node.wrangler(project);
    wrangler.args(["d1", "migrations", "apply", "DB", "--local", "--persist-to"]).arg(state);
    process::run_quietly(&mut wrangler, || {
        Error::failed(
            "The migrations could not be applied",
            format!("see wrangler's message above, or start afresh by removing {}", state.display()),
        )
    })?;
    Ok(())
}

fn welcome(address: SocketAddr, token: &str) -> String {
    format!(
        "
Edgewise is running at http://{address} (Ctrl-C ends it)

A token for 12 hours, of the user ana, who is an owner:

{token}

To list the channels, and to follow one from another terminal:

curl -sS -H 'Authorization: Bearer {token}' http://{address}/api/channels

EDGEWISE_URL=http://{address} EDGEWISE_TOKEN={token} cargo run -p edgewise-cli -- tail general
"
    )
}

/// `wrangler dev`, which rebuilds the Worker when its source changes.
struct Server {
    running: Running,
    output: Receiver<String>,
    address: SocketAddr,
}

impl Server {
    fn start(
        project: &Project,
        tools: &Tools,
        address: SocketAddr,
        state: &Path,
        profile: Profile,
    ) -> Result<Self> {
        let mut wrangler: Command = tools.node.wrangler(project);
        wrangler
            .arg("dev")
            .arg(format!("{}/index.js", profile.folder()))
            .args(["--ip", &address.ip().to_string(), "--port", &address.port().to_string()])
            .args(["--inspector-port", "0", "--show-interactive-dev-session=false", "--persist-to"])
            .arg(state)
            .env(SERVING, profile.name())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running::spawn(&mut wrangler)?;
        let output = process::gather(&mut running);
        Ok(Self { running, output, address })
    }

    /// Waits for an answer; where it is not 200, gives what there is to say about it.
    fn wait_for_health(&mut self) -> Result<Option<String>> {
        let started = Stopwatch::start();
        let mut said = Vec::new();
        let mut error_since: Option<Stopwatch> = None;
        let mut answering_since: Option<Stopwatch> = None;
        loop {
            match self.output.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    if line.contains("ERROR") {
                        error_since.get_or_insert_with(Stopwatch::start);
                    }
                    said.push(line);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(not_started(&said, "The server ended at once"));
                }
            }
            if let Ok(answer) = http::get(self.address, "/health") {
                let since = *answering_since.get_or_insert_with(Stopwatch::start);
                if answer.status == 200 {
                    return Ok(None);
                }
                if since.elapsed() > PATIENCE_WITH_HEALTH {
                    return Ok(Some(format!("/health answers {}: {}", answer.status, answer.body)));
                }
                continue;
            }
            if error_since.is_some_and(|since| since.elapsed() > PATIENCE_AFTER_ERROR) {
                return Err(not_started(&said, "The server does not start"));
            }
            if started.elapsed() > PATIENCE {
                return Err(not_started(&said, "The server does not answer"));
            }
        }
    }

    /// Shows what the server says, until it ends.
    fn follow(&mut self) -> Result<()> {
        while let Ok(line) = self.output.recv() {
            println!("{}", line.strip_prefix("[custom build] ").unwrap_or(&line));
        }
        self.running.succeeds()?;
        Err(Error::failed("The server has ended", "see wrangler's message above"))
    }
}

fn not_started(said: &[String], what: &str) -> Error {
    process::unless_ending();
    for line in said {
        eprintln!("{line}");
    }
    Error::failed(what, "see wrangler's message above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_to_paste_hold_address_and_token() {
        let text = welcome(SocketAddr::from((Ipv4Addr::LOCALHOST, 8788)), "a.b.c");
        assert!(
            text.contains("curl -sS -H 'Authorization: Bearer a.b.c' http://127.0.0.1:8788/api/channels\n")
        );
        assert!(
            text.contains(
                "EDGEWISE_URL=http://127.0.0.1:8788 EDGEWISE_TOKEN=a.b.c cargo run -p edgewise-cli"
            )
        );
    }

    #[test]
    fn a_port_in_use_is_refused() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        assert!(matches!(check_port(address), Err(Error::PortTaken(port)) if port == address.port()));
    }
}
