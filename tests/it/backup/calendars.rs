//! Lost calendars and contacts restored.

use super::whole::furnished;
use super::world::done;
use postrider::foundations::address::Address;
use postrider::foundations::clock::Timestamp;
use postrider::services::dav::{CalendarObject, Card};
use postrider::storage::dav::{
    Collection, CollectionKind, Collections, Condition, Draft, Limits, Property, PropertyName,
};

const LIMITS: Limits = Limits { collections: 9, objects: 99, octets: 1 << 20, removed: 99, properties: 9 };
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn event(name: &str, summary: &str) -> Draft {
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:{name}\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART:20260101T100000Z\r\nSUMMARY:{summary}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    CalendarObject::read(text.as_bytes()).unwrap().draft(&format!("{name}.ics"), text.as_bytes(), 10)
}

fn contact() -> Draft {
    let text = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:eve\r\nFN:Eve\r\nEMAIL:eve@elsewhere.test\r\nEND:VCARD\r\n";
    Card::read(text.as_bytes()).unwrap().draft("eve.vcf", text.as_bytes())
}

fn colour() -> Property {
    let name = PropertyName { namespace: "http://apple.com/ns/ical/".to_owned(), local: "calendar-color".to_owned() };
    Property { name, value: "#ff0000".to_owned() }
}

async fn made(all: &Collections, account: &Address, kind: CollectionKind, drafts: &[Draft]) -> Collection {
    let collection = all.create(account, (kind, "mine", "VEVENT"), &[colour()], &LIMITS, NOW).await.unwrap();
    all.put(account, &collection, drafts, &Condition::default(), &LIMITS, NOW).await.unwrap();
    collection
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_comes_back_and_what_is_there_stays() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let all = Collections::new(host.parts().database.clone());
    let [ann, bob] = ["ann", "bob"].map(|name| format!("{name}@example.test").parse::<Address>().unwrap());
    let drafts = [event("gone", "Lunch"), event("changed", "Before"), event("same", "Same")];
    let calendar = made(&all, &ann, CollectionKind::Calendar, &drafts).await;
    let book = made(&all, &ann, CollectionKind::AddressBook, &[contact()]).await;
    let others = made(&all, &bob, CollectionKind::Calendar, &drafts).await;
    done(&host, &["create"]).await;

    let seen = all.changes(&calendar, None, 99).await.unwrap().known;
    for collection in [&calendar, &others] {
        let account = if collection.id == calendar.id { &ann } else { &bob };
        all.remove_object(account, collection, "gone.ics", &Condition::default(), &LIMITS).await.unwrap();
    }
    all.put(&ann, &calendar, &[event("changed", "After")], &Condition::default(), &LIMITS, NOW).await.unwrap();
    all.remove(&book).await.unwrap();

    // Restoring mail of a single folder does not touch them.
    let folder = done(&host, &["restore", "--live", "--user", "ann@example.test", "--folder", "INBOX"]).await;
    assert!(folder["calendars"].is_null(), "{folder}");
    let restored = done(&host, &["restore", "--live", "--user", "ann@example.test"]).await;
    assert_eq!(restored["calendars"], serde_json::json!({"collections": 1, "objects": 2, "present": 2}), "{restored}");
    let text = async |collection: &Collection, name: &str| {
        let object = all.object(collection, name).await.unwrap();
        object.map(|object| String::from_utf8(object.content).unwrap())
    };
    assert_eq!(text(&calendar, "gone.ics").await.unwrap().as_bytes(), drafts[0].content);
    assert!(text(&calendar, "changed.ics").await.unwrap().contains("After"));
    assert!(text(&others, "gone.ics").await.is_none(), "bob was not meant");
    // A program that has seen the removal is told that the event is there again.
    let changes = all.changes(&calendar, Some(seen), 99).await.unwrap();
    assert_eq!(changes.changes.len(), 2, "{changes:?}");
    let book = all.find(&ann, CollectionKind::AddressBook, "mine").await.unwrap().unwrap();
    assert_eq!(text(&book, "eve.vcf").await.unwrap().as_bytes(), contact().content);
    assert_eq!(all.properties(std::slice::from_ref(&book)).await.unwrap(), [(book.id, colour())]);
    assert_eq!(all.people(&ann, 9).await.unwrap(), contact().people);

    // All of it, with the database as it is: existing data stays, and bob's lost data comes back.
    let restored = done(&host, &["restore", "--live"]).await;
    assert_eq!(restored["calendars"], serde_json::json!({"collections": 0, "objects": 1, "present": 6}), "{restored}");
    host.stop().await;
}
