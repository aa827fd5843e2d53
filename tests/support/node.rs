//! The Node process that runs the server, and the JSON lines spoken with it.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use tokio::sync::oneshot;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) state: PathBuf,
    pub(crate) vars: HashMap<String, String>,
    /// Where what the server logs is kept, if it is to be.
    pub(crate) log: Option<PathBuf>,
}

/// The running process. Ends when dropped, and with it everything that it started; so it does with this program.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    ids: AtomicU64,
    pub(crate) url: String,
}

impl Node {
    /// Starts the server on this port, 0 for any, and returns when it answers.
    pub(crate) fn start(plan: &Plan, port: u16) -> Self {
        let root = root();
        let build = env::var_os("EDGEWISE_BUILD").map_or_else(|| root.join("build"), PathBuf::from);
        assert!(
            build.join("index.js").is_file(),
            "no built Worker in {}: `cargo xtask test` builds it first",
            build.display()
        );
        let mut child = Command::new(node())
            .arg(root.join("tests/harness/server.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("node does not start ({error}): set EDGEWISE_NODE to a node 22 or later")
            });
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let plan = json!({
            "root": root, "build": build, "state": plan.state, "port": port, "vars": plan.vars, "log": plan.log,
        });
        writeln!(stdin, "{plan}").expect("the harness takes its plan");

        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let ready: Value = serde_json::from_str(&first).unwrap_or_default();
        let Some(url) = ready["url"].as_str() else { panic!("the server does not start: {first}") };
        let waiting = Arc::new(Mutex::new(HashMap::<u64, oneshot::Sender<Value>>::new()));
        let answers = Arc::clone(&waiting);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let answer: Value = serde_json::from_str(&line).expect("the harness speaks JSON lines");
                let id = answer["id"].as_u64().expect("an answer names its command");
                if let Some(waiting) = answers.lock().expect("no holder panics").remove(&id) {
                    let _ = waiting.send(answer);
                }
            }
            answers.lock().expect("no holder panics").clear();
        });
        Self { child, stdin: Some(stdin), waiting, ids: AtomicU64::new(1), url: url.to_owned() }
    }

    /// Gives a command. Its answer is none where the process ended instead.
    pub(crate) fn ask(&mut self, mut command: Value) -> oneshot::Receiver<Value> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().expect("no holder panics").insert(id, sender);
        command["id"] = id.into();
        let stdin = self.stdin.as_mut().expect("stdin stays open until the end");
        writeln!(stdin, "{command}").expect("the harness listens");
        answer
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

fn node() -> OsString {
    let local = root().join("node_modules/.bin/node");
    env::var_os("EDGEWISE_NODE").unwrap_or_else(|| if local.exists() { local.into() } else { "node".into() })
}
