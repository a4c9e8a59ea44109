//! The program's own commands, run beside a server.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The program with a configuration, printing JSON.
pub fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.args(["--json", "--config"]).arg(config);
    // Where tests run in a unit of systemd, the commands would be those of nobody.
    command.env_remove("INVOCATION_ID");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command that reads `input`.
pub async fn output(config: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(config).args(arguments).stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    child.wait_with_output().await.unwrap()
}

/// Runs a command that reads `input`; returns its output and its status.
pub async fn run(config: &Path, arguments: &[&str], input: &str) -> (Value, i32) {
    let output = output(config, arguments, input).await;
    (printed(arguments, &output), output.status.code().unwrap())
}

/// What a command has printed.
pub fn printed(arguments: &[&str], output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!("{arguments:?} printed `{text}` and {}", String::from_utf8_lossy(&output.stderr));
    })
}
