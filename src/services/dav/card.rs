//! Contacts.

use calcard::vcard::{VCard, VCardProperty, VCardValue, VCardVersion};
use calcard::{Entry, Parser};

use super::{Unfit, etag, text};
use crate::foundations::address::Address;
use crate::foundations::said::said;
use crate::storage::dav::{Draft, Person};

/// Longest UID that is kept, in characters.
const LONGEST_UID: usize = 255;
/// Longest name that is kept beside an address, in characters.
const LONGEST_NAME: usize = 200;
/// Most addresses of one contact that the webmail offers.
const MOST_ADDRESSES: usize = 50;

/// A contact.
#[derive(Debug, Clone)]
pub struct Card {
    pub(super) card: VCard,
    uid: String,
}

impl Card {
    /// Reads a contact and checks the requirements of RFC 6352 §5.1.
    ///
    /// # Errors
    /// It is not valid.
    pub fn read(content: &[u8]) -> Result<Self, Unfit> {
        let text = text(content)?;
        let mut parser = Parser::new(text);
        let Entry::VCard(card) = parser.entry() else {
            return Err(Unfit::Malformed(said!(
                "contact-frame",
                "it does not begin with BEGIN:VCARD, or does not end"
            )));
        };
        if !matches!(parser.entry(), Entry::Eof) {
            return Err(Unfit::Rule(said!("contact-one", "an object must hold exactly one contact")));
        }
        if card.property(&VCardProperty::Version).is_none() {
            return Err(Unfit::Malformed(said!("contact-no-version", "it has no VERSION")));
        }
        // What `supported-address-data` names; 2.1 has other rules for charsets and line breaks.
        if !matches!(card.version(), Some(VCardVersion::V3_0 | VCardVersion::V4_0)) {
            return Err(Unfit::Version(said!("contact-version", "its VERSION is not 3.0 or 4.0")));
        }
        let uid = card
            .uid()
            .filter(|uid| !uid.is_empty())
            .ok_or_else(|| Unfit::Rule(said!("contact-no-uid", "it has no UID")))?;
        if uid.chars().count() > LONGEST_UID {
            return Err(Unfit::Rule(said!("dav-long-uid", "its UID has more than 255 characters")));
        }
        let uid = uid.to_owned();
        Ok(Self { card, uid })
    }

    /// The form to be stored.
    pub fn draft(&self, name: &str, content: &[u8]) -> Draft {
        Draft {
            name: name.to_owned(),
            uid: self.uid.clone(),
            component: String::new(),
            content: content.to_owned(),
            etag: etag(content),
            begins_at: None,
            ends_at: None,
            people: self.people(),
        }
    }

    /// The name for people.
    fn shown(&self) -> String {
        let name = self.card.property(&VCardProperty::Fn).and_then(|entry| entry.values.first());
        let name = name.and_then(VCardValue::as_text).unwrap_or_default();
        name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect::<String>().trim().to_owned()
    }

    fn people(&self) -> Vec<Person> {
        let name = self.shown();
        let mut people: Vec<Person> = Vec::new();
        for entry in self.card.properties(&VCardProperty::Email) {
            let address = entry.values.first().and_then(VCardValue::as_text);
            let Some(address) = address.and_then(|text| text.trim().parse::<Address>().ok()) else { continue };
            let address = address.key();
            if people.len() < MOST_ADDRESSES && people.iter().all(|known| known.address != address) {
                people.push(Person { address, name: name.clone() });
            }
        }
        people
    }

    /// Whether it is exactly what [`collected_card`] creates for an address, so nobody has added anything.
    pub fn is_collected(&self, content: &[u8], address: &Address) -> bool {
        let made = |name: &str| collected_card(name, address).1 == content;
        made(&self.shown()) || made("")
    }
}

/// The name of the object and the text of a contact for somebody to whom the account has written.
pub fn collected_card(name: &str, address: &Address) -> (String, Vec<u8>) {
    let key = address.key();
    let id = format!("collected-{}", etag(key.as_bytes()));
    let kept: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    let shown = if kept.trim().is_empty() { key.as_str() } else { kept.trim() };
    let text = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Postrider//collected//EN\r\nUID:{id}\r\nFN:{0}\r\nN:{0};;;;\r\nEMAIL;TYPE=INTERNET:{1}\r\nEND:VCARD\r\n",
        escaped(shown),
        escaped(&key)
    );
    (format!("{id}.vcf"), text.into_bytes())
}

/// A text as a property's value (RFC 2426 §5).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ',' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The texts of a property: each part separately, and all together if there are several.
pub(super) fn texts(values: &[VCardValue]) -> Vec<String> {
    let mut texts: Vec<String> =
        values.iter().filter_map(|value| value.clone().into_text().map(std::borrow::Cow::into_owned)).collect();
    if texts.len() > 1 {
        texts.push(texts.join(";"));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_read() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nFN:Ann Example\r\nN:Example;Ann;;;\r\nEMAIL;TYPE=HOME:Ann@Example.test\r\nEMAIL:ann@example.test\r\nEMAIL:no address\r\nEND:VCARD\r\n";
        let card = Card::read(text.as_bytes()).unwrap();
        let person = Person { address: "ann@example.test".to_owned(), name: "Ann Example".to_owned() };
        assert_eq!(card.draft("x.vcf", text.as_bytes()).people, [person]);
        for wrong in [
            "",
            "x",
            "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:x\r\nEND:VCARD\r\n",
            &text.repeat(2),
            &text.replace("VERSION:3.0\r\n", ""),
            &text.replace("3.0", "2.1"),
            "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
        ] {
            assert!(Card::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn collected_ones_are_recognised() {
        let address: Address = "bob@example.test".parse().unwrap();
        for name in ["Bob, the \"builder\"; yes", "", "Jürgen \\ Groß"] {
            let (_, text) = collected_card(name, &address);
            let card = Card::read(&text).unwrap();
            assert!(card.is_collected(&text, &address), "{name}: {}", String::from_utf8_lossy(&text));
            let edited = String::from_utf8(text).unwrap().replace("END:", "TEL:1\r\nEND:");
            assert!(!Card::read(edited.as_bytes()).unwrap().is_collected(edited.as_bytes(), &address));
        }
    }
}
