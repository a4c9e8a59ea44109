//! Programs by other authors, for tests that need them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Finds a program. Without it the test is skipped, visibly, unless `POSTRIDER_TEST_REQUIRE_ALL=1` says that every
/// program has to be there.
#[expect(clippy::disallowed_methods, reason = "the variable is for tests only")]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var("POSTRIDER_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!required, "`{program}` is not installed, and POSTRIDER_TEST_REQUIRE_ALL is set");
        eprintln!("SKIPPED: `{program}` is not installed");
    }
    found
}

/// Runs one of the scripts in `tests/clients` against a server described in a file, if all the programs are there.
pub async fn run_script(script: &str, programs: &[&str], description: &Path) {
    let all = ["python3"].iter().chain(programs).all(|program| find(program).is_some());
    if !all {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = tokio::process::Command::new("python3").arg(&path).arg(description).output().await.unwrap();
    assert_success(script, &output);
}

/// Like [`run_script`], for scripts that use modules of Debian's own Python.
#[expect(clippy::disallowed_methods, reason = "the variable is for tests only")]
pub async fn run_system_script(script: &str, modules: &[&str], programs: &[&str], description: &Path) {
    const PYTHON: &str = "/usr/bin/python3";
    let imports = format!("import {}", modules.join(", "));
    let has = tokio::process::Command::new(PYTHON).args(["-c", &imports]).output().await;
    if !has.is_ok_and(|output| output.status.success()) {
        let required = std::env::var("POSTRIDER_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!required, "{PYTHON} lacks {}, and POSTRIDER_TEST_REQUIRE_ALL is set", modules.join(" or "));
        eprintln!("SKIPPED: {PYTHON} lacks {}", modules.join(" or "));
        return;
    }
    if !programs.iter().all(|program| find(program).is_some()) {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = tokio::process::Command::new(PYTHON).arg(&path).arg(description).output().await.unwrap();
    assert_success(script, &output);
}

/// Fails with everything a program has written if the program failed.
pub fn assert_success(program: &str, output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} failed with {}\n{out}\n{err}", output.status);
}

/// A program that runs until this is dropped.
pub struct Program(Child);

impl Drop for Program {
    /// Asks it to end, since only then rspamd ends its workers; if it does not end in time it is killed.
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.0);
        let _ = kill_process(pid, Signal::TERM);
        for _ in 0..100 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that runs until the test ends; `None`, with a message, when it is not installed.
pub fn start(program: &str, arguments: &[&str], log: &Path) -> Option<Program> {
    let path =
        [PathBuf::from("/usr/sbin").join(program)].into_iter().find(|p| p.is_file()).or_else(|| find(program))?;
    let file = std::fs::File::create(log).unwrap();
    let child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    Some(Program(child))
}

/// A free port of the loopback address, for a program that binds it itself later. It lies below those the kernel
/// assigns automatically, so that no other test takes it in between.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test binaries that run at the same time begin at different places.
    let first = std::process::id().wrapping_mul(97);
    PORTS
        .map(|_| PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start))
        .map(|port| u16::try_from(port).expect("the range is one of ports"))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("12,000 ports are not all in use")
}
