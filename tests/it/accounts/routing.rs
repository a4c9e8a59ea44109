//! Aliases, catch-alls, tags, loops.

use postrider::foundations::address::ReversePath;
use postrider::foundations::mail::{Envelope, Notify, OriginalRecipient, Recipient};
use postrider::foundations::settings::Live;
use postrider::services::routing::{DisabledUsers, Identity, Resolution, Routing, RoutingSettings};
use postrider::storage::database::Database;
use postrider::storage::directory::Standing;
use postrider::storage::spool::Action;

use super::world::{World, address, domain};

super::engines::on_every_engine!(
    addresses_lead_to_mailboxes,
    circles_and_floods_end,
    role_addresses_go_somewhere,
    the_disabled_and_the_removed,
    envelopes_are_split,
    success_is_told_of_those_who_are_named,
    senders_are_known,
);

fn routing(world: &World, settings: RoutingSettings) -> Routing {
    Routing::new(world.directory.clone(), Live::new(settings), domain("mx.host.test"))
}

/// The outcome in one line: mailboxes (with `+tag`), then external addresses after `>`.
async fn outcome(routing: &Routing, text: &str) -> String {
    match routing.resolve(&address(text)).await.unwrap() {
        Resolution::Remote => "remote".to_owned(),
        Resolution::Unknown => "unknown".to_owned(),
        Resolution::Refused(refusal) => {
            let (code, status) = refusal.smtp.unwrap();
            format!("{code} {status}")
        }
        Resolution::Local { accounts, forwards, .. } => {
            let here = accounts.iter().map(|reached| {
                let name = reached.account.address.local().value();
                reached.tag.as_ref().map_or_else(|| name.to_owned(), |tag| format!("{name}+{tag}"))
            });
            let mut here: Vec<String> = here.collect();
            here.sort();
            here.into_iter().chain(forwards.iter().map(|a| format!(">{a}"))).collect::<Vec<_>>().join(" ")
        }
    }
}

async fn check(routing: &Routing, table: &[(&str, &str)]) {
    for (text, wanted) in table {
        assert_eq!(outcome(routing, text).await, *wanted, "{text}");
    }
}

async fn addresses_lead_to_mailboxes(database: Database) {
    let world = World::new(database);
    world.users(&["ann@a.test", "bob@a.test", "cy@a.test", "dora+x@a.test", "eve@b.test"]).await;
    let aliases = [
        ("sales@a.test", "ann@a.test"),
        ("sales@a.test", "bob@a.test"),
        ("all@a.test", "sales@a.test"),
        ("all@a.test", "cy@a.test"),
        ("all@a.test", "Someone@Elsewhere.test"),
        // An alias replaces the user of its name ...
        ("bob@a.test", "eve@b.test"),
        // ... unless it names itself.
        ("cy@a.test", "cy@a.test"),
        ("cy@a.test", "backup@elsewhere.test"),
        ("ann+vip@a.test", "bob@a.test"),
        ("@b.test", "ann@a.test"),
        ("nowhere@a.test", "nobody@a.test"),
        ("half@a.test", "nobody@a.test"),
        ("half@a.test", "ann@a.test"),
    ];
    world.aliases(&aliases).await;
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_domain(&domain("c.test"), postrider::storage::directory::Owner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    world.aliases(&[("@c.test", "@a.test"), ("special@c.test", "eve@b.test")]).await;
    let several = "INSERT INTO virtual_aliases (domain_id, source, destination) \
         SELECT id, 'list@a.test', 'ann@a.test, eve@b.test, not an address' FROM virtual_domains WHERE name = 'a.test'";
    world.directory.database().execute(several, &[]).await.unwrap();

    let routing = routing(&world, RoutingSettings::default());
    let table = [
        ("ANN@a.test", "ann"),
        ("ann+lists@A.test", "ann+lists"),
        ("ann+@a.test", "ann+"),
        ("dora+x@a.test", "dora+x"),
        ("dora@a.test", "unknown"),
        ("nobody@a.test", "unknown"),
        ("ann@elsewhere.test", "remote"),
        ("sales@a.test", "ann eve"),
        ("sales+q@a.test", "ann+q eve+q"),
        ("all@a.test", "ann cy eve >Someone@elsewhere.test >backup@elsewhere.test"),
        ("bob@a.test", "eve"),
        ("cy@a.test", "cy >backup@elsewhere.test"),
        ("cy+t@a.test", "cy+t >backup@elsewhere.test"),
        ("ann+vip@a.test", "eve"),
        ("eve@b.test", "eve"),
        ("anything@b.test", "ann"),
        ("nowhere@a.test", "unknown"),
        ("half@a.test", "ann"),
        ("ann@c.test", "ann"),
        ("ann+tag@c.test", "ann+tag"),
        ("sales@c.test", "ann eve"),
        ("special@c.test", "eve"),
        ("nobody@c.test", "unknown"),
        ("list@a.test", "ann eve"),
    ];
    check(&routing, &table).await;
    let dashes = RoutingSettings { tag_separator: "-".to_owned(), ..Default::default() };
    let none = RoutingSettings { tag_separator: String::new(), ..Default::default() };
    check(&self::routing(&world, dashes), &[("ann-x@a.test", "ann+x"), ("ann+x@a.test", "unknown")]).await;
    check(&self::routing(&world, none), &[("ann+x@a.test", "unknown"), ("dora+x@a.test", "dora+x")]).await;
}

async fn circles_and_floods_end(database: Database) {
    let world = World::new(database);
    world.users(&["ann@a.test", "x@b.test"]).await;
    let mut rows: Vec<(String, String)> = vec![
        ("one@a.test".to_owned(), "two@a.test".to_owned()),
        ("two@a.test".to_owned(), "one@a.test".to_owned()),
        ("self@a.test".to_owned(), "self@a.test".to_owned()),
        ("mixed@a.test".to_owned(), "one@a.test".to_owned()),
        ("mixed@a.test".to_owned(), "ann@a.test".to_owned()),
        // Both paths lead to the same alias: no loop, one copy.
        ("left@a.test".to_owned(), "both@a.test".to_owned()),
        ("top@a.test".to_owned(), "left@a.test".to_owned()),
        ("top@a.test".to_owned(), "both@a.test".to_owned()),
        ("both@a.test".to_owned(), "ann@a.test".to_owned()),
        ("@b.test".to_owned(), "lost@b.test".to_owned()),
    ];
    rows.extend((0..20).map(|n| (format!("deep{n}@a.test"), format!("deep{}@a.test", n + 1))));
    rows.push(("deep20@a.test".to_owned(), "ann@a.test".to_owned()));
    for wide in 0..3 {
        rows.extend((0..40).map(|n| (format!("wide{wide}@a.test"), format!("u{wide}{n}@elsewhere.test"))));
        rows.push((format!("wide{wide}@a.test"), format!("wide{}@a.test", wide + 1)));
    }
    // The user behind a redirecting alias is not reached by coming twice.
    rows.push(("ann@a.test".to_owned(), "x@b.test".to_owned()));
    rows.push(("twice@a.test".to_owned(), "ann@a.test".to_owned()));
    rows.push(("twice@a.test".to_owned(), "again@a.test".to_owned()));
    rows.push(("again@a.test".to_owned(), "ann@a.test".to_owned()));
    let rows: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    world.aliases(&rows).await;
    let settings = RoutingSettings { alias_expansion: 100, ..Default::default() };
    let table = [
        ("one@a.test", "554 5.4.6"),
        ("self@a.test", "554 5.4.6"),
        ("mixed@a.test", "x"),
        ("top@a.test", "x"),
        ("lost@b.test", "554 5.4.6"),
        ("deep0@a.test", "451 4.3.5"),
        ("deep13@a.test", "x"),
        ("wide0@a.test", "451 4.3.5"),
        ("twice@a.test", "x"),
    ];
    check(&routing(&world, settings), &table).await;
}

async fn role_addresses_go_somewhere(database: Database) {
    let world = World::new(database);
    world.users(&["first@a.test", "second@a.test", "third@b.test", "fourth@c.test"]).await;
    world.aliases(&[("@b.test", "second@a.test"), ("abuse@c.test", "first@a.test")]).await;
    let unset = routing(&world, RoutingSettings::default());
    let table = [
        ("postmaster@a.test", "first"),
        ("Abuse@a.test", "first"),
        ("postmaster+x@a.test", "first"),
        ("postmaster@b.test", "second"),
        ("abuse@c.test", "first"),
        ("postmaster@c.test", "fourth"),
        ("postmaster@mx.host.test", "first"),
        ("ann@mx.host.test", "remote"),
        ("postmaster@elsewhere.test", "remote"),
    ];
    check(&unset, &table).await;
    let set = RoutingSettings { postmaster: Some(address("second@a.test")), ..Default::default() };
    let table = [
        ("postmaster@a.test", "second"),
        ("postmaster@b.test", "second"),
        ("abuse@c.test", "first"),
        ("postmaster@mx.host.test", "second"),
    ];
    check(&routing(&world, set), &table).await;
    let itself = RoutingSettings { postmaster: Some(address("postmaster@a.test")), ..Default::default() };
    check(
        &routing(&world, itself),
        &[("postmaster@a.test", "first"), ("abuse@c.test", "first"), ("abuse@b.test", "first")],
    )
    .await;
    let out = RoutingSettings { postmaster: Some(address("me@elsewhere.test")), ..Default::default() };
    check(&routing(&world, out), &[("postmaster@a.test", ">me@elsewhere.test")]).await;
}

async fn the_disabled_and_the_removed(database: Database) {
    let world = World::new(database);
    world.users(&["off@a.test", "gone@a.test", "ann@a.test", "x@off.test", "x@gone.test"]).await;
    world.aliases(&[("team@a.test", "off@a.test"), ("team@a.test", "ann@a.test"), ("to@a.test", "x@off.test")]).await;
    let mut edit = world.directory.edit().await.unwrap();
    edit.set_user(&address("off@a.test"), Standing::Disabled).await.unwrap();
    edit.archive_user(&address("gone@a.test")).await.unwrap();
    edit.set_domain(&domain("off.test"), Standing::Disabled).await.unwrap();
    edit.archive_domain(&domain("gone.test")).await.unwrap();
    edit.commit().await.unwrap();
    let table = [
        ("off@a.test", "off"),
        ("gone@a.test", "unknown"),
        ("x@off.test", "550 5.2.1"),
        ("x@gone.test", "remote"),
        ("to@a.test", "550 5.2.1"),
    ];
    check(&routing(&world, RoutingSettings::default()), &table).await;
    let refuse = RoutingSettings { disabled_users: DisabledUsers::Refuse, ..Default::default() };
    check(&routing(&world, refuse), &[("off@a.test", "550 5.2.1"), ("team@a.test", "ann")]).await;
}

async fn envelopes_are_split(database: Database) {
    let world = World::new(database);
    world.users(&["ann@a.test", "bob@a.test"]).await;
    let aliases = [
        ("team@a.test", "ann@a.test"),
        ("team@a.test", "bob@a.test"),
        ("team@a.test", "out@elsewhere.test"),
        ("team@a.test", "away@elsewhere.test"),
    ];
    world.aliases(&aliases).await;
    let loud = Notify { success: true, failure: true, delay: false, explicit: true };
    let recipients = vec![
        Recipient { notify: Notify::NEVER, ..Recipient::plain(address("ann+t@a.test")) },
        Recipient { notify: loud, ..Recipient::plain(address("team@a.test")) },
        Recipient::plain(address("out@elsewhere.test")),
        Recipient::plain(address("far@elsewhere.test")),
        Recipient::plain(address("nobody@a.test")),
    ];
    let envelope = envelope_to(recipients);
    let routes = routing(&world, RoutingSettings::default()).split(&envelope).await.unwrap();
    // An alias is told about itself, and its members are no longer asked for success.
    let quiet = Notify { success: false, ..loud };
    let local: Vec<_> =
        routes.local.iter().map(|l| (l.account.to_string(), l.tag.clone(), l.recipient.notify)).collect();
    assert_eq!(local, [("ann@a.test".to_owned(), Some("t".to_owned()), quiet), ("bob@a.test".to_owned(), None, quiet)]);
    assert_eq!(routes.local[0].recipient.address, address("ann+t@a.test"));
    assert!(routes.local[0].quota.is_some());
    let addresses = |list: &[Recipient]| list.iter().map(|r| r.address.to_string()).collect::<Vec<_>>();
    assert_eq!(addresses(&routes.remote), ["out@elsewhere.test", "far@elsewhere.test"]);
    assert_eq!(addresses(&routes.forwards), ["away@elsewhere.test"]);
    let original = OriginalRecipient { address_type: "rfc822".to_owned(), address: "team@a.test".to_owned() };
    assert_eq!(routes.forwards[0].original, Some(original));
    assert_eq!(routes.forwards[0].notify, quiet);
    let told: Vec<_> = routes.passed_on.iter().map(|(one, action)| (one.address.to_string(), *action)).collect();
    assert_eq!(told, [("team@a.test".to_owned(), Action::Expanded)]);
    assert!(routes.remote[0].original.is_none() && !routes.remote[0].notify.success);
    assert_eq!(routes.remote[1], Recipient::plain(address("far@elsewhere.test")));
    assert_eq!(routes.failed.len(), 1);
    assert_eq!(routes.failed[0].1.smtp, Some((550, "5.1.1".into())));
    assert_eq!(routes.expansions.len(), 1);
    assert_eq!(routes.expansions[0].to.len(), 4);
}

fn envelope_to(recipients: Vec<Recipient>) -> Envelope {
    Envelope::plain(ReversePath::Null, recipients)
}

async fn success_is_told_of_those_who_are_named(database: Database) {
    let world = World::new(database);
    world.users(&["ann@a.test"]).await;
    world.aliases(&[("info@a.test", "ann@a.test")]).await;
    let loud = Notify { success: true, failure: true, delay: false, explicit: true };
    let to = |name| Recipient { notify: loud, ..Recipient::plain(address(name)) };
    let routing = routing(&world, RoutingSettings::default());
    let alone = routing.split(&envelope_to(vec![to("info@a.test")])).await.unwrap();
    assert!(!alone.local[0].recipient.notify.success && alone.local[0].recipient.notify.failure);
    assert_eq!(alone.passed_on, [(to("info@a.test"), Action::Relayed)]);
    // In either order the success is reported for the user's own address.
    for names in [["info@a.test", "ann@a.test"], ["ann@a.test", "info@a.test"]] {
        let routes = routing.split(&envelope_to(names.map(to).to_vec())).await.unwrap();
        let [local] = &routes.local[..] else { panic!("{:?}", routes.local) };
        assert_eq!((local.at_home().address, local.at_home().original), (address("ann@a.test"), None));
        assert!(local.recipient.notify.success && routes.passed_on.len() == 1);
    }
}

async fn senders_are_known(database: Database) {
    let world = World::new(database);
    world.users(&["ann@a.test", "bob@a.test", "ann+bob@a.test"]).await;
    world.aliases(&[("info@a.test", "ann@a.test"), ("ann+sale@a.test", "bob@a.test"), ("@a.test", "bob@a.test")]).await;
    let routing = routing(&world, RoutingSettings::default());
    for (account, sender, wanted) in [
        ("ann@a.test", "Ann@A.test", Identity::Own),
        ("ann@a.test", "ann+shop@a.test", Identity::Own),
        ("ann@a.test", "ann+bob@a.test", Identity::Foreign),
        ("ann+bob@a.test", "ann+bob@a.test", Identity::Own),
        ("ann@a.test", "ann+sale@a.test", Identity::Foreign),
        ("bob@a.test", "ann+sale@a.test", Identity::Alias),
        ("ann@a.test", "info@a.test", Identity::Alias),
        ("ann@a.test", "info+x@a.test", Identity::Alias),
        ("bob@a.test", "whatever@a.test", Identity::Alias),
        ("ann@a.test", "whatever@a.test", Identity::Foreign),
        ("ann@a.test", "bob@a.test", Identity::Foreign),
        ("ann@a.test", "ann@elsewhere.test", Identity::Foreign),
    ] {
        let identity = routing.may_send_as(&address(account), &address(sender)).await.unwrap();
        assert_eq!(identity, wanted, "{account} as {sender}");
    }
}
