//! The names that another server's mailboxes get here: without the prefix that all of a user's mailboxes have there
//! (RFC 2342), and special-use mailboxes (RFC 6154) with this server's names for such folders.

use super::response::{Response, Value};
use crate::storage::mailbox::{FolderName, MailboxSettings, SpecialUse};

/// A mailbox there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name there, as sent on the wire.
    pub wire: String,
    /// Its name here; `None` when it cannot have one.
    pub name: Option<FolderName>,
    /// What it is for.
    purpose: Option<SpecialUse>,
    /// Whose messages it shows.
    pub(super) view: View,
}

/// Whose messages a mailbox shows. Mailboxes with messages of their own come before those that show the messages of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// Its own.
    Own,
    /// Those of all mailboxes, and perhaps some that are in no other one, such as archived mail in Gmail.
    All,
    /// Selected messages of other mailboxes.
    Some,
}

impl View {
    /// RFC 6154 §2, RFC 8457 §3.
    fn of(has: impl Fn(&str) -> bool) -> Self {
        match () {
            () if has("\\All") => Self::All,
            () if has("\\Flagged") || has("\\Important") => Self::Some,
            () => Self::Own,
        }
    }
}

/// The prefixes of the user's own mailboxes there, and of other users' mailboxes.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    own: Vec<String>,
    of_others: Vec<String>,
}

impl Namespaces {
    /// From `* NAMESPACE own others shared`; `None` for any other response.
    pub(super) fn read(response: Response) -> Option<Self> {
        let values = response.values(2)?;
        let [word, own, others, shared, ..] = values.as_slice() else { return None };
        word.atom().filter(|word| word.eq_ignore_ascii_case("NAMESPACE"))?;
        let of_others = prefixes(others).chain(prefixes(shared)).filter(|prefix| !prefix.is_empty());
        Some(Self { own: prefixes(own).collect(), of_others: of_others.collect() })
    }

    /// A name without the prefix of the user's own mailboxes; `None` for a mailbox of others.
    fn bare<'w>(&self, wire: &'w str) -> Option<&'w str> {
        if self.of_others.iter().any(|prefix| wire.starts_with(prefix.as_str())) {
            return None;
        }
        let stripped =
            self.own.iter().filter(|prefix| !prefix.is_empty()).find_map(|prefix| wire.strip_prefix(prefix.as_str()));
        Some(stripped.filter(|bare| !bare.is_empty()).unwrap_or(wire))
    }
}

fn prefixes(namespaces: &Value) -> impl Iterator<Item = String> {
    let namespaces = namespaces.list().unwrap_or_default().iter();
    namespaces.filter_map(|one| String::from_utf8(one.list()?.first()?.text()?.to_vec()).ok())
}

/// `(attributes) "delimiter" name`; `None` inside for one that cannot be opened, or is somebody else's.
pub(super) fn listed(values: &[Value], namespaces: &Namespaces) -> Option<Option<Listed>> {
    let [attributes, delimiter, name, ..] = values else { return None };
    let attributes: Vec<&str> = attributes.list()?.iter().filter_map(Value::atom).collect();
    let has = |wanted: &str| attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case(wanted));
    // One in another charset cannot be opened by this name, and the server's refusal is reported.
    let wire = String::from_utf8_lossy(name.text()?).into_owned();
    let Some(bare) = namespaces.bare(&wire).filter(|_| !has("\\Noselect") && !has("\\NonExistent")) else {
        return Some(None);
    };
    let delimiter = delimiter.text().and_then(|text| text.first()).map(|octet| char::from(*octet));
    // What clients list by is in no name here.
    let bare = bare.replace(['%', '*'], "_");
    let levels: Vec<&str> = match delimiter {
        Some(delimiter) => bare.split(delimiter).collect(),
        None => vec![bare.as_str()],
    };
    let name = FolderName::from_levels(levels.into_iter());
    let purpose = SpecialUse::ALL.into_iter().find(|purpose| has(purpose.attribute()));
    // INBOX never shows others' messages, whatever its attributes say.
    let view = if wire.eq_ignore_ascii_case("INBOX") { View::Own } else { View::of(has) };
    Some(Some(Listed { wire, name, purpose, view }))
}

/// Gives special-use mailboxes the names of such folders here, unless another mailbox has that name there.
pub(super) fn assign(mailboxes: &mut [Listed], settings: &MailboxSettings) {
    for purpose in SpecialUse::ALL {
        let Some(folder) = purpose.folder(settings) else { continue };
        if mailboxes.iter().any(|listed| listed.name.as_ref() == Some(&folder)) {
            continue;
        }
        if let Some(listed) = mailboxes.iter_mut().find(|listed| listed.purpose == Some(purpose)) {
            listed.name = Some(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(line: &str) -> Response {
        Response { line: line.into(), literals: vec![] }
    }

    fn read(line: &str, namespaces: &Namespaces) -> Option<Listed> {
        listed(&response(line).values(0).unwrap(), namespaces).unwrap()
    }

    fn name(line: &str, namespaces: &Namespaces) -> Option<String> {
        read(line, namespaces).map(|listed| listed.name.unwrap().to_string())
    }

    #[test]
    fn names_are_translated() {
        let none = Namespaces::default();
        assert_eq!(name(r#"(\HasNoChildren) "." "Entw&APw-rfe.2026""#, &none).as_deref(), Some("Entwürfe/2026"));
        assert_eq!(name(r#"() "/" INBOX"#, &none).as_deref(), Some("INBOX"));
        assert_eq!(name(r#"() NIL Plain"#, &none).as_deref(), Some("Plain"));
        assert_eq!(name(r#"() "/" "Discounts/100%""#, &none).as_deref(), Some("Discounts/100_"));
        assert_eq!(name(r#"(\Noselect) "/" "[Gmail]""#, &none), None);
    }

    /// One such name ended the import of the whole account.
    #[test]
    fn a_name_that_is_not_utf_8_is_listed() {
        let line = b"() \".\" \"Gesch\xe4ft\"".to_vec();
        let values = Response { line, literals: vec![] }.values(0).unwrap();
        assert!(listed(&values, &Namespaces::default()).is_some());
    }

    #[test]
    fn prefixes_are_left_out() {
        let told = response(r#"* NAMESPACE (("INBOX." ".")) (("user." ".")) (("shared." "."))"#);
        let namespaces = Namespaces::read(told).unwrap();
        for (listed, wanted) in
            [("INBOX", Some("INBOX")), ("INBOX.Work.2026", Some("Work/2026")), ("user.bob", None), ("shared.all", None)]
        {
            assert_eq!(name(&format!("() \".\" {listed}"), &namespaces).as_deref(), wanted, "{listed}");
        }
        let plain = Namespaces::read(response(r#"* NAMESPACE (("" "/")) NIL NIL"#)).unwrap();
        assert_eq!(name(r#"() "/" INBOX/below"#, &plain).as_deref(), Some("INBOX/below"));
        assert!(Namespaces::read(response("* OK x y z")).is_none());
    }

    #[test]
    fn views_of_other_mailboxes_are_known() {
        let none = Namespaces::default();
        for (line, wanted) in [
            (r#"(\HasNoChildren \All) "/" "[Gmail]/All Mail""#, View::All),
            (r#"(\Flagged) "/" "[Gmail]/Starred""#, View::Some),
            (r#"(\important) "/" "[Gmail]/Important""#, View::Some),
            (r#"(\Archive) "/" Archive"#, View::Own),
            (r#"(\Important) "/" Inbox"#, View::Own),
        ] {
            assert_eq!(read(line, &none).unwrap().view, wanted, "{line}");
        }
    }

    #[test]
    fn purposes_have_our_names() {
        let none = Namespaces::default();
        let lines = [r#"(\Sent) "/" Gesendet"#, r#"(\Trash) "/" Papierkorb"#, r#"() "/" Trash"#, r#"(\Junk) "/" Junk"#];
        let mut mailboxes: Vec<Listed> = lines.iter().filter_map(|line| read(line, &none)).collect();
        assign(&mut mailboxes, &MailboxSettings::default());
        let names: Vec<String> = mailboxes.iter().map(|listed| listed.name.clone().unwrap().to_string()).collect();
        assert_eq!(names, ["Sent", "Papierkorb", "Trash", "Junk"]);
    }
}
