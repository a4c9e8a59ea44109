//! The progress of a run, as shown at a terminal.

use super::whole::furnished;
use crate::harness::tools;

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_is_drawn_on_terminals_only() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let target = tempfile::tempdir().unwrap();
    let description = serde_json::json!({
        "command": [env!("CARGO_BIN_EXE_postrider"), "--config", host.directory().join("postrider.toml")],
        "target": target.path(),
        "messages": 38,
    });
    let file = target.path().join("description.json");
    std::fs::write(&file, description.to_string()).unwrap();
    tools::run_script("progress.py", &[], &file).await;
    host.stop().await;
}
