//! Unsubscribing from a list (RFC 2369 §3.2), by one request where that can be trusted (RFC 8058).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::door::Reader;
use super::read::Place;
use super::{reasons, source};
use crate::foundations::address::Domain;
use crate::foundations::mail::{HeaderSection, own_results, results_of};
use crate::storage::mailbox::Access;

/// What List-Unsubscribe names. The page asks before it does anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Unsubscribing {
    /// A `mailto:` address to write to.
    mail: Option<String>,
    /// The address of a page.
    page: Option<String>,
    /// Whether this server may ask that page by itself (RFC 8058).
    one_click: bool,
}

/// Longest address that is offered, in octets.
const LONGEST: usize = 2_000;

impl Unsubscribing {
    /// Reads the field; `None` when it names nothing that can be used.
    pub(super) fn read(header: &HeaderSection<'_>, hostname: &Domain) -> Option<Self> {
        let text = header.first(FIELD)?.text();
        let mut found = Self::default();
        for address in text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(address, _)| address) {
            // RFC 2369 §2: blanks within are of folding.
            let address: String = address.chars().filter(|c| !c.is_whitespace()).collect();
            if address.len() > LONGEST || address.contains(char::is_control) {
                continue;
            }
            let has =
                |scheme: &str| address.get(..scheme.len()).is_some_and(|given| given.eq_ignore_ascii_case(scheme));
            if has("mailto:") && address.contains('@') {
                found.mail.get_or_insert(address);
            } else if has("https://") && address.len() > "https://".len() {
                found.page.get_or_insert(address);
            }
        }
        found.one_click = found.page.is_some() && is_one_click(header, hostname);
        (found != Self::default()).then_some(found)
    }
}

/// RFC 2369 §3.2 and RFC 8058 §3.1.
const FIELD: &str = "List-Unsubscribe";
const POST: &str = "List-Unsubscribe-Post";
/// RFC 8058 §3.1: the value of the field.
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

/// RFC 8058 §4: both fields are there once, and a signature covers them that this server has found to be good. It is known in
/// our own Authentication-Results by its domain, selector and the beginning of its `b=` (RFC 6008).
fn is_one_click(header: &HeaderSection<'_>, hostname: &Domain) -> bool {
    let only = |name: &str| {
        let mut fields = header.all(name);
        fields.next().filter(|_| fields.next().is_none()).map(|field| field.text())
    };
    if only(FIELD).is_none() || only(POST).is_none_or(|value| value.trim() != ONE_CLICK) {
        return false;
    }
    let Some(results) = own_results(header.fields(), hostname.as_str()) else { return false };
    let passed: Vec<[String; 3]> = results_of(&results, hostname.as_str())
        .unwrap_or_default()
        .into_iter()
        .filter(|result| result.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("dkim=pass")))
        .map(|result| ["header.d=", "header.s=", "header.b="].map(|name| property(result, name)))
        .collect();
    header.all("DKIM-Signature").any(|field| {
        let signature = field.text();
        let tag = |name: &str| {
            let tags = signature.split(';').filter_map(|tag| tag.split_once('='));
            let value = tags.into_iter().find(|(known, _)| known.trim() == name).map(|(_, value)| value);
            value.unwrap_or_default().chars().filter(|c| !c.is_whitespace()).collect::<String>()
        };
        let (domain, selector, mark, covered) = (tag("d"), tag("s"), tag("b"), tag("h"));
        let is_it = |[d, s, b]: &[String; 3]| {
            d.eq_ignore_ascii_case(&domain)
                && s.eq_ignore_ascii_case(&selector)
                && !b.is_empty()
                && mark.starts_with(b.as_str())
        };
        let covers = |name: &str| covered.split(':').any(|one| one.eq_ignore_ascii_case(name));
        passed.iter().any(is_it) && covers(FIELD) && covers(POST)
    })
}

/// The value of a property of a result.
fn property(result: &str, name: &str) -> String {
    let found = result.split_whitespace().find_map(|word| word.strip_prefix(name));
    found.unwrap_or_default().trim_matches('"').to_owned()
}

/// Unsubscribes at a list's page, for a user who requests it.
pub(super) async fn unsubscribe(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(at): Wish<Place>,
) -> Answer<StatusCode> {
    let view = reader.open(&at.folder, Access::ReadOnly).await?;
    let opened = source::open(&room, &view, at.uid).await?;
    let hostname = room.needs.hostname.get();
    let read = opened.block(move |bytes| Unsubscribing::read(&HeaderSection::of(bytes), &hostname)).await?;
    // The list's server may take its time; others' messages are opened meanwhile.
    drop(opened);
    let page = read.filter(|found| found.one_click).and_then(|found| found.page);
    let Some(page) = page else { return Err(Problem::of(&reasons::NOT_ONE_CLICK)) };
    room.needs.leaving.leave(&page).await.map(|()| StatusCode::NO_CONTENT).map_err(|why| {
        log::info!("webmail: the request to unsubscribe could not be sent to {page}: {why}");
        Problem::of(&reasons::LIST_SILENT).with("why", why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostname() -> Domain {
        "mail.example.test".parse().unwrap()
    }

    #[test]
    fn one_request_is_enough_where_a_good_signature_covers_both_fields() {
        const GOOD: &str = "Authentication-Results: mail.example.test;\r\n\tdkim=pass header.d=shop.test header.s=s1 header.a=rsa-sha256 header.b=AbCd1234;\r\n\tdmarc=pass\r\n\
            DKIM-Signature: v=1; a=rsa-sha256; d=shop.test; s=s1;\r\n h=From:To:List-Unsubscribe:\r\n\tList-Unsubscribe-Post; bh=x; b=AbCd\r\n 1234xyz\r\n\
            List-Unsubscribe: <https://shop.test/u/1>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n";
        let read = |message: &str| {
            Unsubscribing::read(&HeaderSection::of(message.as_bytes()), &hostname())
                .is_some_and(|found| found.one_click)
        };
        assert!(read(GOOD));
        for (what, by) in [
            ("dkim=pass", "dkim=fail"),
            ("mail.example.test;", "mail.evil.test;"),
            (":\r\n\tList-Unsubscribe-Post", ""),
            ("To:List-Unsubscribe:", "To:"),
            ("header.b=AbCd1234", "header.b=Other"),
            ("header.b=AbCd1234", ""),
            ("d=shop.test; s=s1", "d=other.test; s=s1"),
            ("One-Click", "Two-Clicks"),
            ("List-Unsubscribe: <", "List-Unsubscribe: <https://evil.test/>\r\nList-Unsubscribe: <"),
            ("<https://shop.test/u/1>", "<mailto:off@shop.test>"),
            // From a client whose mail is not checked.
            ("Auth", "Received: from x\r\n\tby mail.example.test with ESMTP\r\n\tid 1; x\r\nAuth"),
        ] {
            assert!(GOOD.contains(what), "{what}");
            assert!(!read(&GOOD.replacen(what, by, 1)), "{what}");
        }
    }

    #[test]
    fn only_what_can_be_used_is_offered() {
        let read = |value: &str| {
            let message = format!("List-Unsubscribe: {value}\r\n\r\n");
            Unsubscribing::read(&HeaderSection::of(message.as_bytes()), &hostname())
                .map(|found| (found.mail, found.page))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("<HTTPS://list.test/u?x=1>,\r\n <mailto:off@list.test?subject=off>"),
            Some((some("mailto:off@list.test?subject=off"), some("HTTPS://list.test/u?x=1")))
        );
        assert_eq!(read("<https://list.test/\r\n long>"), Some((None, some("https://list.test/long"))));
        for useless in
            ["", "none", "<http://list.test/>", "<javascript:alert(1)>", "<mailto:nobody>", "<https://>", "<ü>"]
        {
            assert_eq!(read(useless), None, "{useless}");
        }
    }
}
