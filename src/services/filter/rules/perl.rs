//! Translating Perl's regular expressions to those of the `regex` crate.
//!
//! Both languages agree on most of what rules use. The differences are translated here one by one; what has no
//! counterpart in a linear-time engine is refused by name.

/// A pattern that has been rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// In the syntax of the `regex` crate.
    pub text: String,
    /// The modifier `i`.
    pub ignore_case: bool,
    /// The modifier `m`.
    pub multi_line: bool,
    /// The modifier `s`.
    pub dot_all: bool,
    /// Whether it speaks of characters beyond one octet, so that it must run in Unicode mode.
    pub unicode: bool,
    /// What was given up in the translation, if anything.
    pub note: Option<&'static str>,
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `/.../` or `m{...}`.
    #[error("expected a pattern between slashes, such as /text/i")]
    NoDelimiter,
    /// The closing delimiter is missing.
    #[error("the pattern has no end")]
    NoEnd,
    /// A modifier that does not exist.
    #[error("`{0}` is not a modifier of a pattern")]
    Modifier(char),
    /// Look-ahead or look-behind.
    #[error("look-around `{0}...)` cannot be run in linear time; rewrite it as a meta rule of two patterns")]
    LookAround(&'static str),
    /// `\1` and its kin.
    #[error("back reference `{0}` cannot be run in linear time")]
    BackReference(String),
    /// Another construct without counterpart.
    #[error("`{0}` has no counterpart here")]
    Construct(String),
}

/// Takes a literal such as `/.../i` or `m{...}x` apart and rewrites it.
pub fn translate(literal: &str) -> Result<Translated, Error> {
    let literal = literal.trim();
    let (open, rest) = match literal.strip_prefix('m') {
        Some(rest) if rest.starts_with(|c: char| !c.is_alphanumeric() && !c.is_whitespace()) => first(rest)?,
        _ if literal.starts_with('/') => first(literal)?,
        _ => return Err(Error::NoDelimiter),
    };
    let close = match open {
        '{' => '}',
        '(' => ')',
        '[' => ']',
        '<' => '>',
        c => c,
    };
    let end = rest.rfind(close).ok_or(Error::NoEnd)?;
    let (body, modifiers) = (&rest[..end], &rest[end + close.len_utf8()..]);
    let mut result = Translated {
        text: String::new(),
        ignore_case: false,
        multi_line: false,
        dot_all: false,
        unicode: false,
        note: None,
    };
    let mut spaced = false;
    for modifier in modifiers.chars() {
        match modifier {
            'i' => result.ignore_case = true,
            'm' => result.multi_line = true,
            's' => result.dot_all = true,
            'x' => spaced = true,
            // They concern how often and with which locale Perl matches.
            'g' | 'o' | 'a' | 'u' | 'l' | 'd' | 'p' => {}
            c if c.is_whitespace() => {}
            c => return Err(Error::Modifier(c)),
        }
    }
    let rest = body.chars().peekable();
    let mut rewriter = Rewriter { rest, out: &mut result, spaced, outer: Vec::new(), delimiter: close };
    rewriter.run()?;
    Ok(result)
}

fn first(text: &str) -> Result<(char, &str), Error> {
    let mut chars = text.chars();
    chars.next().map(|c| (c, chars.as_str())).ok_or(Error::NoDelimiter)
}

struct Rewriter<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    out: &'a mut Translated,
    spaced: bool,
    /// For each open group, whether `x` was in force before it.
    outer: Vec<bool>,
    delimiter: char,
}

impl Rewriter<'_> {
    fn run(&mut self) -> Result<(), Error> {
        let mut repeatable = false;
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape(Within::Pattern)?,
                '[' => self.class()?,
                '(' => {
                    repeatable = false;
                    let spaced = self.spaced;
                    if self.group()? == Opened::Yes {
                        self.outer.push(spaced);
                    }
                    continue;
                }
                ')' => {
                    self.spaced = self.outer.pop().unwrap_or(self.spaced);
                    self.out.text.push(c);
                }
                '{' => {
                    match self.counted() {
                        Some(count) if repeatable => self.out.text.push_str(&count),
                        Some(count) => {
                            self.out.text.push_str("\\{");
                            self.out.text.push_str(&count[1..count.len() - 1]);
                            self.out.text.push_str("\\}");
                        }
                        None => self.out.text.push_str("\\{"),
                    }
                    self.possessive();
                }
                '}' => self.out.text.push_str("\\}"),
                '*' | '+' | '?' => {
                    self.out.text.push(c);
                    self.possessive();
                }
                '#' if self.spaced => while self.rest.next_if(|c| *c != '\n').is_some() {},
                c if self.spaced && c.is_whitespace() => continue,
                '#' | '&' | '~' | '-' => {
                    self.out.text.push('\\');
                    self.out.text.push(c);
                }
                '|' => {
                    self.out.text.push(c);
                    repeatable = false;
                    continue;
                }
                c => self.out.text.push(c),
            }
            repeatable = true;
        }
        Ok(())
    }

    /// `{2}`, `{2,}`, `{2,5}` after its opening brace; anything else stands for itself in Perl.
    fn counted(&mut self) -> Option<String> {
        let ahead: String = self.rest.clone().take(12).collect();
        let end = ahead.find('}')?;
        let (low, high) = ahead[..end].split_once(',').unwrap_or((&ahead[..end], "1"));
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if low.is_empty() || !digits(low) || !digits(high) {
            return None;
        }
        for _ in 0..=end {
            self.rest.next();
        }
        Some(format!("{{{}}}", &ahead[..end]))
    }

    /// A possessive quantifier gives up backtracking; without backtracking it is the plain one.
    fn possessive(&mut self) {
        if self.rest.next_if_eq(&'+').is_some() {
            self.out.note = Some("possessive quantifiers were read as plain ones");
        }
    }

    fn group(&mut self) -> Result<Opened, Error> {
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.text.push('(');
            return Ok(Opened::Yes);
        }
        let ahead: String = self.rest.clone().take(2).collect();
        let mut chars = ahead.chars();
        match (chars.next(), chars.next()) {
            (Some('='), _) => Err(Error::LookAround("(?=")),
            (Some('!'), _) => Err(Error::LookAround("(?!")),
            (Some('<'), Some('=')) => Err(Error::LookAround("(?<=")),
            (Some('<'), Some('!')) => Err(Error::LookAround("(?<!")),
            (Some('>'), _) => {
                self.rest.next();
                self.out.note = Some("atomic groups were read as plain ones");
                self.out.text.push_str("(?:");
                Ok(Opened::Yes)
            }
            (Some('#'), _) => {
                while self.rest.next().is_some_and(|c| c != ')') {}
                Ok(Opened::No)
            }
            (Some('|' | '(' | '{' | '?' | 'R' | '&' | '0'..='9'), _) => Err(Error::Construct(format!("(?{ahead}"))),
            (Some('P'), Some('=' | '>')) => Err(Error::BackReference(format!("(?{ahead}"))),
            // A name follows, which both languages write alike.
            (Some('P' | '<'), _) => {
                self.out.text.push_str("(?");
                Ok(Opened::Yes)
            }
            _ => Ok(self.flags()),
        }
    }

    /// Inline modifiers: those that exist on both sides are kept, `x` is applied here, the others concern what only Perl does.
    fn flags(&mut self) -> Opened {
        let (mut on, mut off, mut negative) = (String::new(), String::new(), false);
        // `^` stands for `-imsx`.
        if self.rest.next_if_eq(&'^').is_some() {
            self.spaced = false;
            off.push_str("ims");
        }
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphabetic() || *c == '-') {
            match c {
                '-' => negative = true,
                'x' => self.spaced = !negative,
                'i' | 'm' | 's' => {
                    on.retain(|known| known != c);
                    off.retain(|known| known != c);
                    if negative { off.push(c) } else { on.push(c) }
                }
                _ => {}
            }
        }
        if !off.is_empty() {
            on.push('-');
            on.push_str(&off);
        }
        if self.rest.next_if_eq(&')').is_none() {
            self.out.text.push_str("(?");
            self.out.text.push_str(&on);
            return Opened::Yes;
        }
        // They hold up to the end of the group around them, and the `regex` crate knows no empty list.
        if !on.is_empty() {
            self.out.text.push_str(&format!("(?{on})"));
        }
        Opened::No
    }

    fn class(&mut self) -> Result<(), Error> {
        self.out.text.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.text.push('^');
        }
        if self.rest.next_if_eq(&']').is_some() {
            self.out.text.push_str("\\]");
        }
        // Whether what stands before is a set itself, which begins no range.
        let mut set = false;
        while let Some(c) = self.rest.next() {
            let after_set = std::mem::take(&mut set);
            match c {
                ']' => {
                    self.out.text.push(']');
                    return Ok(());
                }
                '\\' => {
                    set = self.rest.peek().is_some_and(is_set);
                    self.escape(Within::Class)?;
                }
                '[' if self.rest.peek() == Some(&':') => {
                    set = true;
                    self.out.text.push('[');
                    for c in self.rest.by_ref() {
                        self.out.text.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                }
                '[' | '&' | '~' => {
                    self.out.text.push('\\');
                    self.out.text.push(c);
                }
                '-' => {
                    // A hyphen is a range only between two characters; two in a row would be a set difference.
                    if after_set
                        || self.rest.peek() == Some(&'-')
                        || self.out.text.ends_with('[')
                        || self.is_before_set()
                    {
                        self.out.text.push('\\');
                    }
                    self.out.text.push('-');
                }
                c => {
                    if !c.is_ascii() {
                        self.out.unicode = true;
                    }
                    self.out.text.push(c);
                }
            }
        }
        Err(Error::NoEnd)
    }

    /// Whether an escape for a set of characters follows, which ends no range.
    fn is_before_set(&self) -> bool {
        let mut ahead = self.rest.clone();
        match ahead.next() {
            Some('\\') => ahead.peek().is_some_and(is_set),
            Some('[') => ahead.peek() == Some(&':'),
            _ => false,
        }
    }

    fn escape(&mut self, within: Within) -> Result<(), Error> {
        let Some(c) = self.rest.next() else { return Err(Error::NoEnd) };
        let in_class = matches!(within, Within::Class);
        match c {
            'w' | 'W' | 's' | 'S' | 'd' | 'D' | 'n' | 'r' | 't' | 'f' | 'a' => self.plain(c),
            'b' if in_class => self.out.text.push_str("\\x08"),
            'b' | 'B' => self.plain(c),
            'A' => self.plain('A'),
            'z' => self.plain('z'),
            'Z' => self.out.text.push_str("\\n?\\z"),
            'v' if in_class => self.out.text.push_str("\\n\\x0b\\f\\r"),
            'v' => self.out.text.push_str("[\\n\\x0b\\f\\r]"),
            'V' if !in_class => self.out.text.push_str("[^\\n\\x0b\\f\\r]"),
            'h' if in_class => self.out.text.push_str(" \\t"),
            'h' => self.out.text.push_str("[ \\t]"),
            'H' if !in_class => self.out.text.push_str("[^ \\t]"),
            'N' if !in_class => self.out.text.push_str("[^\\n]"),
            'R' if !in_class => self.out.text.push_str("(?:\\r\\n|\\n|\\r)"),
            'e' => self.out.text.push_str("\\x1b"),
            'x' => self.hexadecimal(within)?,
            'p' | 'P' => {
                self.out.unicode = true;
                self.plain(c);
            }
            'Q' => self.quoted(),
            'E' => {}
            '0'..='7' if c == '0' || in_class => self.octal(c),
            '1'..='9' => return Err(Error::BackReference(format!("\\{c}"))),
            'k' | 'g' => return Err(Error::BackReference(format!("\\{c}"))),
            'c' | 'G' | 'K' | 'X' | 'C' | 'L' | 'U' | 'l' | 'u' | 'o' | 'V' | 'H' | 'N' | 'R' => {
                return Err(Error::Construct(format!("\\{c}")));
            }
            // An escaped letter or underscore without meaning is that letter in Perl; `\<` is a word boundary there
            // in the `regex` crate but a plain character in Perl.
            '<' | '>' | '_' | '/' | '@' | '%' | '"' | '\'' | '!' | ',' | ':' | ';' | '=' | '`' => self.out.text.push(c),
            c if c.is_alphanumeric() || !c.is_ascii() => self.out.text.push(c),
            // A delimiter that is a special character was escaped for the delimiter's sake.
            c if c == self.delimiter && !"{}()[]|*+?.^$".contains(c) && c.is_ascii_punctuation() => self.plain(c),
            c => self.plain(c),
        }
        Ok(())
    }

    fn plain(&mut self, c: char) {
        self.out.text.push('\\');
        self.out.text.push(c);
    }

    fn octal(&mut self, first: char) {
        let mut value = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.rest.next_if(|c| c.is_digit(8)) else { break };
            value = value * 8 + digit.to_digit(8).unwrap_or(0);
        }
        self.out.text.push_str(&format!("\\x{:02x}", value & 0xff));
    }

    fn hexadecimal(&mut self, within: Within) -> Result<(), Error> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            for c in self.rest.by_ref() {
                if c == '}' {
                    break;
                }
                digits.push(c);
            }
        } else {
            for _ in 0..2 {
                digits.extend(self.rest.next_if(char::is_ascii_hexdigit));
            }
        }
        let value = if digits.is_empty() { Ok(0) } else { u32::from_str_radix(digits.trim(), 16) };
        let value = value.map_err(|_| Error::Construct(format!("\\x{{{digits}}}")))?;
        if value <= 0xff {
            self.out.text.push_str(&format!("\\x{value:02x}"));
            return Ok(());
        }
        let c = char::from_u32(value).ok_or_else(|| Error::Construct(format!("\\x{{{digits}}}")))?;
        match within {
            // The text is UTF-8, so outside a class the character is a sequence of octets.
            Within::Pattern => {
                let octets: String = c.encode_utf8(&mut [0; 4]).bytes().map(|b| format!("\\x{b:02x}")).collect();
                self.out.text.push_str(&format!("(?:{octets})"));
            }
            Within::Class => {
                self.out.unicode = true;
                self.out.text.push(c);
            }
        }
        Ok(())
    }

    /// `\Q...\E`: everything stands for itself.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            if c.is_ascii_punctuation() && c != '_' && !matches!(c, '<' | '>') {
                self.out.text.push('\\');
            }
            self.out.text.push(c);
        }
    }
}

/// Whether an escaped letter stands for several characters.
const fn is_set(letter: &char) -> bool {
    matches!(letter, 'w' | 'W' | 's' | 'S' | 'd' | 'D' | 'h' | 'v' | 'p' | 'P')
}

/// Whether what begins with a parenthesis is a group, which another one ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    No,
    Yes,
}

#[derive(Clone, Copy)]
enum Within {
    Pattern,
    Class,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_what_differs() {
        for (perl, wanted) in [
            ("/a\\/b/", "a/b"),
            ("m{https?://[^/]+/}i", "https?://[^/]+/"),
            ("m!a\\!b!", "a!b"),
            ("/\\bfoo\\@bar\\.com\\b/", "\\bfoo@bar\\.com\\b"),
            ("/a{2,3}b{x}c{,4}/", "a{2,3}b\\{x\\}c\\{,4\\}"),
            ("/\\<tag\\>/", "<tag>"),
            ("/[[\\w-]+/", "[\\[\\w\\-]+"),
            ("/[]a]/", "[\\]a]"),
            ("/[[:alpha:]_]/", "[[:alpha:]_]"),
            ("/(?#note)a(?>b)c++/", "a(?:b)c+"),
            ("/a b # c\n [ x]/x", "ab[ x]"),
            ("/\\x{200b}\\x41\\e\\0/", "(?:\\xe2\\x80\\x8b)\\x41\\x1b\\x00"),
            ("/\\Qa.b\\E.c/", "a\\.b.c"),
            ("/x\\Z/", "x\\n?\\z"),
            ("/a-b&c#d~/", "a\\-b\\&c\\#d\\~"),
            ("/[\\w-.]+@[a-\\d][[:alpha:]-_]/", "[\\w\\-.]+@[a\\-\\d][[:alpha:]\\-_]"),
            ("/[a-z\\d-]/", "[a-z\\d\\-]"),
            ("/(?x) a b (?i) [c ] d/", "ab(?i)[c ]d"),
            ("/(?x: a b ) c (?i-x: d)/", "(?:ab) c (?i: d)"),
            ("/(?: (?x) a b ) c/", "(?: ab) c"),
            ("/(?^i:a b)(?aa)(?<n_1>c)(?P<m>d)/", "(?i-ms:a b)(?<n_1>c)(?P<m>d)"),
        ] {
            let translated = translate(perl).unwrap();
            assert_eq!(translated.text, wanted, "{perl}");
            regex::bytes::RegexBuilder::new(&translated.text).unicode(translated.unicode).build().unwrap();
        }
        let flags = translate("/x/ism").unwrap();
        assert!(flags.ignore_case && flags.dot_all && flags.multi_line);
    }

    #[test]
    fn refuses_what_cannot_be_run() {
        for perl in ["/(?=a)/", "/(?!a)/", "/(?<=a)b/", "/(?<!a)b/"] {
            assert!(matches!(translate(perl), Err(Error::LookAround(_))), "{perl}");
        }
        for perl in ["/(a)\\1/", "/\\k<x>/", "/(?P=x)/"] {
            assert!(matches!(translate(perl), Err(Error::BackReference(_))), "{perl}");
        }
        for perl in ["/\\K/", "/(?(1)a|b)/", "/(?R)/"] {
            assert!(matches!(translate(perl), Err(Error::Construct(_))), "{perl}");
        }
        assert_eq!(translate("abc"), Err(Error::NoDelimiter));
        assert_eq!(translate("/abc"), Err(Error::NoEnd));
        assert_eq!(translate("/abc/q"), Err(Error::Modifier('q')));
    }
}
