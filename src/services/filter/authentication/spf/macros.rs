//! Macros (RFC 7208 §7).

use std::net::IpAddr;

/// A text with macros, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroString(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro { letter: Letter, escaped: bool, keep: Option<usize>, reversed: bool, delimiters: Vec<char> },
}

/// The macro letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `s`: the sender.
    Sender,
    /// `l`: its local part.
    LocalPart,
    /// `o`: its domain.
    SenderDomain,
    /// `d`: the domain being checked.
    Domain,
    /// `i`: the client's address, dotted.
    Address,
    /// `p`: the client's validated name.
    Name,
    /// `v`: `in-addr` or `ip6`.
    Version,
    /// `h`: the name the client gave.
    Hello,
    /// `c`: the client's address as people write it.
    ReadableAddress,
    /// `r`: our own name.
    Receiver,
    /// `t`: the time in seconds since 1970.
    Time,
}

/// Where a macro string stands: some letters are allowed in explanations only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// In a record.
    Record,
    /// In an explanation.
    Explanation,
}

/// What macros stand for.
#[derive(Debug, Clone, Copy)]
pub struct Values<'v> {
    /// The sender, `local@domain`.
    pub sender: &'v str,
    /// The domain being checked.
    pub domain: &'v str,
    /// The client's address.
    pub address: IpAddr,
    /// The client's validated name, or `unknown`.
    pub name: &'v str,
    /// The name the client gave.
    pub hello: &'v str,
    /// Our own name.
    pub receiver: &'v str,
    /// Seconds since 1970.
    pub time: i64,
}

/// Longest expansion in octets that is built.
const MAX_LENGTH: usize = 4096;

impl MacroString {
    /// Reads a text; `None` when its macros are malformed.
    pub fn parse(text: &str, context: Context) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                let allowed = c.is_ascii_graphic() || (context == Context::Explanation && c == ' ');
                if !allowed {
                    return None;
                }
                literal.push(c);
                continue;
            }
            match chars.next()? {
                '%' => literal.push('%'),
                '_' => literal.push(' '),
                '-' => literal.push_str("%20"),
                '{' => {
                    let (inner, rest) = chars.as_str().split_once('}')?;
                    chars = rest.chars();
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(expand(inner, context)?);
                }
                _ => return None,
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Some(Self(pieces))
    }

    /// Whether the last thing in it is a macro.
    pub fn ends_in_macro(&self) -> bool {
        matches!(self.0.last(), Some(Piece::Macro { .. }))
    }

    /// Whether the client's validated name is needed.
    pub fn needs_name(&self) -> bool {
        self.0.iter().any(|p| matches!(p, Piece::Macro { letter: Letter::Name, .. }))
    }

    /// The text with the macros replaced.
    pub fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Macro { letter, escaped, keep, reversed, delimiters } => {
                    let value = transform(&letter.value(values), *keep, *reversed, delimiters);
                    if *escaped { escape(&value, &mut out) } else { out.push_str(&value) }
                }
            }
            if out.len() > MAX_LENGTH {
                break;
            }
        }
        out
    }

    /// The expansion as a domain: labels are cut from the left until it fits (RFC 7208 §7.3).
    pub fn domain(&self, values: &Values<'_>) -> String {
        let mut name = self.expand(values);
        if let Some(shorter) = name.strip_suffix('.') {
            name.truncate(shorter.len());
        }
        let mut rest = name.as_str();
        while rest.len() > 253 {
            match rest.split_once('.') {
                Some((_, tail)) => rest = tail,
                None => break,
            }
        }
        rest.to_owned()
    }
}

/// `macro-letter transformers *delimiter`
fn expand(inner: &str, context: Context) -> Option<Piece> {
    let mut chars = inner.chars();
    let first = chars.next()?;
    let letter = Letter::of(first.to_ascii_lowercase())?;
    let explaining = matches!(letter, Letter::ReadableAddress | Letter::Receiver | Letter::Time);
    if explaining && context == Context::Record {
        return None;
    }
    let rest = chars.as_str();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let keep = match &rest[..digits] {
        "" => None,
        number => Some(number.parse::<usize>().ok().filter(|n| *n > 0)?),
    };
    let rest = &rest[digits..];
    let (reversed, rest) = match rest.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let delimiters: Vec<char> = rest.chars().collect();
    delimiters.iter().all(|c| matches!(c, '.' | '-' | '+' | ',' | '/' | '_' | '=')).then_some(Piece::Macro {
        letter,
        escaped: first.is_ascii_uppercase(),
        keep,
        reversed,
        delimiters,
    })
}

fn transform(value: &str, keep: Option<usize>, reversed: bool, delimiters: &[char]) -> String {
    if keep.is_none() && !reversed && delimiters.is_empty() {
        return value.to_owned();
    }
    let delimiters = if delimiters.is_empty() { &['.'] } else { delimiters };
    let mut parts: Vec<&str> = value.split(delimiters).collect();
    if reversed {
        parts.reverse();
    }
    let skip = keep.map_or(0, |n| parts.len().saturating_sub(n));
    parts[skip..].join(".")
}

/// RFC 3986 §2.3: everything but unreserved characters.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

impl Letter {
    const fn of(letter: char) -> Option<Self> {
        Some(match letter {
            's' => Self::Sender,
            'l' => Self::LocalPart,
            'o' => Self::SenderDomain,
            'd' => Self::Domain,
            'i' => Self::Address,
            'p' => Self::Name,
            'v' => Self::Version,
            'h' => Self::Hello,
            'c' => Self::ReadableAddress,
            'r' => Self::Receiver,
            't' => Self::Time,
            _ => return None,
        })
    }

    fn value(self, values: &Values<'_>) -> String {
        let (local, domain) = values.sender.rsplit_once('@').unwrap_or(("postmaster", values.sender));
        match self {
            Self::Sender => values.sender.to_owned(),
            Self::LocalPart => local.to_owned(),
            Self::SenderDomain => domain.to_owned(),
            Self::Domain => values.domain.to_owned(),
            Self::Address => match values.address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => {
                    let nibbles = v6.octets().into_iter().flat_map(|o| [o >> 4, o & 15]);
                    nibbles.map(|n| format!("{n:X}")).collect::<Vec<_>>().join(".")
                }
            },
            Self::Name => values.name.to_owned(),
            Self::Version => if values.address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            Self::Hello => values.hello.to_owned(),
            Self::ReadableAddress => values.address.to_string(),
            Self::Receiver => values.receiver.to_owned(),
            Self::Time => values.time.to_string(),
        }
    }
}
