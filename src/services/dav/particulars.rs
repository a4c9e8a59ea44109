//! The parts of a contact that people see and change, line by line; everything else in it stays as it is.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Unfit;
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::said::said;

/// Most characters of a name, an organisation or a telephone number.
const LONGEST: usize = 200;
/// Most characters of a note.
const LONGEST_NOTE: usize = 10_000;
/// Most addresses and most telephone numbers.
const MOST: usize = 50;
/// Octets of a line, without its end (RFC 2426 §2.6).
const LINE: usize = 75;

/// The parts of a contact that are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Particulars {
    /// The name for people.
    pub name: String,
    /// Mail addresses.
    pub addresses: Vec<String>,
    /// Telephone numbers.
    pub telephones: Vec<String>,
    /// The organisation.
    pub organisation: String,
    /// The note.
    pub note: String,
}

impl Particulars {
    /// The particulars of a card.
    pub fn of(card: &str) -> Self {
        let mut shown = Self::default();
        let mut in_parts = String::new();
        for line in lines(card) {
            let value = line.value();
            match line.property().as_str() {
                "FN" if shown.name.is_empty() => shown.name = text(value),
                "N" if in_parts.is_empty() => in_parts = joined(value),
                "EMAIL" => shown.addresses.extend(Some(text(value)).filter(|address| !address.is_empty())),
                "TEL" => shown.telephones.extend(Some(telephone(value)).filter(|number| !number.is_empty())),
                "ORG" if shown.organisation.is_empty() => shown.organisation = organisation(value),
                "NOTE" if shown.note.is_empty() => shown.note = text(value),
                _ => {}
            }
        }
        // Cards of version 2.1 need no FN.
        if shown.name.is_empty() {
            shown.name = in_parts;
        }
        shown
    }

    /// Without surrounding spaces and empty entries.
    ///
    /// # Errors
    /// It is not a contact, or exceeds a limit.
    pub fn checked(mut self) -> Result<Self, Unfit> {
        for text in [&mut self.name, &mut self.organisation, &mut self.note] {
            *text = text.trim().replace("\r\n", "\n");
        }
        for texts in [&mut self.addresses, &mut self.telephones] {
            *texts = texts.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
        }
        let single = [&self.name, &self.organisation].into_iter().chain(&self.telephones);
        if single.into_iter().any(|text| text.chars().count() > LONGEST || text.contains(char::is_control)) {
            return Err(Unfit::Rule(said!(
                "contact-line",
                "a name, an organisation and a telephone number must be one line of at most 200 characters"
            )));
        }
        if self.note.chars().count() > LONGEST_NOTE {
            return Err(Unfit::Rule(said!("contact-note", "the note is longer than 10000 characters")));
        }
        if self.addresses.len() > MOST || self.telephones.len() > MOST {
            return Err(Unfit::Rule(said!(
                "contact-many",
                "a contact can have at most 50 addresses and 50 telephone numbers"
            )));
        }
        if self.addresses.iter().any(|address| address.parse::<Address>().is_err()) {
            return Err(Unfit::Rule(said!("contact-address", "one of the addresses is invalid")));
        }
        if self.name.is_empty() {
            // RFC 2426 §3.1.1: a card must have a name.
            let known = self.addresses.first().or_else(|| self.telephones.first());
            self.name = known.unwrap_or(&self.organisation).clone();
        }
        if self.name.is_empty() {
            Err(Unfit::Rule(said!("contact-nameless", "a contact needs a name or an address")))
        } else {
            Ok(self)
        }
    }

    /// A new card.
    pub fn card(&self, uid: &str, now: Timestamp) -> String {
        let bare = format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Postrider//webmail//EN\r\nUID:{}\r\nEND:VCARD\r\n",
            escaped(uid)
        );
        self.written_into(&bare, now)
    }

    /// The card with these particulars instead of its own. Unchanged lines stay, with all their parameters.
    pub fn written_into(&self, card: &str, now: Timestamp) -> String {
        let (before, all) = (Self::of(card), lines(card));
        let is_renamed = before.name != self.name;
        let mut addresses: Vec<&str> = self.addresses.iter().map(String::as_str).collect();
        let mut telephones: Vec<&str> = self.telephones.iter().map(String::as_str).collect();
        let mut dropped_groups = HashSet::new();
        let mut kept = Vec::with_capacity(all.len());
        for line in &all {
            let stays = match line.property().as_str() {
                "FN" | "N" => !is_renamed,
                "EMAIL" => take(&mut addresses, &text(line.value())),
                "TEL" => take(&mut telephones, &telephone(line.value())),
                "ORG" => before.organisation == self.organisation,
                "NOTE" => before.note == self.note,
                "REV" => false,
                _ => true,
            };
            match stays {
                true => kept.push(line),
                false => dropped_groups.extend(line.group()),
            }
        }
        // Apple's label for what is gone.
        kept.retain(|line| {
            line.property() != "X-ABLABEL" || line.group().is_none_or(|group| !dropped_groups.contains(group))
        });
        let mut new = String::new();
        let mut add = |line: String| new.push_str(&folded(&line));
        if is_renamed {
            add(format!("FN:{}", escaped(&self.name)));
            add(format!("N:{}", parted(&self.name)));
        }
        addresses.iter().for_each(|address| add(format!("EMAIL:{}", escaped(address))));
        telephones.iter().for_each(|number| add(format!("TEL:{}", escaped(number))));
        if before.organisation != self.organisation && !self.organisation.is_empty() {
            add(format!("ORG:{}", escaped(&self.organisation)));
        }
        if before.note != self.note && !self.note.is_empty() {
            add(format!("NOTE:{}", escaped(&self.note)));
        }
        add(format!("REV:{}", now.utc().format("%Y%m%dT%H%M%SZ")));
        let end = kept.iter().rposition(|line| line.property() == "END").unwrap_or(kept.len());
        let raw = |lines: &[&Line<'_>]| lines.iter().map(|line| line.raw).collect::<String>();
        raw(&kept[..end]) + &new + &raw(&kept[end..])
    }
}

/// A content line as written, and unfolded (RFC 6350 §3.2).
pub(super) struct Line<'a> {
    raw: &'a str,
    pub(super) whole: String,
}

impl Line<'_> {
    fn head(&self) -> &str {
        let end = self.whole.find([':', ';']).unwrap_or(self.whole.len());
        &self.whole[..end]
    }

    pub(super) fn property(&self) -> String {
        let head = self.head();
        head.rsplit_once('.').map_or(head, |(_, name)| name).to_ascii_uppercase()
    }

    fn group(&self) -> Option<&str> {
        self.head().rsplit_once('.').map(|(group, _)| group)
    }

    /// The text after the first colon that is not in a quoted parameter.
    pub(super) fn value(&self) -> &str {
        let mut quoted = false;
        let colon = self.whole.char_indices().find(|(_, c)| {
            quoted ^= *c == '"';
            *c == ':' && !quoted
        });
        colon.map_or("", |(at, _)| self.whole[at + 1..].trim())
    }
}

pub(super) fn lines(card: &str) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut start = 0;
    for piece in card.split_inclusive('\n') {
        let bare = piece.trim_end_matches(['\r', '\n']);
        match (bare.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => {
                last.raw = &card[start..start + last.raw.len() + piece.len()];
                last.whole.push_str(more);
            }
            _ => {
                start += lines.last().map_or(0, |last| last.raw.len());
                lines.push(Line { raw: piece, whole: bare.to_owned() });
            }
        }
    }
    lines
}

/// Removes the value from a list, and returns whether it was there.
fn take(list: &mut Vec<&str>, value: &str) -> bool {
    let at = list.iter().position(|one| *one == value);
    at.map(|at| list.remove(at)).is_some()
}

/// A text without its escapes (RFC 6350 §3.4).
pub(super) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}

/// A telephone number; version 4.0 may write it as a URI.
fn telephone(value: &str) -> String {
    let number = text(value);
    number.strip_prefix("tel:").map_or_else(|| number.clone(), str::to_owned)
}

/// The organisation and its units (RFC 6350 §6.6.4).
fn organisation(value: &str) -> String {
    let parts: Vec<String> = components(value).into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// A name from its parts: family, given, additional, prefixes and suffixes (RFC 6350 §6.2.2).
fn joined(value: &str) -> String {
    let parts = components(value);
    let order = [3, 1, 2, 0, 4].into_iter().filter_map(|n| parts.get(n)).filter(|part| !part.is_empty());
    order.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The components of a value (RFC 6350 §3.4).
fn components(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for c in value.chars() {
        match c {
            ';' if !is_escaped => parts.push(String::new()),
            c => parts.iter_mut().last().into_iter().for_each(|part| part.push(c)),
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    parts.iter().map(|part| text(part)).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\\' | ',' | ';' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A name split into parts, by a guess: the last word is the family name (RFC 6350 §6.2.2).
fn parted(name: &str) -> String {
    let (given, family) = name.rsplit_once(' ').unwrap_or((name, ""));
    format!("{};{};;;", escaped(family), escaped(given))
}

/// A line with its end, folded at 75 octets.
pub(super) fn folded(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 4);
    let mut octets = 0;
    for c in line.chars() {
        if octets + c.len_utf8() > LINE {
            out.push_str("\r\n ");
            octets = 1;
        }
        out.push(c);
        octets += c.len_utf8();
    }
    out + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::super::Card;
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);
    const FOREIGN: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:u1\r\nFN;LANGUAGE=en:Ann Lee\r\nN:Lee;Ann;;Dr.;\r\n\
        item1.EMAIL;TYPE=work:ann@example.test\r\nitem1.X-ABLabel:Office\r\nEMAIL;PREF=1:\r\n  ann@home.test\r\n\
        TEL;VALUE=uri;TYPE=cell:tel:+49-30-1\r\nORG:Example\\, Inc.;Sales\r\nNOTE:one\\ntwo\r\nREV:20200101T000000Z\r\n\
        PHOTO:data:image/png;base64,aaaa\r\n bbbb\r\nX-OTHER;X=\"a:b\":kept\r\nEND:VCARD\r\n";

    fn of(name: &str, addresses: &[&str]) -> Particulars {
        let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
        Particulars { name: name.to_owned(), addresses, ..Particulars::default() }
    }

    #[test]
    fn cards_of_others_are_read() {
        let read = Particulars::of(FOREIGN);
        let wanted = Particulars {
            telephones: vec!["+49-30-1".to_owned()],
            organisation: "Example, Inc., Sales".to_owned(),
            note: "one\ntwo".to_owned(),
            ..of("Ann Lee", &["ann@example.test", "ann@home.test"])
        };
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_card_with_a_name_in_parts_alone_has_a_name() {
        let card = "BEGIN:VCARD\r\nVERSION:2.1\r\nN:Lee\\;Roe;Ann;B.;Dr.;MSc\r\nEMAIL:a@x.test\r\nEND:VCARD\r\n";
        assert_eq!(Particulars::of(card).name, "Dr. Ann B. Lee;Roe MSc");
        assert_eq!(Particulars::of(&card.replace("\r\nEMAIL", "\r\nFN:Annie\r\nEMAIL")).name, "Annie");
        assert_eq!(Particulars::of("BEGIN:VCARD\r\nN:;;;;\r\nEND:VCARD\r\n").name, "");
    }

    #[test]
    fn what_is_not_changed_stays_as_it_was() {
        let read = Particulars::of(FOREIGN);
        let same = read.written_into(FOREIGN, NOW);
        let without_rev =
            |card: &str| card.lines().filter(|line| !line.starts_with("REV")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(without_rev(&same), without_rev(FOREIGN));
        let changed = Particulars {
            addresses: vec!["ann@home.test".to_owned(), "new@example.test".to_owned()],
            note: String::new(),
            ..read
        };
        let card = changed.written_into(FOREIGN, NOW);
        for gone in ["ann@example.test", "X-ABLabel", "NOTE", "20200101"] {
            assert!(!card.contains(gone), "{gone}: {card}");
        }
        for kept in [
            "EMAIL;PREF=1:\r\n  ann@home.test\r\n",
            "N:Lee;Ann;;Dr.;\r\n",
            "aaaa\r\n bbbb\r\n",
            "X=\"a:b\":kept",
            "EMAIL:new@example.test\r\n",
        ] {
            assert!(card.contains(kept), "{kept}: {card}");
        }
        assert_eq!(Particulars::of(&card), changed);
        Card::read(card.as_bytes()).unwrap();
    }

    #[test]
    fn new_cards_say_what_was_meant() {
        for name in ["Ann Lee", "Zoë", "A; b, c \\ d", &"ü".repeat(150)] {
            let wanted =
                Particulars { note: "a\nb;c".to_owned(), organisation: "X; Y".to_owned(), ..of(name, &["a@b.test"]) };
            let wanted = wanted.checked().unwrap();
            let card = wanted.card("id-1", NOW);
            assert_eq!(Particulars::of(&card), wanted, "{card}");
            assert!(card.split("\r\n").all(|line| line.len() <= LINE), "{card}");
            assert!(Card::read(card.as_bytes()).is_ok(), "{card}");
        }
    }

    #[test]
    fn what_is_no_contact_is_refused() {
        assert_eq!(of("", &[" a@b.test "]).checked().unwrap(), of("a@b.test", &["a@b.test"]));
        for wrong in [
            of("", &[]),
            of("x", &["no address"]),
            of("a\nb", &[]),
            of(&"x".repeat(201), &[]),
            of("x", &["a@b.test"; 51]),
        ] {
            assert!(wrong.clone().checked().is_err(), "{wrong:?}");
        }
    }
}
