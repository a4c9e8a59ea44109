//! What calendar programs say of the calendars that they make.

use super::scheduling::{ANN, ask, set_up};
use crate::harness::Host;

const NAMES: &str = "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:I=\"http://apple.com/ns/ical/\"";
const HOME: &str = "/dav/calendars/ann@example.test/";

/// macOS and DAVx5 could make no calendar: each says something of it that was refused.
#[tokio::test(flavor = "multi_thread")]
async fn calendars_are_made_as_programs_ask_for_them() {
    let host = Host::start().user(ANN).await;
    set_up(&host, ANN).await;
    let alarm = "BEGIN:VALARM&#13;\nACTION:NONE&#13;\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z&#13;\nEND:VALARM&#13;\n";
    for (name, more, wanted) in [
        ("macos", "<C:calendar-free-busy-set><YES/></C:calendar-free-busy-set>".to_owned(), 201),
        ("free", "<C:calendar-free-busy-set><NO/></C:calendar-free-busy-set>".to_owned(), 201),
        ("davx5", "<C:calendar-timezone-id>Europe/Berlin</C:calendar-timezone-id>".to_owned(), 201),
        ("alarm", format!("<C:default-alarm-vevent-datetime>{alarm}</C:default-alarm-vevent-datetime>"), 201),
        ("nowhere", "<C:calendar-timezone-id>Nowhere/At All</C:calendar-timezone-id>".to_owned(), 403),
        ("wrong", "<C:max-resource-size>1</C:max-resource-size>".to_owned(), 403),
    ] {
        let body = format!(
            "<C:mkcalendar {NAMES}><D:set><D:prop><C:supported-calendar-component-set><C:comp name=\"VEVENT\"/>\
             </C:supported-calendar-component-set><I:calendar-order>2</I:calendar-order>{more}</D:prop></D:set></C:mkcalendar>"
        );
        let made = ask(&host, ANN, &format!("MKCALENDAR {HOME}{name}/"), "", &body).await;
        assert_eq!(made.status, wanted, "{name}: {}", made.body);
    }
    let asked = format!(
        "<D:propfind {NAMES}><D:prop><C:calendar-timezone-id/><C:calendar-free-busy-set/></D:prop></D:propfind>"
    );
    let shown = ask(&host, ANN, &format!("PROPFIND {HOME}davx5/"), "Depth: 0\r\n", &asked).await.body;
    assert!(shown.contains("<C:calendar-timezone-id>Europe/Berlin<"), "{shown}");
    // What is in it makes nobody busy.
    let asked = format!("<D:propfind {NAMES}><D:prop><C:schedule-calendar-transp/></D:prop></D:propfind>");
    for (name, wanted) in [("macos", "<C:opaque"), ("free", "<transparent ")] {
        let shown = ask(&host, ANN, &format!("PROPFIND {HOME}{name}/"), "Depth: 0\r\n", &asked).await.body;
        assert!(shown.contains(wanted), "{name}: {shown}");
    }
    let patch = format!(
        "<D:propertyupdate {NAMES}><D:set><D:prop><C:default-alarm-vevent-date>{alarm}</C:default-alarm-vevent-date>\
         </D:prop></D:set></D:propertyupdate>"
    );
    let patched = ask(&host, ANN, &format!("PROPPATCH {HOME}macos/"), "", &patch).await.body;
    assert!(patched.contains("200 OK"), "{patched}");
    host.stop().await;
}
