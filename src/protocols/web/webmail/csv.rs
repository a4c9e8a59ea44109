//! Contacts as a table (RFC 4180), with the column names that other programs use.

use crate::services::dav::Particulars;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    GivenName,
    MiddleName,
    FamilyName,
    Address,
    Telephone,
    Organisation,
    Note,
    Other,
}

impl Column {
    /// By its heading, as Thunderbird, Outlook, Google and the webmail itself write it in English.
    fn of(heading: &str) -> Self {
        let heading = heading.trim().trim_start_matches('\u{feff}').to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| heading.contains(word));
        match heading.as_str() {
            "name" | "display name" | "full name" | "file as" => Self::Name,
            "first name" | "given name" => Self::GivenName,
            "middle name" | "additional name" => Self::MiddleName,
            "last name" | "family name" | "surname" => Self::FamilyName,
            "note" | "notes" => Self::Note,
            "company" | "organization" | "organisation" | "organization name" | "organization 1 - name" => {
                Self::Organisation
            }
            // The kind of an address, not an address.
            _ if has(&["type", "label", "display name"]) => Self::Other,
            _ if has(&["e-mail", "email"]) => Self::Address,
            _ if has(&["phone", "mobile", "fax", "pager"]) => Self::Telephone,
            _ => Self::Other,
        }
    }
}

/// The contacts of a table whose first line names its columns; none where no column is known.
pub(super) fn contacts(text: &str) -> Vec<Particulars> {
    let mut records = records(text).into_iter();
    let columns: Vec<Column> = records.next().unwrap_or_default().iter().map(|heading| Column::of(heading)).collect();
    if columns.iter().all(|column| *column == Column::Other) {
        return Vec::new();
    }
    records
        .filter(|record| record.iter().any(|cell| !cell.trim().is_empty()))
        .map(|record| contact(&columns, &record))
        .collect()
}

fn contact(columns: &[Column], record: &[String]) -> Particulars {
    let mut contact = Particulars::default();
    let (mut given, mut middle, mut family) = ("", "", "");
    for (column, cell) in columns.iter().zip(record) {
        let cell = bare(cell.trim());
        let several = || cell.split(SEVERAL).map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned);
        match column {
            _ if cell.is_empty() => {}
            Column::Name if contact.name.is_empty() => cell.clone_into(&mut contact.name),
            Column::GivenName => given = cell,
            Column::MiddleName => middle = cell,
            Column::FamilyName => family = cell,
            Column::Address => {
                contact.addresses.extend(several().filter(|one| !contact.addresses.contains(one)).collect::<Vec<_>>())
            }
            Column::Telephone => {
                contact.telephones.extend(several().filter(|one| !contact.telephones.contains(one)).collect::<Vec<_>>())
            }
            Column::Organisation if contact.organisation.is_empty() => cell.clone_into(&mut contact.organisation),
            Column::Note if contact.note.is_empty() => cell.clone_into(&mut contact.note),
            Column::Name | Column::Organisation | Column::Note | Column::Other => {}
        }
    }
    if contact.name.is_empty() {
        let names: Vec<&str> = [given, middle, family].into_iter().filter(|name| !name.is_empty()).collect();
        contact.name = names.join(" ");
    }
    contact
}

/// The lines of a table. The separator is the candidate most frequent in the first line.
fn records(text: &str) -> Vec<Vec<String>> {
    let first = text.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t'].into_iter().max_by_key(|c| (first.matches(*c).count(), *c == ',')).unwrap_or(',');
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            c if c == separator && !quoted => record.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}

/// How many columns a table has for what a contact has several of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    addresses: usize,
    telephones: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self { addresses: 1, telephones: 1 }
    }
}

impl Columns {
    /// What a contact needs.
    pub(super) fn of(contact: &Particulars) -> Self {
        Self { addresses: contact.addresses.len(), telephones: contact.telephones.len() }
    }

    /// What both need.
    pub(super) fn with(self, other: Self) -> Self {
        let (addresses, telephones) = (self.addresses.max(other.addresses), self.telephones.max(other.telephones));
        Self { addresses, telephones }
    }

    /// The line with the names of the columns.
    pub(super) fn heading(self) -> String {
        let numbered = |name: &str, count: usize| (1..=count).map(|n| format!("{name} {n}")).collect::<Vec<_>>();
        let mut headings = vec!["Name".to_owned()];
        headings.extend(numbered("E-mail", self.addresses));
        headings.extend(numbered("Phone", self.telephones));
        headings.extend(["Organization".to_owned(), "Note".to_owned()]);
        headings.join(",") + "\r\n"
    }

    /// The line of a contact.
    pub(super) fn line(self, contact: &Particulars) -> String {
        let mut cells = vec![contact.name.clone()];
        cells.extend(spread(&contact.addresses, self.addresses));
        cells.extend(spread(&contact.telephones, self.telephones));
        cells.extend([contact.organisation.clone(), contact.note.clone()]);
        let cells: Vec<String> = cells.iter().map(|cell| written(cell)).collect();
        cells.join(",") + "\r\n"
    }
}

/// One text for each column; values added to a contact since they were counted go into the last.
fn spread(texts: &[String], columns: usize) -> impl Iterator<Item = String> {
    (1..=columns).map(move |n| match n == columns {
        true => texts.get(n - 1..).unwrap_or_default().join(SEVERAL),
        false => texts.get(n - 1).cloned().unwrap_or_default(),
    })
}

/// Google's way of several in one cell.
const SEVERAL: &str = " ::: ";

/// A cell. What a spreadsheet would compute, when others have written it, gets an apostrophe before it.
fn written(cell: &str) -> String {
    let mark = if is_formula(cell) { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n', ';', '\t']) {
        return format!("\"{mark}{}\"", cell.replace('"', "\"\""));
    }
    format!("{mark}{cell}")
}

fn is_formula(cell: &str) -> bool {
    let is_number = || cell[1..].chars().all(|c| c.is_ascii_digit() || " ()/-.".contains(c));
    match cell.chars().next() {
        Some('=' | '@' | '\t' | '\r') => true,
        Some('+' | '-') => !is_number(),
        _ => false,
    }
}

/// A cell without the apostrophe of [`written`].
fn bare(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Particulars {
        Particulars {
            name: "Lee, \"Ann\"".to_owned(),
            addresses: vec!["ann@example.test".to_owned(), "lee@far.test".to_owned()],
            telephones: vec!["+49 30 1".to_owned()],
            organisation: "=HYPERLINK(1)".to_owned(),
            note: "two\nlines; and more".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let plain = Particulars { name: "-x".to_owned(), ..Particulars::default() };
        let columns = [full(), plain.clone()].iter().map(Columns::of).fold(Columns::default(), Columns::with);
        let table = columns.heading() + &columns.line(&full()) + &columns.line(&plain);
        assert!(table.starts_with("Name,E-mail 1,E-mail 2,Phone 1,Organization,Note\r\n"), "{table}");
        assert!(table.contains(",'=HYPERLINK(1),") && table.contains(",+49 30 1,"), "{table}");
        assert_eq!(contacts(&table), [full(), plain]);
        let narrow = Columns::default();
        assert_eq!(contacts(&(narrow.heading() + &narrow.line(&full()))), [full()], "what was added meanwhile");
    }

    #[test]
    fn tables_of_other_programs_are_read() {
        let outlook = "\u{feff}First Name;Middle Name;Last Name;E-mail Address;E-mail Type;Mobile Phone;Company\nAnn;B.;Lee;ann@x.test;SMTP;1;\"A;B\"\n;;;;;;\n";
        let [read] = &contacts(outlook)[..] else { panic!("{:?}", contacts(outlook)) };
        assert_eq!((read.name.as_str(), read.organisation.as_str()), ("Ann B. Lee", "A;B"));
        assert_eq!((&read.addresses, &read.telephones), (&vec!["ann@x.test".to_owned()], &vec!["1".to_owned()]));
        let google = "Name,E-mail 1 - Label,E-mail 1 - Value\nAnn,Work,a@x.test ::: b@x.test";
        assert_eq!(contacts(google)[0].addresses, ["a@x.test", "b@x.test"]);
        for nothing in ["", "\n", "a,b\n1,2\n", "Hello world"] {
            assert!(contacts(nothing).is_empty(), "{nothing}");
        }
    }
}
