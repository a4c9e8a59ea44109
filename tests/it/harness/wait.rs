use std::time::Duration;

/// How long a test waits for something that must happen. Far longer than it takes, so that other load on the machine
/// changes nothing.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until a condition holds: real time, but only as long as it takes.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "in vain: {what}");
}
