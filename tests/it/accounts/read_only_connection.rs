//! A connection to SQLite's file that can only read, as after a moment when the system refused writes.

use postrider::storage::database::{Database, DatabaseSettings, Error};

async fn database(directory: &tempfile::TempDir) -> Database {
    let url = format!("sqlite:{}", directory.path().join("db").display()).parse().unwrap();
    let database = Database::connect(&url, &DatabaseSettings::default()).await.unwrap();
    database.execute("CREATE TABLE notes (id BIGINT PRIMARY KEY)", &[]).await.unwrap();
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_up_by_a_statement() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    database.execute("PRAGMA query_only = ON", &[]).await.unwrap();
    let refused = database.execute("INSERT INTO notes (id) VALUES (1)", &[]).await;
    assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    database.execute("INSERT INTO notes (id) VALUES (1)", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_up_by_a_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let mut transaction = database.begin().await.unwrap();
    transaction.execute("PRAGMA query_only = ON", &[]).await.unwrap();
    let refused = transaction.execute("INSERT INTO notes (id) VALUES (1)", &[]).await;
    assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    drop(transaction);
    let mut transaction = database.begin().await.unwrap();
    transaction.execute("INSERT INTO notes (id) VALUES (1)", &[]).await.unwrap();
    transaction.commit().await.unwrap();
}
