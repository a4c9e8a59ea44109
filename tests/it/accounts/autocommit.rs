//! A MariaDB configured not to commit by itself.

use std::process::Command;
use std::time::{Duration, Instant};

use postrider::storage::database::{Database, DatabaseSettings, DatabaseUrl};

use crate::harness::tools::{assert_success, find, free_port, start};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_outside_a_transaction_is_kept() {
    let Some(install) = find("mariadb-install-db") else { return };
    let directory = tempfile::tempdir().unwrap();
    let within = |name: &str| directory.path().join(name).display().to_string();
    let data = format!("--datadir={}", within("data"));
    let installed = Command::new(install)
        .args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", &data])
        .output()
        .unwrap();
    assert_success("mariadb-install-db", &installed);
    let port = free_port();
    let (place, socket) = (format!("--port={port}"), format!("--socket={}", within("socket")));
    let arguments =
        ["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--autocommit=0", &data, &place, &socket];
    let Some(_server) = start("mariadbd", &arguments, &directory.path().join("log")) else { return };
    let url: DatabaseUrl = format!("mysql://root@127.0.0.1:{port}/mysql").parse().unwrap();
    let connect = || async { Database::connect(&url, &DatabaseSettings::default()).await.unwrap() };
    let begun = Instant::now();
    let database = loop {
        let database = connect().await;
        if database.check().await.is_ok() {
            break database;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "MariaDB does not get ready");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    database.execute("CREATE DATABASE kept", &[]).await.unwrap();
    database.execute("CREATE TABLE kept.notes (id BIGINT PRIMARY KEY) ENGINE = InnoDB", &[]).await.unwrap();
    database.execute("INSERT INTO kept.notes (id) VALUES (1)", &[]).await.unwrap();
    database.close().await;
    let rows = connect().await.fetch_all("SELECT id FROM kept.notes", &[]).await.unwrap();
    assert_eq!(rows.len(), 1, "it was undone with the end of its connection");
}
