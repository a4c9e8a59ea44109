//! Links through which users choose a password.

use std::time::Duration;

use postrider::foundations::secret::Secret;
use postrider::services::set_up::invite;
use postrider::storage::database::Database;
use postrider::storage::directory::{PasswordOwner, Standing};

use super::world::{World, address};

super::engines::on_every_engine!(
    a_link_is_good_once,
    a_link_ends,
    another_password_ends_a_link,
    of_two_at_once_one_wins,
    who_may_not_log_in_has_no_link,
);

const DAY: Duration = Duration::from_secs(86_400);

/// A link of Ann's as stored in the table, beside the one that was issued before.
async fn digest(world: &World, digest: &str) {
    let mut edit = world.directory.edit().await.unwrap();
    edit.give_set_up_link(&address("ann@example.test"), digest, DAY).await.unwrap();
    edit.commit().await.unwrap();
}

async fn with_ann(database: Database) -> World {
    let world = World::new(database);
    world.users(&["ann@example.test", "bob@example.test"]).await;
    world
}

async fn is_good(world: &World, digest: &str) -> bool {
    world.directory.set_up_link(digest).await.unwrap().is_some()
}

async fn a_link_is_good_once(database: Database) {
    let world = with_ann(database).await;
    digest(&world, "one").await;
    assert_eq!(world.directory.set_up_link("one").await.unwrap(), Some(address("ann@example.test")));
    assert_eq!(world.directory.set_up_link("two").await.unwrap(), None);
    // A new one replaces the first.
    digest(&world, "two").await;
    assert!(!is_good(&world, "one").await && is_good(&world, "two").await);

    let mut edit = world.directory.edit().await.unwrap();
    assert_eq!(edit.use_set_up_link("one").await.unwrap(), None);
    assert_eq!(edit.use_set_up_link("two").await.unwrap(), Some(address("ann@example.test")));
    drop(edit);
    assert!(is_good(&world, "two").await, "nothing was committed");
    let mut edit = world.directory.edit().await.unwrap();
    assert!(edit.use_set_up_link("two").await.unwrap().is_some());
    edit.commit().await.unwrap();
    assert!(!is_good(&world, "two").await);
}

async fn a_link_ends(database: Database) {
    let world = with_ann(database).await;
    digest(&world, "one").await;
    world.clock.advance(DAY - Duration::from_secs(1));
    assert!(is_good(&world, "one").await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!is_good(&world, "one").await);
    assert_eq!(world.directory.edit().await.unwrap().use_set_up_link("one").await.unwrap(), None);
    // Expired ones do not stay in the table for ever.
    invite(&world.directory, &address("bob@example.test"), DAY).await.unwrap();
}

async fn another_password_ends_a_link(database: Database) {
    let world = with_ann(database).await;
    digest(&world, "one").await;
    world.clock.advance(Duration::from_secs(1));
    let mut edit = world.directory.edit().await.unwrap();
    let hash = Secret::new("{BLF-CRYPT}another".to_owned());
    edit.set_password(&address("ann@example.test"), &hash, PasswordOwner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    assert!(!is_good(&world, "one").await);
}

async fn of_two_at_once_one_wins(database: Database) {
    let world = with_ann(database).await;
    digest(&world, "one").await;
    let once = || async {
        let mut edit = world.directory.edit().await?;
        let used = edit.use_set_up_link("one").await?;
        edit.commit().await.map(|()| used.is_some())
    };
    let both = tokio::join!(once(), once());
    // PostgreSQL and MariaDB may also end the slower one's transaction.
    let won = [both.0, both.1].into_iter().filter(|used| matches!(used, Ok(true))).count();
    assert_eq!(won, 1);
}

async fn who_may_not_log_in_has_no_link(database: Database) {
    let world = with_ann(database).await;
    digest(&world, "one").await;
    let mut edit = world.directory.edit().await.unwrap();
    edit.set_user(&address("ann@example.test"), Standing::Disabled).await.unwrap();
    edit.commit().await.unwrap();
    assert!(!is_good(&world, "one").await);
    assert!(invite(&world.directory, &address("nobody@example.test"), DAY).await.is_err());
}
