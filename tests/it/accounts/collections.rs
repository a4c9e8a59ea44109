//! Calendars and address books on every engine.

use futures_util::future::join_all;
use postrider::foundations::address::Address;
use postrider::foundations::clock::Timestamp;
use postrider::storage::database::Database;
use postrider::storage::dav::{
    Change, Collection, CollectionKind, Collections, Condition, Draft, Error, Known, Limits, Overwrite, Person,
    Property, PropertyChange, PropertyName, Stored, Transfer, TransferKind, Window,
};

use super::engines::on_every_engine;
use super::world::World;

on_every_engine!(changes_are_numbered, limits_hold, limits_hold_for_all_at_once, objects_move);

const LIMITS: Limits = Limits { collections: 3, objects: 10, octets: 1000, removed: 3, properties: 3 };
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn ann() -> Address {
    "ann@example.test".parse().unwrap()
}

fn draft(name: &str, content: &str) -> Draft {
    Draft {
        name: name.to_owned(),
        uid: format!("uid of {name}"),
        component: "VEVENT".to_owned(),
        content: content.as_bytes().to_owned(),
        etag: content.chars().take(20).collect(),
        begins_at: Some(100),
        ends_at: None,
        people: vec![Person { address: format!("{name}@example.test"), name: "Ä".to_owned() }],
    }
}

async fn changes_are_numbered(database: Database) {
    let collections = Collections::new(database);
    let kind = CollectionKind::Calendar;
    let made = collections.create(&ann(), (kind, "Café", "VEVENT"), &[], &LIMITS, NOW).await.unwrap();
    let put = async |name: &str, content: &str| {
        let any = Condition::default();
        collections.put(&ann(), &made, &[draft(name, content)], &any, &LIMITS, NOW).await.unwrap()
    };
    assert_eq!(put("a", "one").await, Stored::New);
    assert_eq!(put("B", "two").await, Stored::New);
    assert_eq!(put("a", "three").await, Stored::Replaced);
    let first = collections.changes(&made, None, 10).await.unwrap();
    let names: Vec<&str> = first.changes.iter().map(|(_, change)| name(change)).collect();
    assert_eq!((names, first.more), (vec!["B", "a"], false));
    let known = collections.find(&ann(), kind, "Café").await.unwrap().unwrap();
    assert_eq!((Known::up_to(known.token), known.id), (first.known, made.id));
    assert_eq!(collections.find(&ann(), kind, "Cafe").await.unwrap(), None);
    collections.remove_object(&ann(), &made, "a", &Condition::default(), &LIMITS).await.unwrap();
    let next = collections.changes(&made, Some(first.known), 10).await.unwrap();
    assert_eq!(next.changes, [(next.known.told, Change::Removed("a".to_owned()))]);
    assert!(matches!(
        collections.changes(&made, Some(Known::up_to(next.known.told + 1)), 10).await,
        Err(Error::UnknownToken)
    ));
    for n in 0..5 {
        put(&format!("n{n}"), "x").await;
        collections.remove_object(&ann(), &made, &format!("n{n}"), &Condition::default(), &LIMITS).await.unwrap();
    }
    assert!(matches!(collections.changes(&made, Some(first.known), 10).await, Err(Error::UnknownToken)));
    everything_is_told_in_pieces(&collections, &made).await;
    let window = |from, to| Some(Window { from, to });
    assert_eq!(collections.page(&made, "", Some("VEVENT"), window(500, 600), 10).await.unwrap().len(), 1);
    assert!(collections.page(&made, "", Some("VEVENT"), window(0, 100), 10).await.unwrap().is_empty());
    assert!(collections.page(&made, "B", None, None, 10).await.unwrap().is_empty());
    assert_eq!(collections.object(&made, "B").await.unwrap().unwrap().content, b"two");
    collections.remove(&made).await.unwrap();
    assert!(matches!(collections.changes(&made, None, 10).await, Err(Error::NoCollection)));
}

/// Even where removals are forgotten: a client that started after them need not be told of them (RFC 6578 §3.6).
async fn everything_is_told_in_pieces(collections: &Collections, made: &Collection) {
    for name in ["c", "d", "e"] {
        let any = Condition::default();
        collections.put(&ann(), made, &[draft(name, "x")], &any, &LIMITS, NOW).await.unwrap();
    }
    let (mut known, mut told) = (None, Vec::new());
    loop {
        let piece = collections.changes(made, known, 1).await.unwrap();
        told.extend(piece.changes.iter().map(|(_, change)| name(change).to_owned()));
        if told.len() == 2 {
            // Reported already, and not reported yet: the first must be told, the second may.
            for name in ["B", "d"] {
                collections.remove_object(&ann(), made, name, &Condition::default(), &LIMITS).await.unwrap();
            }
        }
        known = Some(piece.known);
        if !piece.more {
            break;
        }
    }
    assert_eq!(told, ["B", "c", "e", "B", "d"]);
    assert_eq!(known.unwrap().begun, None);
    collections.put(&ann(), made, &[draft("B", "two")], &Condition::default(), &LIMITS, NOW).await.unwrap();
    for name in ["c", "e"] {
        collections.remove_object(&ann(), made, name, &Condition::default(), &LIMITS).await.unwrap();
    }
}

fn name(change: &Change) -> &str {
    match change {
        Change::Stored(info) => &info.name,
        Change::Removed(name) => name,
    }
}

/// Simultaneous requests for further calendars: each would find room if it did not wait for the others.
async fn limits_hold_for_all_at_once(database: Database) {
    World::new(database.clone()).users(&["ann@example.test"]).await;
    let collections = &Collections::new(database);
    let make = |n: u32| async move {
        let name = n.to_string();
        let wanted = (CollectionKind::Calendar, name.as_str(), "VEVENT");
        collections.create(&ann(), wanted, &[], &LIMITS, NOW).await
    };
    let made = join_all((0..8).map(make)).await;
    let refused = made.iter().filter(|one| matches!(one, Err(Error::TooManyCollections(3)))).count();
    assert_eq!((made.iter().filter(|one| one.is_ok()).count(), refused), (3, 5), "{made:?}");
}

async fn limits_hold(database: Database) {
    let collections = Collections::new(database);
    let kind = CollectionKind::AddressBook;
    let book = collections.create(&ann(), (kind, "a", ""), &[], &LIMITS, NOW).await.unwrap();
    let again = collections.create(&ann(), (kind, "a", ""), &[], &LIMITS, NOW).await;
    assert!(matches!(again, Err(Error::Exists)));
    for name in ["b", "c"] {
        collections.create(&ann(), (kind, name, ""), &[], &LIMITS, NOW).await.unwrap();
    }
    let fourth = collections.create(&ann(), (kind, "d", ""), &[], &LIMITS, NOW).await;
    assert!(matches!(fourth, Err(Error::TooManyCollections(3))));
    let any = Condition::default();
    let large = draft("large", &"x".repeat(1001));
    assert!(matches!(collections.put(&ann(), &book, &[large], &any, &LIMITS, NOW).await, Err(Error::Full(1000))));
    let many: Vec<Draft> = (0..11).map(|n| draft(&format!("n{n}"), "x")).collect();
    assert!(matches!(collections.put(&ann(), &book, &many, &any, &LIMITS, NOW).await, Err(Error::TooManyObjects(10))));
    assert!(collections.objects(&book).await.unwrap().is_empty(), "all of them or none");
    collections.put(&ann(), &book, &many[..2], &any, &LIMITS, NOW).await.unwrap();
    let twin = Draft { uid: many[0].uid.clone(), ..draft("twin", "x") };
    let conflict = collections.put(&ann(), &book, &[twin], &any, &LIMITS, NOW).await;
    assert!(matches!(conflict, Err(Error::UidTaken(name)) if name == "n0"));
    let other = Draft { uid: "other".to_owned(), ..many[0].clone() };
    let conflict = collections.put(&ann(), &book, &[other], &any, &LIMITS, NOW).await;
    assert!(matches!(conflict, Err(Error::UidTaken(name)) if name == "n0"));
    let property = |local: &str| Property {
        name: PropertyName { namespace: "urn:x".to_owned(), local: local.to_owned() },
        value: "<a/>".to_owned(),
    };
    let set = |names: &[&str]| names.iter().map(|name| PropertyChange::Set(property(name))).collect::<Vec<_>>();
    collections.change_properties(&book, &set(&["a", "b", "a"]), &LIMITS).await.unwrap();
    let more = collections.change_properties(&book, &set(&["c", "d"]), &LIMITS).await;
    assert!(matches!(more, Err(Error::TooManyProperties(3))));
    let found = collections.properties(std::slice::from_ref(&book)).await.unwrap();
    assert_eq!(found, [(book.id, property("a")), (book.id, property("b"))]);
    let people = collections.people(&ann(), 10).await.unwrap();
    assert_eq!(
        people.iter().map(|person| person.address.as_str()).collect::<Vec<_>>(),
        ["n0@example.test", "n1@example.test"]
    );
    // There are two of one octet each.
    let lowered = Limits { objects: 1, octets: 1, ..LIMITS };
    let put = async |name: &str, content: &str| {
        collections.put(&ann(), &book, &[draft(name, content)], &Condition::default(), &lowered, NOW).await
    };
    assert!(matches!(put("n0", "yy").await, Err(Error::Full(1))));
    assert!(matches!(put("n2", "").await, Err(Error::TooManyObjects(1))));
    assert!(matches!(put("n0", "y").await, Ok(Stored::Replaced)), "what takes no more is stored");
}

async fn objects_move(database: Database) {
    let collections = Collections::new(database);
    let kind = CollectionKind::Calendar;
    let one = collections.create(&ann(), (kind, "one", "VEVENT"), &[], &LIMITS, NOW).await.unwrap();
    let two = collections.create(&ann(), (kind, "two", "VEVENT"), &[], &LIMITS, NOW).await.unwrap();
    let object = draft("a", "x");
    let (any, user) = (Condition::default(), ann());
    collections.put(&user, &one, std::slice::from_ref(&object), &any, &LIMITS, NOW).await.unwrap();
    let copy = Draft { name: "b".to_owned(), ..object.clone() };
    let go = async |kind, overwrite| {
        let transfer = Transfer { kind, from: (&one, "a"), to: (&two, &copy), overwrite };
        collections.transfer(&user, transfer, &LIMITS, NOW).await
    };
    assert_eq!(go(TransferKind::Copy, Overwrite::No).await.unwrap(), Stored::New);
    assert!(matches!(go(TransferKind::Copy, Overwrite::No).await, Err(Error::Condition)));
    assert_eq!(go(TransferKind::Move, Overwrite::Yes).await.unwrap(), Stored::Replaced);
    assert!(matches!(go(TransferKind::Move, Overwrite::Yes).await, Err(Error::NoObject)));
    assert!(collections.objects(&one).await.unwrap().is_empty());
    assert_eq!(collections.objects(&two).await.unwrap().len(), 1);
}
