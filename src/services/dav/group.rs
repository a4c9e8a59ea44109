//! Groups of contacts in address books: cards that refer to others.

use super::particulars::{lines, text};

/// What a card says about groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// The UID by which groups refer to it.
    pub uid: String,
    /// Its members, if it is a group.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// By the address.
    Address(String),
    /// By the UID of another card.
    Card(String),
}

/// Most members of a group that are read.
const MOST: usize = 1_000;

impl Membership {
    /// What a card says. Groups are marked by KIND (RFC 6350 §6.1.4) and, in version 3.0, as Apple's programs do it.
    pub fn of(card: &str) -> Self {
        let (mut found, mut is_group) = (Self::default(), false);
        for line in lines(card) {
            let value = line.value();
            match line.property().as_str() {
                "UID" => found.uid = identity(&text(value)).to_owned(),
                "KIND" | "X-ADDRESSBOOKSERVER-KIND" => is_group |= value.eq_ignore_ascii_case("group"),
                "MEMBER" | "X-ADDRESSBOOKSERVER-MEMBER" if found.members.len() < MOST => {
                    found.members.push(Member::of(value));
                }
                _ => {}
            }
        }
        if !is_group {
            found.members.clear();
        }
        found
    }
}

impl Member {
    /// RFC 6350 §6.6.5: a URI, usually of a card by its UID.
    fn of(uri: &str) -> Self {
        match uri.get(..MAILTO.len()) {
            Some(scheme) if scheme.eq_ignore_ascii_case(MAILTO) => Self::Address(uri[MAILTO.len()..].to_owned()),
            _ => Self::Card(identity(uri).to_owned()),
        }
    }
}

/// A UID without its URI prefix, which some programs write on one side only.
fn identity(uid: &str) -> &str {
    let scheme = uid.get(..URN.len()).filter(|scheme| scheme.eq_ignore_ascii_case(URN));
    scheme.map_or(uid, |_| &uid[URN.len()..])
}

const MAILTO: &str = "mailto:";
const URN: &str = "urn:uuid:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_name_their_members() {
        let both = [Member::Card("a".to_owned()), Member::Address("b@x.test".to_owned())];
        let four = "BEGIN:VCARD\r\nVERSION:4.0\r\nKIND:group\r\nUID:urn:uuid:g\r\nMEMBER:urn:uuid:a\r\nMEMBER:mail\r\n to:b@x.test\r\nEND:VCARD\r\n";
        assert_eq!(Membership::of(four), Membership { uid: "g".to_owned(), members: both.to_vec() });
        let apple = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:g\r\nX-ADDRESSBOOKSERVER-KIND:group\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:a\r\nX-ADDRESSBOOKSERVER-MEMBER:MAILTO:b@x.test\r\nEND:VCARD\r\n";
        assert_eq!(Membership::of(apple), Membership { uid: "g".to_owned(), members: both.to_vec() });
        let person = Membership::of("BEGIN:VCARD\r\nUID:a\r\nKIND:individual\r\nMEMBER:urn:uuid:b\r\nEND:VCARD\r\n");
        assert_eq!(person, Membership { uid: "a".to_owned(), members: Vec::new() });
    }
}
