//! Reads as much of a `mysqldump` as is needed to get some tables back: `CREATE TABLE` for the order of the columns and
//! `INSERT` for the rows. Everything else is skipped.

use std::collections::HashMap;
use std::io::BufRead;

use super::Error;

/// Longest statement of a wanted table. `mysqldump` itself stays below 16 MiB.
const LONGEST: usize = 64 << 20;
/// How much of a statement is needed to see what it is.
const BEGINNING: usize = 512;
/// Most rows of all wanted tables together.
const MOST_ROWS: usize = 5_000_000;

/// A row: values by the names of their columns, `None` for NULL.
pub type Row = HashMap<String, Option<String>>;

/// The rows of the wanted tables. A table that is not in the dump has none.
///
/// # Errors
/// The dump cannot be read, ends in the middle of a statement, or a statement of a wanted table is not understood.
pub fn read(dump: impl BufRead, wanted: &[&str]) -> Result<HashMap<String, Vec<Row>>, Error> {
    let mut statements = Statements { input: dump, line: 1, wanted };
    let mut columns: HashMap<String, Vec<String>> = HashMap::new();
    let mut tables: HashMap<String, Vec<Row>> = HashMap::new();
    let mut rows = 0;
    while let Some((line, statement)) = statements.next()? {
        let wrong = |because: String| Error::Dump { line, because };
        let mut words = Words(&statement);
        let Some((verb, table)) = what(&mut words).filter(|(_, table)| wanted.contains(&table.as_str())) else {
            continue;
        };
        if verb == Verb::Create {
            let names =
                words.columns_created().ok_or_else(|| wrong(format!("the columns of `{table}` are not understood")))?;
            columns.insert(table, names);
            continue;
        }
        let named =
            words.names().map_err(|()| wrong(format!("the columns of a row of `{table}` are not understood")))?;
        let names = named.or_else(|| columns.get(&table).cloned());
        let names = names.ok_or_else(|| wrong(format!("rows of `{table}` come before its columns")))?;
        let into = tables.entry(table.clone()).or_default();
        let ok = words.rows(&mut |values| {
            rows += 1;
            let fits = values.len() == names.len() && rows <= MOST_ROWS;
            into.push(names.iter().cloned().zip(values).collect());
            fits
        });
        ok.ok_or_else(|| wrong(format!("a row of `{table}` is not understood, or there are more than {MOST_ROWS}")))?;
    }
    Ok(tables)
}

/// Statements one after the other, without comments.
struct Statements<'a, R> {
    input: R,
    line: u64,
    wanted: &'a [&'a str],
}

/// What kind of text an octet is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Plain,
    /// In quotes of this kind.
    Quotes(u8),
    /// After a backslash in such quotes.
    Escape(u8),
    /// In a comment that runs to the end of the line.
    Line,
    /// In `/* … */`.
    Block,
}

impl<R: BufRead> Statements<'_, R> {
    /// The next statement and the line on which it begins; if it is not needed, only its beginning.
    fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let (mut statement, mut within) = (Vec::new(), Within::Plain);
        let (mut begun, mut before, mut is_wanted) = (self.line, 0, true);
        loop {
            let mut octet = [0];
            if self.input.read(&mut octet).map_err(|error| self.wrong(error.to_string()))? == 0 {
                let is_end = statement.trim_ascii().is_empty() && matches!(within, Within::Plain | Within::Line);
                return if is_end {
                    Ok(None)
                } else {
                    Err(self.wrong("it ends in the middle of a statement".to_owned()))
                };
            }
            let [octet] = octet;
            self.line += u64::from(octet == b'\n');
            let was = within;
            within = step(was, before, octet);
            before = if was == within || matches!(was, Within::Plain) { octet } else { 0 };
            match (was, within) {
                // The first of the two characters has been consumed already.
                (Within::Plain, Within::Block) => statement.truncate(statement.len().saturating_sub(1)),
                (Within::Plain, Within::Line) if octet == b'-' => statement.truncate(statement.len().saturating_sub(1)),
                (Within::Line | Within::Block, _) | (Within::Plain, Within::Line) => {}
                (Within::Plain, Within::Plain) if octet == b';' => return Ok(Some((begun, statement))),
                _ => {
                    if statement.is_empty() && octet.is_ascii_whitespace() {
                        begun = self.line;
                        continue;
                    }
                    if is_wanted && statement.len() == BEGINNING {
                        let table = what(&mut Words(&statement)).map(|(_, table)| table);
                        is_wanted = table.is_some_and(|table| self.wanted.contains(&table.as_str()));
                    }
                    if is_wanted || statement.len() < BEGINNING {
                        statement.push(octet);
                    }
                    if statement.len() > LONGEST {
                        return Err(self.wrong(format!("a statement is longer than {LONGEST} octets")));
                    }
                }
            }
        }
    }

    fn wrong(&self, because: String) -> Error {
        Error::Dump { line: self.line, because }
    }
}

/// What kind of text the next octet is in, after an octet and the one before it.
fn step(within: Within, before: u8, octet: u8) -> Within {
    match (within, octet) {
        (Within::Plain, b'\'' | b'"' | b'`') => Within::Quotes(octet),
        (Within::Plain, b'#') => Within::Line,
        (Within::Plain, b'-') if before == b'-' => Within::Line,
        (Within::Plain, b'*') if before == b'/' => Within::Block,
        (Within::Quotes(quote), b'\\') if quote != b'`' => Within::Escape(quote),
        (Within::Escape(quote), _) => Within::Quotes(quote),
        (Within::Quotes(quote), _) if quote == octet => Within::Plain,
        (Within::Line, b'\n') => Within::Plain,
        (Within::Block, b'/') if before == b'*' => Within::Plain,
        _ => within,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Insert,
}

/// Which statement it is, and for which table.
fn what(words: &mut Words<'_>) -> Option<(Verb, String)> {
    let verb = if words.keyword("CREATE") && words.keyword("TABLE") {
        if words.keyword("IF") {
            let _ = words.keyword("NOT") && words.keyword("EXISTS");
        }
        Verb::Create
    } else if words.keyword("INSERT") {
        let _ = words.keyword("IGNORE");
        words.keyword("INTO").then_some(Verb::Insert)?
    } else {
        return None;
    };
    Some((verb, words.name()?))
}

/// The rest of a statement.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn skip(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// Takes this word, upper or lower case.
    fn keyword(&mut self, word: &str) -> bool {
        self.skip();
        let is_it = self.0.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
            && self.0.get(word.len()).is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_');
        if is_it {
            self.0 = &self.0[word.len()..];
        }
        is_it
    }

    fn sign(&mut self, sign: u8) -> bool {
        self.skip();
        let is_it = self.0.first() == Some(&sign);
        if is_it {
            self.0 = &self.0[1..];
        }
        is_it
    }

    /// The name of a table or column, quoted or not.
    fn name(&mut self) -> Option<String> {
        self.skip();
        if self.sign(b'`') {
            let end = self.0.iter().position(|octet| *octet == b'`')?;
            let name = String::from_utf8(self.0[..end].to_vec()).ok()?;
            self.0 = &self.0[end + 1..];
            return Some(name);
        }
        let length = self.0.iter().take_while(|octet| octet.is_ascii_alphanumeric() || **octet == b'_').count();
        let name = std::str::from_utf8(&self.0[..length]).ok()?.to_owned();
        self.0 = &self.0[length..];
        (!name.is_empty()).then_some(name)
    }

    /// The columns before `VALUES`; `None` when none are named.
    fn names(&mut self) -> Result<Option<Vec<String>>, ()> {
        if !self.sign(b'(') {
            return Ok(None);
        }
        let mut names = Vec::new();
        loop {
            names.push(self.name().ok_or(())?);
            if self.sign(b')') {
                return Ok(Some(names));
            }
            if !self.sign(b',') {
                return Err(());
            }
        }
    }

    /// The columns of `CREATE TABLE`: the first word of every part between commas, except for keys and constraints.
    fn columns_created(&mut self) -> Option<Vec<String>> {
        const OTHERS: [&str; 9] =
            ["PRIMARY", "KEY", "INDEX", "UNIQUE", "CONSTRAINT", "FOREIGN", "FULLTEXT", "SPATIAL", "CHECK"];
        let mut names = Vec::new();
        self.sign(b'(').then_some(())?;
        loop {
            self.skip();
            let is_quoted = self.0.first() == Some(&b'`');
            let name = self.name()?;
            if is_quoted || !OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other)) {
                names.push(name);
            }
            // To the comma or parenthesis that ends this part.
            let (mut depth, mut within) = (0, Within::Plain);
            loop {
                let (octet, rest) = self.0.split_first()?;
                self.0 = rest;
                within = step(within, 0, *octet);
                match octet {
                    _ if within != Within::Plain => {}
                    b'(' => depth += 1,
                    b')' if depth == 0 => return Some(names),
                    b')' => depth -= 1,
                    b',' if depth == 0 => break,
                    _ => {}
                }
            }
        }
    }

    /// The rows after `VALUES`, as long as `each` wants more; `None` when something else is there.
    fn rows(&mut self, each: &mut dyn FnMut(Vec<Option<String>>) -> bool) -> Option<()> {
        (self.keyword("VALUES") || self.keyword("VALUE")).then_some(())?;
        loop {
            self.sign(b'(').then_some(())?;
            let mut values = vec![self.value()?];
            while self.sign(b',') {
                values.push(self.value()?);
            }
            (self.sign(b')') && each(values)).then_some(())?;
            if !self.sign(b',') {
                self.skip();
                return self.0.is_empty().then_some(());
            }
        }
    }

    /// A value; NULL is `Some(None)`.
    fn value(&mut self) -> Option<Option<String>> {
        if self.keyword("NULL") {
            return Some(None);
        }
        let _ = self.keyword("_binary") || self.keyword("_utf8mb4");
        if self.sign(b'\'') {
            return Some(Some(self.quoted()?));
        }
        let length = self.0.iter().take_while(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(octet)).count();
        let plain = std::str::from_utf8(&self.0[..length]).ok()?;
        self.0 = &self.0[length..];
        if let Some(digits) = plain.strip_prefix("0x") {
            let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let octets: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(octet).collect();
            return Some(Some(String::from_utf8(octets?).ok()?));
        }
        (!plain.is_empty()).then(|| Some(plain.to_owned()))
    }

    /// The rest of a quoted string.
    fn quoted(&mut self) -> Option<String> {
        let mut text = Vec::new();
        loop {
            let (octet, rest) = self.0.split_first()?;
            self.0 = rest;
            match octet {
                b'\'' if self.0.first() == Some(&b'\'') => {
                    self.0 = &self.0[1..];
                    text.push(b'\'');
                }
                b'\'' => return String::from_utf8(text).ok(),
                b'\\' => {
                    let (escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    text.push(match escaped {
                        b'0' => 0,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'Z' => 26,
                        other => *other,
                    });
                }
                other => text.push(*other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 2] = ["users", "aliases"];

    #[test]
    fn rows_are_read_with_or_without_names_of_columns() {
        let dump = "-- MySQL dump; it's only a comment\n/*!40101 SET NAMES utf8mb4 */;\nDROP TABLE IF EXISTS `users`;\n\
            CREATE TABLE `users` (\n  `id` int(11) NOT NULL COMMENT 'a, b)',\n  `email` varchar(255) DEFAULT 'x;y',\n  \
            `quota` decimal(10,2),\n  PRIMARY KEY (`id`),\n  KEY `k` (`email`,`id`)\n) ENGINE=InnoDB;\n\
            LOCK TABLES `users` WRITE;\nINSERT INTO `users` VALUES (1,'a\\'b;\\n''c',-1.5),(2,NULL,0x61);\n\
            INSERT INTO other VALUES ('users; INSERT INTO users VALUES (3)');\n\
            insert into users (email, id) values ('z', 9); # the end\n";
        let tables = read(dump.as_bytes(), &WANTED).unwrap();
        let users = &tables["users"];
        assert_eq!(users.len(), 3);
        assert_eq!(users[0]["email"].as_deref(), Some("a'b;\n'c"));
        assert_eq!((users[0]["quota"].as_deref(), &users[1]["email"]), (Some("-1.5"), &None));
        assert_eq!(users[1]["quota"].as_deref(), Some("a"));
        assert_eq!((users[2]["id"].as_deref(), users[2].get("quota")), (Some("9"), None));
        assert!(!tables.contains_key("aliases"));
    }

    #[test]
    fn long_statements_of_others_are_passed_over() {
        let long =
            format!("INSERT INTO `events` VALUES ('{}');\nINSERT INTO users (id) VALUES (1);", "x;".repeat(100_000));
        assert_eq!(read(long.as_bytes(), &WANTED).unwrap()["users"].len(), 1);
    }

    #[test]
    fn what_is_not_understood_is_said_with_its_line() {
        for (dump, line) in [
            ("\n\nINSERT INTO users (id) VALUES (1;\n", 3),
            ("INSERT INTO users (id) VALUES ('a", 1),
            ("CREATE TABLE users (id int);\nINSERT INTO users VALUES (1,2);", 2),
            ("INSERT INTO users VALUES (1);", 1),
            ("INSERT INTO users (id) VALUES (f(1));", 1),
        ] {
            let told = read(dump.as_bytes(), &WANTED).unwrap_err();
            assert!(matches!(told, Error::Dump { line: told, .. } if told == line), "{dump}: {told}");
        }
    }
}
