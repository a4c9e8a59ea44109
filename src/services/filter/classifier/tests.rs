use super::packed::{Delta, apply};
use super::*;
use crate::services::filter::LimitSettings;
use crate::services::filter::view::View;

fn tokens_of(message: &str) -> Vec<Token> {
    tokens(&View::new(message.as_bytes(), &LimitSettings::default()))
}

fn learn(table: &mut Table, class: Class, tokens: &[Token], day: u16) {
    let mut delta = Delta::default();
    delta.learn(class, tokens);
    change(table, &delta, day);
}

fn change(table: &mut Table, delta: &Delta, day: u16) {
    apply(table, &delta.pack(day)).unwrap();
    table.ham = table.ham.saturating_add_signed(i32::try_from(delta.ham).unwrap());
    table.spam = table.spam.saturating_add_signed(i32::try_from(delta.spam).unwrap());
}

fn trained() -> Table {
    let mut table = Table::default();
    for n in 0..60 {
        learn(
            &mut table,
            Class::Ham,
            &tokens_of(&format!("Subject: meeting {n}\n\nthe minutes of the meeting are attached, number {n}")),
            1,
        );
        learn(
            &mut table,
            Class::Spam,
            &tokens_of(&format!("Subject: offer {n}\n\ncheap pills for you, buy number {n} now")),
            2,
        );
    }
    table
}

#[test]
fn learns_and_tells_apart() {
    let table = trained();
    let spam = tokens_of("Subject: offer\n\ncheap pills, buy now");
    let ham = tokens_of("Subject: meeting\n\nminutes of the meeting");
    assert!(table.probability(&spam, None).unwrap() > 0.99);
    assert!(table.probability(&ham, None).unwrap() < 0.01);
    assert_eq!(table.probability(&tokens_of("\n\nzzzz qqqq"), None), None, "nothing of it has been seen before");
    assert_eq!(Table::default().probability(&spam, None), None);
}

#[test]
fn forgets_exactly() {
    let mut table = trained();
    let before: Vec<_> = {
        let mut all: Vec<_> = table.counts.clone().into_iter().collect();
        all.sort_by_key(|(t, _)| *t);
        all
    };
    let message = tokens_of("Subject: x\n\nsomething quite different");
    learn(&mut table, Class::Spam, &message, 2);
    let mut delta = Delta::default();
    delta.unlearn(Class::Spam, &message);
    change(&mut table, &delta, 2);
    let mut after: Vec<_> = table.counts.clone().into_iter().collect();
    after.sort_by_key(|(t, _)| *t);
    assert_eq!(
        before.iter().map(|(t, c)| (*t, c.ham, c.spam)).collect::<Vec<_>>(),
        after.iter().map(|(t, c)| (*t, c.ham, c.spam)).collect::<Vec<_>>()
    );
    assert_eq!((table.ham, table.spam), (60, 60));
}

#[test]
fn stays_within_its_bounds() {
    let mut table = trained();
    for n in 0..2000u64 {
        learn(&mut table, Class::Ham, &[n * 2 + 1], 3);
    }
    table.expire(500);
    assert!(table.len() <= 500 && table.len() >= 400, "{}", table.len());
    assert!(table.probability(&tokens_of("Subject: offer\n\ncheap pills, buy now"), None).unwrap() > 0.9);
}

#[test]
fn the_recipient_outweighs_the_site() {
    let site = trained();
    let mut own = Table::default();
    for n in 0..60 {
        learn(
            &mut own,
            Class::Ham,
            &tokens_of(&format!("Subject: offer {n}\n\ncheap pills for you, buy number {n} now")),
            1,
        );
        learn(
            &mut own,
            Class::Spam,
            &tokens_of(&format!("Subject: meeting {n}\n\nthe minutes of the meeting are attached, number {n}")),
            2,
        );
    }
    assert!(site.probability(&tokens_of("Subject: offer\n\ncheap pills, buy now"), Some(&own)).unwrap() < 0.3);
}

#[test]
fn no_heap_of_links_hides_one() {
    let heap: String =
        (0..300).map(|n| format!("<img src='https://good.test/{n}'><a href='https://good.test/{n}'></a>")).collect();
    let bare = tokens_of("Content-Type: text/html\n\n<a href='https://evil.test/'>here</a>");
    let evil: Vec<Token> =
        bare.into_iter().filter(|token| !tokens_of("Content-Type: text/html\n\nhere").contains(token)).collect();
    assert!(!evil.is_empty());
    for (before, behind) in [(heap.as_str(), ""), ("", heap.as_str()), (heap.as_str(), heap.as_str())] {
        let message = format!("Content-Type: text/html\n\n{before}<a href='https://evil.test/'>here</a>{behind}");
        let found = tokens_of(&message);
        assert!(evil.iter().all(|token| found.contains(token)), "{message}");
    }
}

#[test]
fn tokens_are_stable() {
    // Stored tables depend on the values: a change here needs new tables.
    let found = tokens_of("Subject: Hi\n\nHello World");
    assert!(found.is_sorted());
    assert_eq!(found.first(), Some(&FIRST));
    assert_eq!(found, tokens_of("Subject: Hi\r\n\r\nHello\r\nWorld\r\n"));
}

const FIRST: Token = 4670520541882066488;
