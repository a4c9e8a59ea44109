//! The grammar of SPF records (RFC 7208 §12).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::SpfResult;
use super::macros::{Context, MacroString};

/// A record that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// In their order.
    pub directives: Vec<Directive>,
    /// `redirect=`.
    pub redirect: Option<MacroString>,
    /// `exp=`.
    pub explanation: Option<MacroString>,
}

/// A mechanism, and what holds when it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The qualifier's meaning.
    pub result: SpfResult,
    /// What is compared.
    pub mechanism: Mechanism,
}

/// RFC 7208 §5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// `all`
    All,
    /// `include:domain`
    Include(MacroString),
    /// `a`, `a:domain`, with prefix lengths for IPv4 and IPv6.
    A(Option<MacroString>, Prefixes),
    /// `mx`
    Mx(Option<MacroString>, Prefixes),
    /// `ptr`
    Ptr(Option<MacroString>),
    /// `ip4:`
    Ip4(Ipv4Addr, u8),
    /// `ip6:`
    Ip6(Ipv6Addr, u8),
    /// `exists:domain`
    Exists(MacroString),
}

/// Prefix lengths for the two families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// For IPv4 addresses, 0 to 32.
    pub v4: u8,
    /// For IPv6 addresses, 0 to 128.
    pub v6: u8,
}

/// The record cannot be interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Most terms of a record; more are a record that cannot be interpreted.
const MAX_TERMS: usize = 500;

impl Record {
    /// Whether a text is meant as an SPF record: `v=spf1`, then a space or the end (RFC 7208 §4.5).
    pub fn is_one(text: &str) -> bool {
        let Some(head) = text.get(..6) else { return false };
        head.eq_ignore_ascii_case("v=spf1") && matches!(text.as_bytes().get(6), None | Some(b' '))
    }

    /// Reads a record; every term must be right, also those behind a match (RFC 7208 §4.6).
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut record = Self { directives: Vec::new(), redirect: None, explanation: None };
        for term in text.get(6..).unwrap_or_default().split(' ').filter(|t| !t.is_empty()).take(MAX_TERMS + 1) {
            if record.directives.len() >= MAX_TERMS {
                return Err(Malformed);
            }
            match modifier(term) {
                Some((name, value)) => record.modifier(name, value)?,
                None => record.directives.push(directive(term)?),
            }
        }
        Ok(record)
    }

    /// Whether a text is mechanisms that let somebody pass, as they may be added to a record: no `all` and no modifiers.
    pub fn is_addition(text: &str) -> bool {
        let Ok(record) = Self::parse(&format!("v=spf1 {text}")) else { return false };
        let named = |one: &Directive| one.result == SpfResult::Pass && one.mechanism != Mechanism::All;
        let terms = text.split_whitespace().count();
        terms > 0 && terms == record.directives.len() && record.directives.iter().all(named)
    }

    fn modifier(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        // RFC 7208 §6: redirect and exp appear at most once; unknown ones are ignored when they are well-formed.
        let slot = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.explanation
        } else {
            return MacroString::parse(value, Context::Record).map(drop).ok_or(Malformed);
        };
        if slot.is_some() {
            return Err(Malformed);
        }
        *slot = Some(domain_spec(value)?);
        Ok(())
    }
}

/// `name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )`, then `=`.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    named.then_some((name, value))
}

/// `directive = [ qualifier ] mechanism`
fn directive(term: &str) -> Result<Directive, Malformed> {
    let (result, rest) = match term.as_bytes().first() {
        Some(b'+') => (SpfResult::Pass, &term[1..]),
        Some(b'-') => (SpfResult::Fail, &term[1..]),
        Some(b'~') => (SpfResult::SoftFail, &term[1..]),
        Some(b'?') => (SpfResult::Neutral, &term[1..]),
        _ => (SpfResult::Pass, term),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, argument) = rest.split_at(end);
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(domain_spec(argument.strip_prefix(':').ok_or(Malformed)?)?),
        "exists" => Mechanism::Exists(domain_spec(argument.strip_prefix(':').ok_or(Malformed)?)?),
        "a" => with_prefixes(argument).map(|(domain, prefixes)| Mechanism::A(domain, prefixes))?,
        "mx" => with_prefixes(argument).map(|(domain, prefixes)| Mechanism::Mx(domain, prefixes))?,
        "ptr" if argument.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(domain_spec(argument.strip_prefix(':').ok_or(Malformed)?)?)),
        "ip4" => {
            let (address, prefix) = network(argument, 32)?;
            Mechanism::Ip4(address.parse().map_err(|_| Malformed)?, prefix)
        }
        "ip6" => {
            let (address, prefix) = network(argument, 128)?;
            Mechanism::Ip6(address.parse().map_err(|_| Malformed)?, prefix)
        }
        _ => return Err(Malformed),
    };
    Ok(Directive { result, mechanism })
}

/// `[ ":" domain-spec ] [ dual-cidr-length ]`
fn with_prefixes(argument: &str) -> Result<(Option<MacroString>, Prefixes), Malformed> {
    let mut prefixes = Prefixes { v4: 32, v6: 128 };
    let mut rest = argument;
    if let Some(at) = rest.rfind("//") {
        prefixes.v6 = prefix(&rest[at + 2..], 128)?;
        rest = &rest[..at];
    }
    if let Some(at) = rest.rfind('/')
        && rest[at + 1..].bytes().all(|b| b.is_ascii_digit())
    {
        prefixes.v4 = prefix(&rest[at + 1..], 32)?;
        rest = &rest[..at];
    }
    match rest.strip_prefix(':') {
        Some(domain) => Ok((Some(domain_spec(domain)?), prefixes)),
        None if rest.is_empty() => Ok((None, prefixes)),
        None => Err(Malformed),
    }
}

/// `":" address [ "/" length ]`
fn network(argument: &str, longest: u8) -> Result<(&str, u8), Malformed> {
    let argument = argument.strip_prefix(':').ok_or(Malformed)?;
    match argument.split_once('/') {
        Some((address, length)) => Ok((address, prefix(length, longest)?)),
        None => Ok((argument, longest)),
    }
}

/// A prefix length without leading zeros.
fn prefix(text: &str, longest: u8) -> Result<u8, Malformed> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|n| plain && *n <= longest).ok_or(Malformed)
}

/// `domain-spec = macro-string domain-end`, where the end is a macro or a dot and a top label.
fn domain_spec(text: &str) -> Result<MacroString, Malformed> {
    let parsed = MacroString::parse(text, Context::Record).ok_or(Malformed)?;
    (parsed.ends_in_macro() || has_top_label(text)).then_some(parsed).ok_or(Malformed)
}

/// `toplabel`: letters and digits, not only digits, hyphens inside; a final dot is allowed.
fn has_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, label)) = text.rsplit_once('.') else { return false };
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.bytes().all(|b| b.is_ascii_digit())
        && !label.starts_with('-')
        && !label.ends_with('-')
}
