//! Real clients: Kafka's console tools, its Java clients, and librdkafka, each told what to do by lines.
//!
//! A line is a command, an outcome the word behind its arrow: `produce orders one -> ok`, or the name that Kafka has
//! for what went wrong: `produce orders one -> TOPIC_AUTHORIZATION_FAILED`. All of them understand some of the same
//! lines, so that one dialogue can be had with each.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use super::kafka::SCRIPT;

/// Who logs in, and where he gets his token.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub client: &'a str,
    pub secret: &'a str,
    pub token_url: &'a str,
    /// The file of the CA by which TLS is spoken, if it is.
    pub ca: Option<&'a Path>,
    pub java: Java<'a>,
}

/// What only Java's clients are told.
#[derive(Clone, Copy, Default)]
pub struct Java<'a> {
    /// The file of the certificate by which the client proves itself, with its key.
    pub keystore: Option<&'a Path>,
    /// The file of the hosts that there are; without it, whatever this machine knows.
    pub hosts: Option<&'a Path>,
}

/// Which client is used.
#[derive(Clone, Copy, Debug)]
pub enum Tool {
    /// Kafka's console producer, console consumer and command-line tools: one process for each line.
    /// `produce TOPIC VALUE…`, `consume TOPIC GROUP COUNT`, `create TOPIC PARTITIONS REPLICAS`, `topics`, `groups`.
    Console,
    /// `tests/kafka/Admin.java`, where its commands are.
    JavaAdmin,
    /// Kafka's Java producer and consumer: `tests/kafka/Flow.java`, where its commands are.
    JavaFlow,
    /// Kafka's Java share consumers: `tests/kafka/Share.java`, where its commands are.
    JavaShare,
    /// An application of Kafka Streams: `tests/kafka/Streams.java`, where its commands are.
    JavaStreams,
    /// `tests/kafka/librdkafka.py`, where its commands are.
    Librdkafka,
}

/// What a client made of its lines.
pub struct Said {
    /// Each command with its arrow and outcome.
    pub outcomes: Vec<String>,
    /// All else it wrote, messages of errors above all: for reading when a test fails, and for names in it.
    pub aside: String,
}

/// Does these commands one after the other as this client; with no login, on a listener that wants none.
pub fn run(tool: Tool, bootstrap: &str, login: Option<Login<'_>>, commands: &[&str]) -> Said {
    match tool {
        Tool::Console => console(bootstrap, login, commands),
        Tool::JavaAdmin | Tool::JavaFlow | Tool::JavaShare | Tool::JavaStreams => {
            let dir = tempfile::tempdir().expect("a temporary directory");
            told(&talk(java(tool, &dir, bootstrap, login), &lines(commands)))
        }
        Tool::Librdkafka => {
            librdkafka(bootstrap, login.expect("librdkafka is only used with tokens"), commands)
        }
    }
}

/// Does these commands in one process by whole files of properties, each with a name; it begins by the first one, and
/// `as NAME` goes on by another. Of the Java programs, `Flow` knows that.
pub fn run_as(tool: Tool, settings: &[(&str, String)], commands: &[&str]) -> Said {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in settings {
        fs::write(dir.path().join(name), text).expect("the file can be written");
    }
    let (first, _) = settings.first().expect("somebody does these");
    let mut program = match tool {
        Tool::Librdkafka => python(),
        _ => {
            let lines = settings.iter().flat_map(|(_, text)| text.lines());
            let urls: Vec<&str> = lines.filter_map(|line| line.strip_prefix(TOKEN_URL)).collect();
            jvm(tool, &[format!("{ALLOWED_URLS}{}", urls.join(","))])
        }
    };
    program.arg(dir.path().join(first));
    told(&talk(program, &lines(commands)))
}

/// The property that says where tokens are fetched.
const TOKEN_URL: &str = "sasl.oauthbearer.token.endpoint.url=";
/// Kafka's clients fetch tokens only from URLs that their JVM was told of.
const ALLOWED_URLS: &str = "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=";

/// The settings of Kafka's own clients, as its users write them.
pub fn properties(bootstrap: &str, login: Option<Login<'_>>) -> String {
    // Shorter than Kafka's own patience of a minute, longer than any busy machine should need.
    let common = format!(
        "bootstrap.servers={bootstrap}\nrequest.timeout.ms=20000\ndefault.api.timeout.ms=30000\n\
         metadata.recovery.strategy=none\n"
    );
    let Some(Login { client, secret, token_url, ca, java }) = login else { return common };
    let protocol = match ca {
        None => "security.protocol=SASL_PLAINTEXT".to_owned(),
        Some(ca) => format!(
            "security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location={}",
            ca.display()
        ),
    };
    let keystore = java.keystore.map_or_else(String::new, |file| {
        format!("\nssl.keystore.type=PEM\nssl.keystore.location={}", file.display())
    });
    format!(
        "{common}{protocol}{keystore}
sasl.mechanism=OAUTHBEARER
sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler
{TOKEN_URL}{token_url}
sasl.oauthbearer.client.credentials.client.id={client}
sasl.oauthbearer.client.credentials.client.secret={secret}
sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required ;
"
    )
}

fn console(bootstrap: &str, login: Option<Login<'_>>, commands: &[&str]) -> Said {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let settings = dir.path().join("client.properties");
    fs::write(&settings, properties(bootstrap, login)).expect("the file can be written");
    let mut said = Said { outcomes: Vec::new(), aside: String::new() };
    for line in commands {
        let output = console_line(bootstrap, &settings, line);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let outcome = match kafka_error(&complaint) {
            Some(name) => name,
            None if !output.status.success() => "FAILED".to_owned(),
            None => console_success(line, &String::from_utf8_lossy(&output.stdout)),
        };
        said.outcomes.push(format!("{line} -> {outcome}"));
        said.aside.push_str(&complaint);
    }
    said
}

fn console_line(bootstrap: &str, settings: &Path, line: &str) -> Output {
    let mut tool = Command::new(SCRIPT);
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut input = String::new();
    tool.arg("run");
    match words[..] {
        ["produce", topic, ref values @ ..] => {
            input = values.iter().map(|value| format!("{value}\n")).collect();
            tool.args(["console-producer", "--topic", topic]);
        }
        ["consume", topic, group, count] => {
            tool.args(["console-consumer", "--topic", topic, "--group", group, "--max-messages", count]);
            tool.args(["--from-beginning", "--timeout-ms", "30000"]);
        }
        ["create", topic, partitions, replicas] => {
            tool.args(["topics", "--create", "--topic", topic]);
            tool.args(["--partitions", partitions, "--replication-factor", replicas]);
        }
        ["topics", ..] => {
            tool.args(["topics", "--list"]);
        }
        ["groups", ..] => {
            tool.args(["consumer-groups", "--list"]);
        }
        _ => panic!("no such command of the console tools: {line}"),
    }
    tool.args(["--bootstrap-server", bootstrap, "--command-config"]).arg(settings);
    talk(tool, &input)
}

/// `ok` with what is worth telling: the records read, or the names that begin as asked.
fn console_success(line: &str, stdout: &str) -> String {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let told = match verb {
        "consume" => stdout.split_whitespace().collect::<Vec<_>>().join(" "),
        "topics" | "groups" => {
            let mut names: Vec<&str> = stdout.lines().filter(|name| name.starts_with(rest)).collect();
            names.sort_unstable();
            names.join(" ")
        }
        _ => String::new(),
    };
    format!("ok {told}").trim_end().to_owned()
}

/// The console tools tell of an error by the name of Kafka's exception; this is its code's name.
fn kafka_error(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("org.apache.kafka.common.errors.")?;
    let class: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    let stem = class.strip_suffix("Exception").unwrap_or(&class);
    let mut name = String::new();
    for letter in stem.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    Some(match name.as_str() {
        "TOPIC_AUTHORIZATION" | "GROUP_AUTHORIZATION" | "CLUSTER_AUTHORIZATION" => name + "_FAILED",
        "SASL_AUTHENTICATION" => name + "_FAILED",
        "TOPIC_EXISTS" => "TOPIC_ALREADY_EXISTS".to_owned(),
        _ => name,
    })
}

/// The command of a Java program, with its settings in a file of the folder.
fn java(tool: Tool, dir: &TempDir, bootstrap: &str, login: Option<Login<'_>>) -> Command {
    let settings = dir.path().join("client.properties");
    fs::write(&settings, properties(bootstrap, login)).expect("the file can be written");
    let mut options = Vec::new();
    if let Some(login) = login {
        options.push(format!("{ALLOWED_URLS}{}", login.token_url));
        options.extend(login.java.hosts.map(|file| format!("-Djdk.net.hosts.file={}", file.display())));
    }
    let mut java = jvm(tool, &options);
    java.arg(settings);
    java
}

/// The command of a Java program, still without its settings.
fn jvm(tool: Tool, options: &[String]) -> Command {
    /// Compiled once for each test binary.
    static CLASSES: LazyLock<TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let output = Command::new("javac")
            .args(["-cp", &format!("{}/*", kafka_libs()), "-d"])
            .arg(dir.path())
            .args([file("Admin.java"), file("Flow.java"), file("Share.java"), file("Streams.java")])
            .output()
            .expect("javac starts");
        assert!(output.status.success(), "javac: {}", String::from_utf8_lossy(&output.stderr));
        dir
    });
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]).args(options);
    let class = match tool {
        Tool::JavaFlow => "Flow",
        Tool::JavaShare => "Share",
        Tool::JavaStreams => "Streams",
        _ => "Admin",
    };
    java.args(["-cp", &format!("{}:{}/*", CLASSES.path().display(), kafka_libs()), class]);
    java
}

/// A Java client that is told its lines one by one, and stays between them.
pub struct Conversation {
    child: Child,
    answers: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Conversation {
    pub fn start(tool: Tool, bootstrap: &str, login: Login<'_>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut java = java(tool, &dir, bootstrap, Some(login));
        let mut child = java.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("java starts");
        let answers = BufReader::new(child.stdout.take().expect("it was asked for above"));
        Self { child, answers, _dir: dir }
    }

    /// Says a line, and waits for its outcome.
    pub fn say(&mut self, line: &str) -> String {
        let stdin = self.child.stdin.as_mut().expect("it is taken only at the end");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the client listens");
        let mut answer = String::new();
        loop {
            answer.clear();
            let length = self.answers.read_line(&mut answer).expect("the client writes UTF-8");
            assert!(length > 0, "the client ended instead of answering {line:?}; it says why above");
            if let Some((_, outcome)) = answer.trim_end().split_once(" -> ") {
                return outcome.to_owned();
            }
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // It has nothing to lose: a client that reads no more lines would take its time to leave its group.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn librdkafka(bootstrap: &str, login: Login<'_>, commands: &[&str]) -> Said {
    let mut script = python();
    script.args([bootstrap, login.client, login.secret, login.token_url]).args(login.ca);
    told(&talk(script, &lines(commands)))
}

/// The command of librdkafka's script, still without its settings.
fn python() -> Command {
    let python = std::env::var("SLUICEGATE_PYTHON").expect("scripts/test sets SLUICEGATE_PYTHON");
    let mut script = Command::new(python);
    script.arg(file("librdkafka.py"));
    script
}

fn lines(commands: &[&str]) -> String {
    commands.iter().map(|command| format!("{command}\n")).collect()
}

fn told(output: &Output) -> Said {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let (outcomes, other): (Vec<&str>, Vec<&str>) = stdout.lines().partition(|line| line.contains(" -> "));
    Said {
        outcomes: outcomes.into_iter().map(str::to_owned).collect(),
        aside: other.join("\n") + &String::from_utf8_lossy(&output.stderr),
    }
}

fn talk(mut program: Command, input: &str) -> Output {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?} does not start: {error}"));
    let mut stdin = child.stdin.take().expect("it was asked for above");
    // A client that gave up before it read all its lines has said why by its outcome.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("a child can be waited for")
}

fn kafka_libs() -> String {
    std::env::var("SLUICEGATE_KAFKA_LIBS").expect("only asked when Kafka is here")
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka").join(name)
}
