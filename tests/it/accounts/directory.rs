//! Domains, users, aliases and usage.

use std::time::Duration;

use postrider::foundations::failure::Kind;
use postrider::foundations::secret::Secret;
use postrider::foundations::settings::ByteSize;
use postrider::storage::database::{Database, Dialect, Sql};
use postrider::storage::directory::{Error, Fullest, NewUser, Owner, Page, PasswordOwner, Source, Standing, Usage};

use super::world::{World, address, domain, user};

super::engines::on_every_engine!(
    users_come_and_go,
    removing_archives,
    deleting_leaves_nothing,
    a_domain_comes_back_with_its_users,
    case_does_not_matter_but_accents_do,
    wrong_values_are_refused,
    aliases_come_and_go,
    lists_come_in_pages,
    the_cache_forgets,
    usage_is_written_behind,
    an_edit_is_all_or_nothing,
);

async fn users_come_and_go(database: Database) {
    let world = World::new(database);
    let missing = world.directory.edit().await.unwrap().add_user(&user("ann@example.test")).await.unwrap_err();
    assert!(matches!(missing, Error::NoDomain(_)), "{missing:?}");

    world.users(&["Ann@Example.test"]).await;
    let ann = address("ann@example.test");
    let account = world.directory.account(&ann).await.unwrap().unwrap();
    assert_eq!(account.address, ann);
    assert_eq!(account.quota, Some(ByteSize::mib(10)));
    assert!(account.may_log_in() && account.has_password());
    assert_eq!((account.owner, account.password_owner), (Owner::Admin, Some(PasswordOwner::Admin)));
    assert!(account.created_at.is_some() && account.password_changed_at.is_some());

    let mut edit = world.directory.edit().await.unwrap();
    edit.set_quota(&ann, None).await.unwrap();
    edit.set_display_name(&ann, Some("Ann Ünder")).await.unwrap();
    edit.set_user(&ann, Standing::Disabled).await.unwrap();
    let hash = Secret::new("{BLF-CRYPT}new".to_owned());
    edit.set_password(&ann, &hash, PasswordOwner::User).await.unwrap();
    edit.set_declared_password(&ann, Some("mark")).await.unwrap();
    edit.set_user_owner(&ann, Owner::Declared).await.unwrap();
    edit.commit().await.unwrap();
    let account = world.directory.account(&ann).await.unwrap().unwrap();
    assert_eq!((account.quota, account.display_name.as_deref()), (None, Some("Ann Ünder")));
    assert!(!account.may_log_in());
    assert_eq!(account.password.expose(), "{BLF-CRYPT}new");
    assert_eq!((account.owner, account.password_owner), (Owner::Declared, Some(PasswordOwner::User)));
    assert_eq!(account.declared_password.as_deref(), Some("mark"));

    let mut edit = world.directory.edit().await.unwrap();
    let old =
        postrider::storage::directory::Account { password: Secret::new("other".to_owned()), ..(*account).clone() };
    assert!(!edit.strengthen_password(&old, &Secret::new("stronger".to_owned())).await.unwrap());
    edit.commit().await.unwrap();
    assert_eq!(world.directory.account_now(&ann).await.unwrap().unwrap().password.expose(), "{BLF-CRYPT}new");

    let mut edit = world.directory.edit().await.unwrap();
    let twice = edit.add_user(&user("ANN@example.test")).await.unwrap_err();
    assert_eq!((twice.kind(), matches!(twice, Error::Exists(_))), (Kind::Exists, true));
    drop(edit);
    let mut edit = world.directory.edit().await.unwrap();
    let nobody = NewUser { password: None, ..user("bob@example.test") };
    edit.add_user(&nobody).await.unwrap();
    edit.commit().await.unwrap();
    let bob = world.directory.account(&nobody.address).await.unwrap().unwrap();
    assert!(!bob.has_password() && bob.password_owner.is_none());
}

async fn deleting_leaves_nothing(database: Database) {
    let world = World::new(database.clone());
    world.users(&["ann@example.test", "bob@example.test"]).await;
    for key in ["ann@example.test", "bob@example.test"] {
        for sql in [
            "INSERT INTO preferences (account, preferences, changed_at) VALUES (?, '{}', 1)",
            "INSERT INTO dav_collections (account, kind, name, components, token, forgotten, created_at) \
             VALUES (?, 'calendar', 'x', '', 1, 1, 1)",
            "INSERT INTO learned_owners (owner) VALUES (?)",
            "INSERT INTO mailbox_usage (email, usage_mb) VALUES (?, 1)",
        ] {
            database.execute(sql, &[key.into()]).await.unwrap();
        }
    }
    let (ann, bob) = (address("ann@example.test"), address("bob@example.test"));
    let mut edit = world.directory.edit().await.unwrap();
    edit.delete_user(&ann).await.unwrap();
    edit.commit().await.unwrap();
    assert!(world.directory.account(&ann).await.unwrap().is_none());
    assert!(world.directory.account(&bob).await.unwrap().is_some());
    for (table, column) in [
        ("preferences", "account"),
        ("dav_collections", "account"),
        ("learned_owners", "owner"),
        ("mailbox_usage", "email"),
    ] {
        let rows = database.fetch_all(Sql::assembled(format!("SELECT {column} FROM {table}")), &[]).await.unwrap();
        let left: Vec<String> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(left, ["bob@example.test"], "{table}");
    }
    let mut edit = world.directory.edit().await.unwrap();
    let gone = edit.delete_user(&ann).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
    edit.add_user(&user("ann@example.test")).await.unwrap();
    edit.commit().await.unwrap();
}

async fn removing_archives(database: Database) {
    let world = World::new(database);
    world.users(&["ann@example.test", "bob@example.test"]).await;
    let (ann, bob, example) = (address("ann@example.test"), address("bob@example.test"), domain("example.test"));
    let mut edit = world.directory.edit().await.unwrap();
    edit.archive_user(&ann).await.unwrap();
    edit.commit().await.unwrap();
    let account = world.directory.account(&ann).await.unwrap().unwrap();
    assert!(account.archived_at.is_some() && !account.may_log_in());
    let again = world.directory.edit().await.unwrap().add_user(&user("ann@example.test")).await.unwrap_err();
    assert!(matches!(again, Error::Archived(_)), "{again:?}");

    let mut edit = world.directory.edit().await.unwrap();
    assert_eq!(edit.archive_domain(&example).await.unwrap(), ["bob@example.test"], "ann was already");
    edit.commit().await.unwrap();
    assert!(!world.directory.domain(&example).await.unwrap().unwrap().is_active());
    assert!(world.directory.account(&bob).await.unwrap().unwrap().archived_at.is_some());

    let mut edit = world.directory.edit().await.unwrap();
    let again = edit.add_domain(&example, Owner::Admin).await.unwrap_err();
    assert!(matches!(again, Error::Archived(_)), "{again:?}");
    drop(edit);
    let mut edit = world.directory.edit().await.unwrap();
    edit.set_domain(&example, Standing::Enabled).await.unwrap();
    edit.set_user(&ann, Standing::Enabled).await.unwrap();
    edit.commit().await.unwrap();
    assert!(world.directory.domain(&example).await.unwrap().unwrap().is_active());
    assert!(world.directory.account(&ann).await.unwrap().unwrap().may_log_in());
    assert!(!world.directory.account(&bob).await.unwrap().unwrap().may_log_in());
}

async fn a_domain_comes_back_with_its_users(database: Database) {
    let world = World::new(database);
    world.users(&["ann@example.test", "bob@example.test", "off@example.test"]).await;
    let [ann, bob, off] = ["ann", "bob", "off"].map(|user| address(&format!("{user}@example.test")));
    let example = domain("example.test");
    let mut edit = world.directory.edit().await.unwrap();
    edit.archive_user(&ann).await.unwrap();
    edit.set_user(&off, Standing::Disabled).await.unwrap();
    edit.commit().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let mut edit = world.directory.edit().await.unwrap();
    assert_eq!(edit.archive_domain(&example).await.unwrap(), ["bob@example.test"]);
    edit.commit().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let mut edit = world.directory.edit().await.unwrap();
    assert_eq!(edit.restore_domain(&example).await.unwrap(), ["bob@example.test"]);
    edit.commit().await.unwrap();
    for (user, may) in [(&ann, false), (&bob, true), (&off, false)] {
        let account = world.directory.account(user).await.unwrap().unwrap();
        assert_eq!(account.may_log_in(), may, "{user}");
    }
}

async fn case_does_not_matter_but_accents_do(database: Database) {
    // As another program may have written them.
    for sql in [
        "INSERT INTO virtual_domains (name) VALUES ('Mixed.TEST')",
        "INSERT INTO virtual_users (domain_id, email, password, quota_mb, enabled) \
         SELECT id, 'John.Doe@Mixed.test', 'x', NULL, NULL FROM virtual_domains",
        "INSERT INTO virtual_users (domain_id, email, password, quota_mb) \
         SELECT id, 'josé@mixed.test', 'x', 0 FROM virtual_domains",
        "INSERT INTO virtual_aliases (domain_id, source, destination) \
         SELECT id, 'Info@MIXED.test', 'john.doe@mixed.test' FROM virtual_domains",
        "INSERT INTO virtual_users (domain_id, email, password) SELECT id, 'no address', 'x' FROM virtual_domains",
    ] {
        database.execute(sql, &[]).await.unwrap();
    }
    let world = World::new(database);
    let directory = &world.directory;
    assert_eq!(directory.domain(&domain("mixed.test")).await.unwrap().unwrap().name, domain("mixed.test"));
    let john = directory.account(&address("JOHN.doe@mixed.test")).await.unwrap().unwrap();
    assert_eq!(john.address.to_string(), "john.doe@mixed.test");
    assert_eq!((john.quota, john.may_log_in(), john.owner), (None, true, Owner::Admin));
    assert_eq!(&*directory.aliases("info@mixed.test").await.unwrap(), ["john.doe@mixed.test"]);
    assert!(directory.account(&address("josé@mixed.test")).await.unwrap().is_some());
    assert!(directory.account(&address("jose@mixed.test")).await.unwrap().is_none());
    assert!(directory.account_now(&address("jose@mixed.test")).await.unwrap().is_none());
    assert_eq!(directory.accounts(&Page::default()).await.unwrap().len(), 2);

    // Names the engine cannot tell apart are refused, not mixed up.
    let mut edit = directory.edit().await.unwrap();
    let result = edit.add_user(&user("jose@mixed.test")).await;
    match directory.database().dialect() {
        Dialect::MySql => assert!(matches!(result, Err(Error::Alike(_))), "{result:?}"),
        _ => assert!(result.is_ok(), "{result:?}"),
    }
    drop(edit);
    world.directory.set_usage(&john.address, Usage { bytes: 77, messages: 1 });
    world.directory.flush_usage().await.unwrap();
    world.directory.forget();
    assert_eq!(world.directory.usage(&john.address).await.unwrap(), Some(Usage { bytes: 77, messages: 1 }));
}

async fn wrong_values_are_refused(database: Database) {
    let world = World::new(database);
    world.users(&["ann@example.test"]).await;
    let ann = address("ann@example.test");
    let mut edit = world.directory.edit().await.unwrap();
    let invalid = |result: Result<(), Error>| matches!(result, Err(Error::Invalid { .. }));
    assert!(invalid(edit.set_quota(&ann, Some(ByteSize::bytes(0))).await));
    assert!(invalid(edit.set_quota(&ann, Some(ByteSize::bytes(u64::MAX))).await));
    assert!(invalid(edit.set_display_name(&ann, Some(&"x".repeat(256))).await));
    assert!(invalid(edit.set_display_name(&ann, Some("a\nb")).await));
    assert!(invalid(edit.set_password(&ann, &Secret::new("x".repeat(256)), PasswordOwner::User).await));
    let long = user(&format!("{}@example.test", "x".repeat(65)));
    assert!(invalid(edit.add_user(&long).await.map(|_| ())));
    let source = Source::parse("info@example.test").unwrap();
    for wrong in ["", "ann", "ann@", "@", "a b"] {
        assert!(invalid(edit.add_alias(&source, wrong, Owner::Admin).await.map(|_| ())), "{wrong}");
    }
    let foreign = Source::parse("info@other.test").unwrap();
    assert!(matches!(edit.add_alias(&foreign, "ann@example.test", Owner::Admin).await, Err(Error::NoDomain(_))));
    let nobody = address("nobody@example.test");
    assert!(matches!(edit.archive_user(&nobody).await, Err(Error::NoUser(_))));
    assert!(matches!(edit.set_domain(&domain("other.test"), Standing::Enabled).await, Err(Error::NoDomain(_))));
    assert!(matches!(edit.remove_alias(&source, None).await, Err(Error::NoAlias(_))));
    assert!(matches!(edit.set_alias(&source, Standing::Disabled).await, Err(Error::NoAlias(_))));
}

async fn aliases_come_and_go(database: Database) {
    let world = World::new(database);
    world.users(&["ann@example.test"]).await;
    let list = [
        ("Info@example.test", "ann@example.test"),
        ("info@example.test", "Out@Elsewhere.test"),
        ("@example.test", "ann@example.test"),
    ];
    world.aliases(&list).await;
    let directory = &world.directory;
    assert_eq!(&*directory.aliases("info@example.test").await.unwrap(), ["ann@example.test", "Out@elsewhere.test"]);
    assert_eq!(&*directory.aliases("@example.test").await.unwrap(), ["ann@example.test"]);
    assert!(directory.aliases("nothing@example.test").await.unwrap().is_empty());

    let info = Source::parse("info@example.test").unwrap();
    let mut edit = directory.edit().await.unwrap();
    let twice = edit.add_alias(&info, "ANN@example.test", Owner::Admin).await.unwrap_err();
    assert!(matches!(twice, Error::Exists(_)), "{twice:?}");
    edit.set_alias(&info, Standing::Disabled).await.unwrap();
    edit.commit().await.unwrap();
    assert!(directory.aliases("info@example.test").await.unwrap().is_empty());
    let rows = directory.alias("info@example.test").await.unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row.standing == Standing::Disabled));

    let mut edit = directory.edit().await.unwrap();
    edit.set_alias(&info, Standing::Enabled).await.unwrap();
    assert_eq!(edit.remove_alias(&info, Some("out@elsewhere.test")).await.unwrap(), 1);
    edit.commit().await.unwrap();
    assert_eq!(&*directory.aliases("info@example.test").await.unwrap(), ["ann@example.test"]);
    let mut edit = directory.edit().await.unwrap();
    assert_eq!(edit.remove_alias(&info, None).await.unwrap(), 1);
    edit.commit().await.unwrap();
    assert!(directory.aliases("info@example.test").await.unwrap().is_empty());
}

async fn lists_come_in_pages(database: Database) {
    let world = World::new(database);
    let many: Vec<String> = (0..25).map(|n| format!("user{n:02}@a.test")).collect();
    let mut all: Vec<&str> = many.iter().map(String::as_str).collect();
    all.push("zed@b.test");
    world.users(&all).await;
    let mut seen = Vec::new();
    let mut page = Page { domain: Some(domain("a.test")), limit: 10, ..Page::default() };
    loop {
        let part = world.directory.accounts(&page).await.unwrap();
        let Some(last) = part.last() else { break };
        page.after = Some(last.address.key());
        seen.extend(part.into_iter().map(|account| account.address.to_string()));
    }
    assert_eq!(seen, many);
    assert_eq!(world.directory.accounts(&Page::default()).await.unwrap().len(), 26);
    let names: Vec<String> =
        world.directory.domains(&Page::default()).await.unwrap().into_iter().map(|d| d.name.to_string()).collect();
    assert_eq!(names, ["a.test", "b.test"]);

    // A page of aliases never ends within one alias.
    let rows: Vec<(String, String)> =
        (0..6).flat_map(|a| (0..4).map(move |d| (format!("alias{a}@a.test"), format!("user0{d}@a.test")))).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    world.aliases(&rows).await;
    let mut page = Page { domain: Some(domain("a.test")), limit: 5, ..Page::default() };
    let (mut pages, mut seen) = (0, 0);
    loop {
        let part = world.directory.alias_entries(&page).await.unwrap();
        let Some(last) = part.last() else { break };
        assert_eq!(part.len() % 4, 0, "a whole number of aliases");
        (pages, seen) = (pages + 1, seen + part.len());
        page.after = Some(last.source.clone());
    }
    assert_eq!((pages, seen), (3, 24));
    let everything = world.directory.everything().await.unwrap();
    assert_eq!((everything.domains.len(), everything.accounts.len(), everything.aliases.len()), (2, 26, 24));
}

async fn the_cache_forgets(database: Database) {
    let world = World::new(database.clone());
    world.users(&["ann@example.test"]).await;
    let ann = address("ann@example.test");
    let bob = address("bob@example.test");
    assert!(world.directory.account(&ann).await.unwrap().unwrap().may_log_in());
    assert!(world.directory.account(&bob).await.unwrap().is_none());

    // Another process makes changes: recipients take effect in time, logins at once.
    database.execute("UPDATE virtual_users SET enabled = 0", &[]).await.unwrap();
    let insert = "INSERT INTO virtual_users (domain_id, email, password) SELECT id, 'bob@example.test', 'x' FROM virtual_domains";
    database.execute(insert, &[]).await.unwrap();
    assert!(world.directory.account(&ann).await.unwrap().unwrap().may_log_in());
    assert!(!world.directory.account_now(&ann).await.unwrap().unwrap().may_log_in());
    assert!(world.directory.account(&bob).await.unwrap().is_none());
    world.clock.advance(Duration::from_secs(10));
    assert!(!world.directory.account(&ann).await.unwrap().unwrap().may_log_in());
    assert!(world.directory.account(&bob).await.unwrap().is_some());

    // Our own changes take effect at once.
    let mut edit = world.directory.edit().await.unwrap();
    edit.set_user(&ann, Standing::Enabled).await.unwrap();
    edit.commit().await.unwrap();
    assert!(world.directory.account(&ann).await.unwrap().unwrap().may_log_in());
}

async fn usage_is_written_behind(database: Database) {
    let world = World::new(database.clone());
    world.users(&["ann@example.test", "bob@example.test"]).await;
    let (ann, bob) = (address("ann@example.test"), address("bob@example.test"));
    assert_eq!(world.directory.usage(&ann).await.unwrap(), None);
    let first = Usage { bytes: 1_234_567, messages: 3 };
    world.directory.set_usage(&ann, first);
    assert_eq!(world.directory.usage(&ann).await.unwrap(), Some(first), "known at once");
    world.directory.set_usage(&address("gone@example.test"), first);
    world.directory.flush_usage().await.unwrap();
    let fullest = world.directory.fullest(Fullest::ByQuota, 5).await.unwrap();
    assert_eq!((fullest.len(), fullest[0].address.as_str(), fullest[0].usage), (1, "ann@example.test", first));
    assert_eq!(world.directory.fullest(Fullest::BySize, 5).await.unwrap(), fullest);
    let hundredths = database.dialect().integer("ROUND(usage_mb * 100)");
    let sql = Sql::assembled(format!("SELECT email, {hundredths} FROM mailbox_usage"));
    let stored = || async {
        let rows = database.fetch_all(&sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.text(0).unwrap(), row.int(1).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(stored().await, [("ann@example.test".to_owned(), 118)]);
    world.directory.set_usage(&ann, Usage { bytes: 0, messages: 0 });
    world.directory.flush_usage().await.unwrap();
    assert_eq!(stored().await, [("ann@example.test".to_owned(), 0)]);

    // Written by the seed's scripts: in mebibytes.
    let insert = "INSERT INTO mailbox_usage (email, usage_mb) VALUES ('bob@example.test', 2.50)";
    database.execute(insert, &[]).await.unwrap();
    world.directory.forget();
    assert_eq!(world.directory.usage(&bob).await.unwrap(), Some(Usage { bytes: 2_621_440, messages: 0 }));

    // The last sizes are written at the end.
    world.directory.set_usage(&bob, Usage { bytes: 1 << 20, messages: 9 });
    assert!(world.tasks.stop(Duration::from_secs(10)).await);
    assert!(stored().await.contains(&("bob@example.test".to_owned(), 100)));
    let row =
        database.fetch_all("SELECT bytes, messages FROM mailbox_usage_exact ORDER BY user_id", &[]).await.unwrap();
    assert_eq!((row[1].int(0).unwrap(), row[1].int(1).unwrap()), (1 << 20, 9));
}

async fn an_edit_is_all_or_nothing(database: Database) {
    let world = World::new(database);
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_domain(&domain("example.test"), Owner::Admin).await.unwrap();
    edit.add_user(&user("ann@example.test")).await.unwrap();
    drop(edit);
    assert!(world.directory.domain(&domain("example.test")).await.unwrap().is_none());
    assert!(world.directory.everything().await.unwrap().accounts.is_empty());
}
