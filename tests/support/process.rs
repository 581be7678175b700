//! The `sluicegate` binary: started, awaited, read, ended.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::ports;

/// The binary under test, as cargo built it for this run.
pub const SLUICEGATE: &str = env!("CARGO_BIN_EXE_sluicegate");

/// A machine with two cores that compiles beside the tests is slow; a minute says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `sluicegate` with these arguments to its end.
pub fn sluicegate(arguments: &[&str]) -> Output {
    Command::new(SLUICEGATE).args(arguments).stdin(Stdio::null()).output().expect("sluicegate starts")
}

/// The text of a configuration in a file of its own, for as long as the value lives.
pub struct ConfigFile {
    path: PathBuf,
    _dir: TempDir,
}

impl ConfigFile {
    pub fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("gateway.yaml");
        fs::write(&path, text).expect("the file can be written");
        Self { path, _dir: dir }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts another text in its place, for a gateway that reads its file again.
    pub fn replace(&self, text: &str) {
        fs::write(&self.path, text).expect("the file can be written");
    }
}

/// A process in the background whose output goes to a file.
pub struct Background {
    child: Child,
    guard: Guard,
    log: PathBuf,
    _dir: TempDir,
}

impl Background {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        Self::start_in(program, arguments, &[])
    }

    /// The same with these variables in its environment, beside those of this process.
    pub fn start_in(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("log");
        let out = File::create(&log).expect("the log can be written");
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a file handle can be copied"))
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let guard = Guard::over(child.id());
        Self { child, guard, log, _dir: dir }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, to standard output and standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("the log can be read")).into_owned()
    }

    /// Waits until `ready` says so; panics with the log when the process ends before that, or time is up.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !ready(self) {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("it ended with {status} before it was {what}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "not {what} after {PATIENCE:?}:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal by its name, for example `TERM`.
    pub fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits for its end.
    pub fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "still there after {at_most:?}:\n{}", self.log());
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.guard.stand_down();
        // It may have ended by itself; then there is nothing to kill, and waiting gives its status.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills a process when this one is gone.
///
/// What lies in a `static` is never dropped, and a test binary may end by a signal. The guard is a shell that reads
/// from a pipe whose other end only we hold: it closes with us, however we end.
struct Guard(Child);

impl Guard {
    fn over(process: u32) -> Self {
        let script = format!("read -r _ || kill -KILL {process}");
        let shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        Self(shell)
    }

    fn stand_down(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // The shell is gone only if somebody ended it, and then it kills nobody either.
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.0.wait();
    }
}

/// A running gateway, with its admin port.
pub struct Gateway {
    pub process: Background,
    pub config: ConfigFile,
    admin_port: u16,
}

impl Gateway {
    /// Starts it with this file and waits until `/readyz` says 200. The text must say `admin` with that port.
    pub fn start(config: &str, admin_port: u16) -> Self {
        Self::start_in(config, admin_port, &[])
    }

    /// Starts it, and leaves it to the test whether it becomes ready.
    pub fn launch(config: &str, admin_port: u16) -> Self {
        Self::launch_in(config, admin_port, &[])
    }

    /// Starts it with these variables in its environment, and waits until it is ready.
    pub fn start_in(config: &str, admin_port: u16, environment: &[(&str, &str)]) -> Self {
        let mut gateway = Self::launch_in(config, admin_port, environment);
        gateway.process.wait_until("ready", |_| is_ok(admin_port, "/readyz"));
        gateway
    }

    fn launch_in(config: &str, admin_port: u16, environment: &[(&str, &str)]) -> Self {
        let config = ConfigFile::new(config);
        let path = config.path().to_str().expect("a path in UTF-8").to_owned();
        let process = Background::start_in(SLUICEGATE, &["run", "--config", &path], environment);
        Self { process, config, admin_port }
    }

    /// What the admin port answers: the status line's code and the body.
    pub fn admin(&self, path: &str) -> Option<(u16, String)> {
        http_get(self.admin_port, path)
    }

    /// The audit log so far, line by line, of a file that says `audit: {file: audit.log}`.
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.config.path().with_file_name("audit.log")).unwrap_or_default();
        // The last line may be half there.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("an audit line is JSON")).collect()
    }

    /// Waits until there are so many such audit lines, or more, and returns them.
    pub fn expect_audits(&self, what: &str, count: usize, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: Vec<Value> = self.audit().into_iter().filter(&is_it).collect();
            if found.len() >= count {
                return found;
            }
            let all = self.audit();
            assert!(Instant::now() < deadline, "{} audit lines of {what} in {all:#?}", found.len());
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits for an audit line, and returns it.
    pub fn expect_audit(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.expect_audits(what, 1, is_it).remove(0)
    }

    /// None of these was told to anybody so far: in the log, which must be one that tells all, in the audit log, or, while
    /// it runs, at the admin port.
    #[track_caller]
    pub fn assert_silent(&self, secrets: &[&str]) {
        let log = self.process.log();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log does not tell all:\n{log}");
        let audit = fs::read_to_string(self.config.path().with_file_name("audit.log")).unwrap_or_default();
        let [metrics, ready] =
            ["/metrics", "/readyz"].map(|path| self.admin(path).map(|(_, text)| text).unwrap_or_default());
        for (place, told) in [("log", log), ("audit log", audit), ("metrics", metrics), ("readyz", ready)] {
            for secret in secrets {
                assert!(!told.contains(secret), "{secret} stands in the {place}:\n{told}");
            }
        }
    }
}

/// A running development issuer.
pub struct Issuer {
    pub process: Background,
    port: u16,
}

impl Issuer {
    /// Starts it for clients given as `id:secret`, with more arguments if need be.
    pub fn start(clients: &[&str], more: &[&str]) -> Self {
        let port = ports::free();
        let listen = format!("127.0.0.1:{port}");
        let mut arguments = vec!["issuer", "--listen", &listen];
        for client in clients {
            arguments.extend(["--client", client]);
        }
        arguments.extend(more);
        let mut process = Background::start(SLUICEGATE, &arguments);
        process.wait_until("ready", |_| is_ok(port, "/.well-known/jwks"));
        Self { process, port }
    }

    /// The `iss` of its tokens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn token_url(&self) -> String {
        format!("{}/token", self.url())
    }

    pub fn jwks_url(&self) -> String {
        format!("{}/.well-known/jwks", self.url())
    }

    /// An access token for a client.
    pub fn token(&self, client: &str, secret: &str) -> String {
        let answer = http_post(self.port, "/token", &client_credentials(client, secret));
        granted_token(answer.expect("the issuer answers"))
    }

    /// Ends a client's token before its time.
    pub fn revoke(&self, client: &str, secret: &str, token: &str) {
        let form = format!("token={token}&client_id={client}&client_secret={secret}");
        let (code, answer) = http_post(self.port, "/revoke", &form).expect("the issuer answers");
        assert_eq!(code, 200, "{answer}");
    }
}

/// A request for a token, by a client that says its secret in the body.
pub fn client_credentials(client: &str, secret: &str) -> String {
    format!("grant_type=client_credentials&client_id={client}&client_secret={secret}")
}

/// The token in what a token endpoint answers, which has to be one.
pub fn granted_token((code, answer): (u16, String)) -> String {
    assert_eq!(code, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("an issuer answers in JSON");
    answer["access_token"].as_str().expect("there is a token").to_owned()
}

/// Sends a signal by its name to a process.
pub fn signal(name: &str, process: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(status.expect("sh starts").success(), "signal {name} could not be sent to {process}");
}

fn is_ok(port: u16, path: &str) -> bool {
    http_get(port, path).is_some_and(|(code, _)| code == 200)
}

/// One GET on this machine; `None` while nobody answers.
pub fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    http(port, &format!("GET {path}"), "")
}

/// One POST of a form on this machine; `None` while nobody answers.
pub fn http_post(port: u16, path: &str, form: &str) -> Option<(u16, String)> {
    let length = form.len();
    let headers =
        format!("content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{form}");
    http(port, &format!("POST {path}"), &headers)
}

fn http(port: u16, request: &str, rest: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let rest = if rest.is_empty() { "\r\n" } else { rest };
    write!(stream, "{request} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{rest}").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}
