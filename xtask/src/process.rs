//! Child processes, of which none outlives this one.
//!
//! Every child leads its own process group, so that whatever it starts in turn (workerd, esbuild, rustc) can be
//! reached. A thread waits for SIGINT, SIGTERM and SIGHUP and takes all groups down before this process ends.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::clock::Stopwatch;
use crate::error::{Doing, Error, Result};

/// How long a group has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn groups() -> MutexGuard<'static, Vec<Pid>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns only where no signal is ending this process: what fails because of one is no news.
pub(crate) fn unless_ending() {
    drop(groups());
}

/// From here on a signal ends this process and all that it started.
pub(crate) fn end_children_on_signals() -> Result<()> {
    let mut wanted = vec![SIGINT, SIGTERM];
    // Under nohup, losing the terminal is no reason to end.
    if !ignores_hangup() {
        wanted.push(SIGHUP);
    }
    let mut signals = Signals::new(wanted).doing(|| "listen for Ctrl-C".to_owned())?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Held until the end, so that the main thread starts nothing more.
            let groups = groups();
            eprintln!("Stopping.");
            end(&groups);
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP))
}

/// Whether the process whose `/proc/…/status` this is ignores a signal.
fn ignores(status: &str, signal: i32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn end(groups: &[Pid]) {
    for &group in groups {
        // It may have ended already: that is what is wanted.
        let _ = kill_process_group(group, Signal::TERM);
    }
    let waited = Stopwatch::start();
    while groups.iter().any(|&group| lives(group)) {
        if waited.elapsed() > GRACE {
            for &group in groups {
                let _ = kill_process_group(group, Signal::KILL);
            }
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether anyone in the group is still running; reaps its leader, who would count as alive until then.
fn lives(group: Pid) -> bool {
    let _ = waitpgid(group, WaitOptions::NOHANG);
    test_kill_process_group(group).is_ok()
}

/// A running child; dropping it ends its whole group.
pub(crate) struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let mut groups = groups();
        let child = command
            .process_group(0)
            .spawn()
            .doing(|| format!("start {}", command.get_program().to_string_lossy()))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        groups.extend(group);
        Ok(Self { child, group })
    }

    pub(crate) fn output(&mut self) -> impl Iterator<Item = Box<dyn Read + Send>> + use<> {
        let stdout = self.child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let stderr = self.child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        stdout.into_iter().chain(stderr)
    }

    /// Whether it ended well; waits for it.
    pub(crate) fn succeeds(&mut self) -> Result<bool> {
        let status = self.child.wait().doing(|| "wait for a child process".to_owned())?;
        Ok(status.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            end(&[group]);
            groups().retain(|&other| other != group);
        }
    }
}

/// Runs a command whose output the user should see as it comes; true where it succeeded.
pub(crate) fn run(command: &mut Command) -> Result<bool> {
    Running::spawn(command.stdin(Stdio::null()))?.succeeds()
}

/// Runs a command, showing each line of its standard output and handing it to `line`.
pub(crate) fn run_watched(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let mut running = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    for pipe in running.output() {
        for text in lines(pipe) {
            println!("{text}");
            line(&text);
        }
    }
    running.succeeds()
}

/// What a short command prints, `None` where it cannot be started or fails.
pub(crate) fn capture(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a long command whose output is of interest only where it fails, with a sign of life now and then.
/// Gives what it printed, line by line.
pub(crate) fn run_quietly(command: &mut Command, failed: impl FnOnce() -> Error) -> Result<Vec<String>> {
    const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

    let mut running =
        Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let started = Stopwatch::start();
    let output = gather(&mut running);
    let mut shown = Duration::ZERO;
    let mut lines = Vec::new();
    loop {
        match output.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => lines.push(line),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        if started.elapsed() - shown >= SIGN_OF_LIFE {
            shown = started.elapsed();
            let now = lines.last().map_or("", |line| line.trim());
            eprintln!("      {}: {now}", started.seconds());
        }
    }
    if running.succeeds()? {
        return Ok(lines);
    }
    lines.retain(|line| !is_backtrace(line));
    unless_ending();
    for line in lines.iter().skip(lines.len().saturating_sub(30)) {
        eprintln!("      {line}");
    }
    Err(failed())
}

/// A line of a JavaScript backtrace, which helps nobody who only calls the tool.
fn is_backtrace(line: &str) -> bool {
    line.trim_start_matches("npm error").trim_start().starts_with("at ")
}

/// The lines of both outputs, as they come; ends when both are closed.
pub(crate) fn gather(running: &mut Running) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    for pipe in running.output() {
        let sender = sender.clone();
        thread::spawn(move || lines(pipe).try_for_each(|line| sender.send(line)));
    }
    receiver
}

fn lines(pipe: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(pipe)
        .split(b'\n')
        .map_while(std::io::Result::ok)
        .map(|line| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_fails_with_the_sentence_given() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo told; exit 3"]);
        let result = run_quietly(&mut command, || Error::failed("It failed", "try again"));
        assert_eq!(result.map_err(|error| error.to_string()), Err("It failed: try again.".to_owned()));

        let mut command = Command::new("sh");
        command.args(["-c", "echo told"]);
        let result = run_quietly(&mut command, || Error::failed("It failed", "try again"));
        assert_eq!(result.ok(), Some(vec!["told".to_owned()]));
    }

    #[test]
    fn what_a_child_started_ends_with_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(Stdio::piped());
        let mut running = Running::spawn(&mut command).expect("sh starts");
        let grandchild = gather(&mut running).recv().expect("its process id");
        let process = std::path::PathBuf::from(format!("/proc/{grandchild}"));
        assert!(process.exists());
        drop(running);
        assert!(!process.exists() || is_zombie(&process));
    }

    fn is_zombie(process: &std::path::Path) -> bool {
        std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z"))
    }

    #[test]
    fn ignored_signals_are_read_from_the_kernels_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT));
    }

    #[test]
    fn backtraces_are_told_from_messages() {
        assert!(is_backtrace("npm error     at process (node:internal/process:83:21)"));
        assert!(is_backtrace("    at async main (cli.js:1:2)"));
        assert!(!is_backtrace("npm error connect ECONNREFUSED"));
    }
}
