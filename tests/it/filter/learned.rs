//! Learned data, on each engine: kept, shared between processes, merged, bounded, unlearned.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use postrider::foundations::clock::SystemClock;
use postrider::services::filter::classifier::{Class, Learned, Limits, Owner, Store};
use postrider::storage::database::Database;

use crate::accounts::engines::on_every_engine;

on_every_engine!(is_kept_and_shared, is_folded_and_bounded, two_processes_learn_at_once, is_loaded_once_for_all);

fn store(database: &Database, site: usize) -> Store {
    let limits = Limits { site, account: 1000, accounts: 4, fresh: Duration::ZERO };
    Store::new(database.clone(), Arc::new(SystemClock), limits)
}

/// Tokens of the nth message: ten common to all of its class and ten of its own.
fn message(class: u64, n: u64) -> (String, Vec<u64>) {
    let shared = (0..10).map(|t| class * 1000 + t + 1);
    let own = (0..10).map(|t| 1_000_000 + class * 500_000 + n * 10 + t);
    (format!("{class}-{n}"), shared.chain(own).collect())
}

async fn is_kept_and_shared(database: Database) {
    let (one, other) = (store(&database, 100_000), store(&database, 100_000));
    let ann = Owner::Account("ann@example.test".parse().unwrap());
    for owner in [&Owner::Site, &ann] {
        for n in 0..60 {
            let (digest, tokens) = message(0, n);
            assert_eq!(one.learn(owner, Class::Ham, &digest, &tokens).await.unwrap(), Learned::Now);
            let (digest, tokens) = message(1, n);
            assert_eq!(other.learn(owner, Class::Spam, &digest, &tokens).await.unwrap(), Learned::Now);
        }
        for store in [&one, &other] {
            let table = store.table(owner).await.unwrap();
            assert_eq!((table.ham, table.spam, table.len()), (60, 60, 1220));
            assert!(table.probability(&message(1, 999).1, None).unwrap() > 0.99);
            assert!(table.probability(&message(0, 999).1, None).unwrap() < 0.01);
        }
    }
    let (digest, tokens) = message(0, 5);
    assert_eq!(one.learn(&ann, Class::Ham, &digest, &tokens).await.unwrap(), Learned::Before);
    assert_eq!(one.learn(&ann, Class::Spam, &digest, &tokens).await.unwrap(), Learned::Again);
    assert_eq!(one.forget(&ann, &[(digest, tokens)]).await.unwrap(), [Learned::Again]);
    let table = other.table(&ann).await.unwrap();
    assert_eq!((table.ham, table.spam, table.len()), (59, 60, 1210));
    assert_eq!(other.table(&Owner::Site).await.unwrap().ham, 60);
}

async fn is_folded_and_bounded(database: Database) {
    let store_of = || store(&database, 2000);
    let learner = store_of();
    for batch in 0..30u64 {
        let messages: Vec<_> = (0..10).map(|n| message(batch % 2, batch * 10 + n)).collect();
        let class = if batch % 2 == 0 { Class::Ham } else { Class::Spam };
        assert_eq!(learner.learn_many(&Owner::Site, class, &messages).await.unwrap().len(), 10);
    }
    let before = learner.table(&Owner::Site).await.unwrap();
    assert_eq!(before.len(), 3020);
    learner.fold(&Owner::Site).await.unwrap();
    for store in [&learner, &store_of()] {
        let after = store.table(&Owner::Site).await.unwrap();
        assert_eq!((after.ham, after.spam), (150, 150));
        assert!(after.len() <= 2000 && after.len() > 1700, "{}", after.len());
        // Tokens of many messages outlive those of a single one.
        assert!(after.probability(&message(1, 999).1, None).unwrap() > 0.99);
    }
}

async fn two_processes_learn_at_once(database: Database) {
    let (one, other) = (Arc::new(store(&database, 100_000)), Arc::new(store(&database, 100_000)));
    let work = |store: Arc<Store>, class: Class, kind: u64| async move {
        for n in 0..40 {
            let (digest, tokens) = message(kind, n);
            store.learn(&Owner::Site, class, &digest, &tokens).await.unwrap();
        }
    };
    let folding = async {
        for _ in 0..5 {
            one.fold(&Owner::Site).await.unwrap();
            let _ = other.table(&Owner::Site).await.unwrap();
        }
    };
    tokio::join!(work(Arc::clone(&one), Class::Ham, 0), work(Arc::clone(&other), Class::Spam, 1), folding);
    for store in [&one, &other] {
        let table = store.table(&Owner::Site).await.unwrap();
        assert_eq!((table.ham, table.spam, table.len()), (40, 40, 820));
    }
}

async fn is_loaded_once_for_all(database: Database) {
    let (store, site) = (store(&database, 100_000), Owner::Site);
    let ask = async || {
        let tables = join_all((0..32).map(|_| store.table(&site))).await;
        let tables: Vec<_> = tables.into_iter().map(Result::unwrap).collect();
        assert!(tables.iter().all(|table| Arc::ptr_eq(table, &tables[0])), "each caller has a copy of its own");
        Arc::clone(&tables[0])
    };
    let mut last = None;
    for n in 0..3 {
        let (digest, tokens) = message(1, n);
        store.learn(&site, Class::Spam, &digest, &tokens).await.unwrap();
        let table = ask().await;
        assert_eq!(u64::from(table.spam), n + 1);
        assert!(Arc::ptr_eq(&table, &ask().await), "nothing was learned in between");
        assert!(last.replace(Arc::clone(&table)).is_none_or(|last| !Arc::ptr_eq(&last, &table)));
    }
}
