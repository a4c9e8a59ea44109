//! A database server that goes away, hangs and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use postrider::foundations::failure::Kind;
use postrider::foundations::settings::Span;
use postrider::storage::database::{Database, DatabaseSettings, Dialect, Error};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::engines::Fresh;

const OPEN: u8 = 0;
const CUT: u8 = 1;
const HUNG: u8 = 2;

/// A path to the server that can be cut or blocked.
struct Proxy {
    port: u16,
    state: Arc<AtomicU8>,
    _task: JoinSet<()>,
}

async fn pass(client: TcpStream, server: TcpStream, state: Arc<AtomicU8>) {
    let (client, server) = (client.into_split(), server.into_split());
    let way = |from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf| {
        let state = Arc::clone(&state);
        async move {
            let mut buffer = vec![0; 16 << 10];
            loop {
                match state.load(Ordering::SeqCst) {
                    CUT => return,
                    HUNG => tokio::time::sleep(Duration::from_millis(10)).await,
                    _ => match tokio::time::timeout(Duration::from_millis(10), from.readable()).await {
                        Ok(Ok(())) => match from.try_read(&mut buffer) {
                            Ok(0) => return,
                            Ok(n) if to.write_all(&buffer[..n]).await.is_err() => return,
                            Err(e) if e.kind() != std::io::ErrorKind::WouldBlock => return,
                            _ => {}
                        },
                        Ok(Err(_)) => return,
                        Err(_) => {}
                    },
                }
            }
        }
    };
    tokio::select! {
        () = way(client.0, server.1) => {}
        () = way(server.0, client.1) => {}
    }
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(AtomicU8::new(OPEN));
        let mut task = JoinSet::new();
        let shared = Arc::clone(&state);
        task.spawn(async move {
            let mut ways = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                if shared.load(Ordering::SeqCst) == CUT {
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                ways.spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, state, _task: task }
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
    }
}

async fn recovers(dialect: Dialect) {
    let Some(fresh) = Fresh::create(dialect).await else { return };
    let Some((host, port)) = fresh.local_port() else {
        eprintln!("SKIPPED on {dialect}: its server is not on this machine");
        return fresh.remove().await;
    };
    let proxy = Proxy::start(port).await;
    let url = fresh.url_through(&host, proxy.port);
    let settings = DatabaseSettings {
        max_connections: 3,
        acquire_timeout: Span::seconds(2),
        statement_timeout: Span::seconds(1),
        retry_after_failure: Span::millis(500),
        ..Default::default()
    };
    let database = Database::connect(&url, &settings).await.unwrap();
    database.migrate().await.unwrap();
    for (name, state) in [("cut", CUT), ("hung", HUNG)] {
        database.check().await.unwrap();
        proxy.set(state);
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Many at once: all fail within the limits, with the right kind, early or late.
        let start = Instant::now();
        let calls = (0..50).map(|n| {
            let database = database.clone();
            async move {
                let result = if n % 2 == 0 { database.check().await } else { database.begin().await.map(|_| ()) };
                result.unwrap_err().kind()
            }
        });
        let kinds = JoinSet::from_iter(calls).join_all().await;
        assert!(kinds.iter().all(|kind| *kind == Kind::Temporary), "{name}: {kinds:?}");
        assert!(start.elapsed() < Duration::from_secs(8), "{name}: {:?}", start.elapsed());
        // Known to be away: no more waiting.
        let mut quick = 0;
        for _ in 0..20 {
            let start = Instant::now();
            assert!(database.check().await.is_err());
            quick += usize::from(start.elapsed() < Duration::from_millis(100));
        }
        assert!(quick >= 10, "{name}: {quick} of 20 failed at once");
        proxy.set(OPEN);
        let start = Instant::now();
        while database.check().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "{name}: it does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // And completely: every connection of the pool works.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let calls = (0..20).map(|_| {
            let database = database.clone();
            async move {
                let transaction = database.begin().await?;
                transaction.commit().await
            }
        });
        let results = JoinSet::from_iter(calls).join_all().await;
        assert!(results.iter().all(Result::is_ok), "{name}: {results:?}");
    }
    let _ = tokio::time::timeout(Duration::from_secs(2), database.close()).await;
    fresh.remove().await;
}

#[tokio::test]
async fn mariadb_comes_back() {
    recovers(Dialect::MySql).await;
}

#[tokio::test]
async fn postgres_comes_back() {
    recovers(Dialect::Postgres).await;
}

/// A statement that waits in the database for somebody else's lock gives up and keeps no connection.
async fn a_lock_takes_no_connections_away(dialect: Dialect) {
    let Some(fresh) = Fresh::create(dialect).await else { return };
    let settings = DatabaseSettings {
        max_connections: 3,
        acquire_timeout: Span::seconds(2),
        statement_timeout: Span::seconds(1),
        ..Default::default()
    };
    let database = Database::connect(&fresh.url, &settings).await.unwrap();
    database.migrate().await.unwrap();
    let other = fresh.connect().await;
    // All others who insert this key wait until it is known whether the first one does.
    let insert = "INSERT INTO events (id, at, kind, details) VALUES (7, 0, 'queued', '{}')";
    let mut holder = other.begin().await.unwrap();
    holder.execute(insert, &[]).await.unwrap();
    for n in 0..4 {
        let mut transaction = database.begin().await.unwrap();
        let given_up = transaction.execute(insert, &[]).await;
        assert!(matches!(given_up, Err(Error::Timeout(_))), "{n}: {given_up:?}");
    }
    database.check().await.unwrap();
    assert!(database.fetch_optional("SELECT email FROM virtual_users", &[]).await.unwrap().is_none());
    holder.rollback().await.unwrap();
    other.close().await;
    database.close().await;
    fresh.remove().await;
}

#[tokio::test]
async fn a_lock_in_mariadb_takes_no_connections_away() {
    a_lock_takes_no_connections_away(Dialect::MySql).await;
}

#[tokio::test]
async fn a_lock_in_postgres_takes_no_connections_away() {
    a_lock_takes_no_connections_away(Dialect::Postgres).await;
}

/// Many concurrent users do not make the database count as away, which would block everybody for a while.
async fn a_busy_pool_is_no_server_that_is_away(dialect: Dialect) {
    let Some(fresh) = Fresh::create(dialect).await else { return };
    let settings = DatabaseSettings {
        max_connections: 1,
        acquire_timeout: Span::millis(500),
        retry_after_failure: Span::minutes(10),
        ..Default::default()
    };
    let other = fresh.connect().await;
    other.migrate().await.unwrap();
    let database = Database::connect(&fresh.url, &settings).await.unwrap();
    let mut holder = database.begin_reading().await.unwrap();
    let works = async { while holder.fetch_optional("SELECT 1", &[]).await.is_ok() {} };
    let waited = tokio::select! {
        waited = database.check() => waited,
        () = works => panic!("the one connection is lost"),
    };
    assert!(matches!(waited, Err(Error::Busy(_))), "{waited:?}");
    holder.rollback().await.unwrap();
    database.check().await.unwrap();
    other.close().await;
    database.close().await;
    fresh.remove().await;
}

#[tokio::test]
async fn a_busy_file_is_not_away() {
    a_busy_pool_is_no_server_that_is_away(Dialect::Sqlite).await;
}

#[tokio::test]
async fn a_busy_mariadb_is_not_away() {
    a_busy_pool_is_no_server_that_is_away(Dialect::MySql).await;
}

#[tokio::test]
async fn a_busy_postgres_is_not_away() {
    a_busy_pool_is_no_server_that_is_away(Dialect::Postgres).await;
}

/// While a statement takes longer than others wait for a connection, the server seems to be away; its answer ends that at once.
async fn a_slow_statement_blocks_nobody_afterwards(dialect: Dialect) {
    let Some(fresh) = Fresh::create(dialect).await else { return };
    let settings = DatabaseSettings {
        max_connections: 1,
        acquire_timeout: Span::millis(500),
        statement_timeout: Span::minutes(10),
        retry_after_failure: Span::minutes(10),
        ..Default::default()
    };
    let other = fresh.connect().await;
    other.migrate().await.unwrap();
    let database = Database::connect(&fresh.url, &settings).await.unwrap();
    let insert = "INSERT INTO events (id, at, kind, details) VALUES (7, 0, 'queued', '{}')";
    let mut holder = other.begin().await.unwrap();
    holder.execute(insert, &[]).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    {
        let mut slow = std::pin::pin!(transaction.execute(insert, &[]));
        let waited = tokio::select! {
            waited = database.check() => waited,
            done = &mut slow => panic!("nobody held it up: {done:?}"),
        };
        assert!(waited.is_err());
        holder.rollback().await.unwrap();
        slow.await.unwrap();
    }
    transaction.rollback().await.unwrap();
    database.check().await.unwrap();
    other.close().await;
    database.close().await;
    fresh.remove().await;
}

#[tokio::test]
async fn a_slow_statement_in_mariadb_blocks_nobody_afterwards() {
    a_slow_statement_blocks_nobody_afterwards(Dialect::MySql).await;
}

#[tokio::test]
async fn a_slow_statement_in_postgres_blocks_nobody_afterwards() {
    a_slow_statement_blocks_nobody_afterwards(Dialect::Postgres).await;
}

#[tokio::test]
async fn a_database_that_there_is_not_is_a_mistake_of_the_configuration() {
    for dialect in [Dialect::MySql, Dialect::Postgres] {
        let Some(fresh) = Fresh::create(dialect).await else { continue };
        if let Some((host, port)) = fresh.local_port() {
            let url = format!("{host}:{port}/there_is_none").parse().unwrap();
            let database = Database::connect(&url, &DatabaseSettings::default()).await.unwrap();
            let error = database.migrate().await.unwrap_err();
            assert!(error.is_set_up(), "{error:?}");
            // A running server is to wait until it is fixed.
            assert_eq!(error.kind(), Kind::Temporary);
            assert!(error.to_string().contains(&format!("{port}/there_is_none")), "{error}");
        }
        fresh.remove().await;
    }
}

#[tokio::test]
async fn a_server_that_was_never_there_is_no_reason_not_to_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = DatabaseSettings { acquire_timeout: Span::seconds(1), ..Default::default() };
    for scheme in ["mysql", "postgres"] {
        let url = format!("{scheme}://nobody@127.0.0.1:{port}/nothing").parse().unwrap();
        let database = Database::connect(&url, &settings).await.unwrap();
        let start = Instant::now();
        assert_eq!(database.check().await.unwrap_err().kind(), Kind::Temporary);
        assert!(start.elapsed() < Duration::from_secs(3));
        // A command reports the reason rather than just a timeout.
        tokio::time::sleep(settings.retry_after_failure.duration()).await;
        let error = database.migrate().await.unwrap_err();
        assert!(!error.is_set_up() && error.kind() == Kind::Temporary, "{error:?}");
        let words = error.to_string();
        assert!(words.contains("refused") && words.contains(&format!("127.0.0.1:{port}/nothing")), "{words}");
    }
}
