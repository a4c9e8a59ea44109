//! Paths, and what can be wrong with a command.

use std::borrow::Cow;

use super::{EnhancedStatus, Reply, Verb};
use crate::foundations::address::{Address, ForwardPath, InvalidAddress, InvalidLocalPart, ReversePath};

/// Why a line is not a valid command. [`SyntaxError::reply`] gives the reply for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Octets that are not UTF-8, or control characters.
    #[error("the command holds control characters or is not UTF-8")]
    Characters,
    /// No command of this name exists.
    #[error("unknown command")]
    UnknownVerb,
    /// A command that exists but is not supported here.
    #[error("command not implemented: {0:?}")]
    NotImplemented(Verb),
    /// Too many, too few or malformed arguments; the text says what is expected.
    #[error("wrong arguments; wanted: {0}")]
    Arguments(&'static str),
    /// BDAT without a valid size: what follows on the connection can no longer be told apart from commands.
    #[error("BDAT without a valid size")]
    ChunkSize,
    /// MAIL FROM with an invalid reverse-path.
    #[error("wrong reverse-path: {0}")]
    ReversePath(InvalidPath),
    /// RCPT TO with an invalid forward-path.
    #[error("wrong forward-path: {0}")]
    ForwardPath(InvalidPath),
    /// A parameter of MAIL or RCPT that no extension of this server defines.
    #[error("unknown parameter `{0}`")]
    UnknownParameter(String),
    /// A parameter that was given twice.
    #[error("parameter `{0}` given twice")]
    DuplicateParameter(&'static str),
    /// A parameter with a value that it cannot have.
    #[error("parameter `{0}` has an invalid value")]
    ParameterValue(&'static str),
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// No `<` at the start where one is needed, or no `>` at the end.
    #[error("an address in angle brackets is expected")]
    Brackets,
    /// A route `@a,@b:` that does not end.
    #[error("the source route is malformed")]
    Route,
    /// The content of the brackets is not an address.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// `<>` where a recipient is expected.
    #[error("a recipient is expected")]
    Null,
}

impl SyntaxError {
    /// The reply to the client.
    pub fn reply(&self) -> Reply {
        let (code, status, text): (u16, EnhancedStatus, Cow<'static, str>) = match self {
            Self::Characters => (500, EnhancedStatus::new(5, 5, 2), "Commands must be printable UTF-8".into()),
            Self::UnknownVerb => (500, EnhancedStatus::new(5, 5, 1), "Command not recognised".into()),
            Self::NotImplemented(_) => (502, EnhancedStatus::new(5, 5, 1), "Command not implemented".into()),
            Self::Arguments(usage) => (501, EnhancedStatus::new(5, 5, 4), format!("Expected: {usage}").into()),
            Self::ChunkSize => (501, EnhancedStatus::new(5, 5, 4), "Expected: BDAT octets [LAST]".into()),
            Self::ReversePath(why) => (501, EnhancedStatus::new(5, 1, 7), format!("Bad sender address: {why}").into()),
            Self::ForwardPath(why) => {
                (501, EnhancedStatus::new(5, 1, 3), format!("Bad recipient address: {why}").into())
            }
            Self::UnknownParameter(name) => {
                (555, EnhancedStatus::new(5, 5, 4), format!("Parameter {name} is not supported").into())
            }
            Self::DuplicateParameter(name) => {
                (501, EnhancedStatus::new(5, 5, 4), format!("Parameter {name} given twice").into())
            }
            Self::ParameterValue(name) => {
                (501, EnhancedStatus::new(5, 5, 4), format!("Parameter {name} has an invalid value").into())
            }
        };
        Reply::new(code, status, text)
    }
}

// RFC 5321 §4.1.2
// Reverse-path = Path / "<>"
// Forward-path = Path
// Path = "<" [ A-d-l ":" ] Mailbox ">"
// A-d-l = At-domain *( "," At-domain )

/// Splits `<path>` off the front; returns the content of the brackets and the rest of the line.
fn split(text: &str) -> Result<(&str, &str), InvalidPath> {
    // quirk_space_before_path: `MAIL FROM: <a@b>` comes from many scripts and devices.
    let text = text.trim_start_matches(' ');
    let Some(inner) = text.strip_prefix('<') else { return without_brackets(text) };
    let mut octets = inner.bytes().enumerate();
    let mut quoted = false;
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'\\' if quoted => {
                octets.next();
            }
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let rest = &inner[at + 1..];
                let ended = rest.is_empty() || rest.starts_with(' ');
                return if ended { Ok((drop_route(&inner[..at])?, rest)) } else { Err(InvalidPath::Brackets) };
            }
            _ => {}
        }
    }
    Err(InvalidPath::Brackets)
}

/// quirk_no_brackets: `MAIL FROM:a@b` comes from scanners, cameras and the like, and every other server accepts it
/// (2026).
fn without_brackets(text: &str) -> Result<(&str, &str), InvalidPath> {
    let (address, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    let is_plain = address.contains('@') && !address.contains(['<', '>', '"', ',', ':']);
    if is_plain { Ok((address, rest)) } else { Err(InvalidPath::Brackets) }
}

/// RFC 5321 appendix C: source routes are accepted and ignored.
fn drop_route(inner: &str) -> Result<&str, InvalidPath> {
    if !inner.starts_with('@') {
        return Ok(inner);
    }
    let mut rest = inner;
    loop {
        let hop = rest.strip_prefix('@').ok_or(InvalidPath::Route)?;
        let domain = hop.bytes().take_while(|b| *b != b',' && *b != b':').count();
        hop[..domain].parse::<crate::foundations::address::Domain>().map_err(|_| InvalidPath::Route)?;
        // A literal `[IPv6:...]` contains colons itself; no source route leads through one.
        match hop.as_bytes().get(domain) {
            Some(b',') => rest = &hop[domain + 1..],
            Some(_) => return Ok(&hop[domain + 1..]),
            None => return Err(InvalidPath::Route),
        }
    }
}

fn mailbox(text: &str) -> Result<Address, InvalidAddress> {
    match (text.parse(), text.rsplit_once('@')) {
        // quirk_dots: carriers in Japan gave out names like `a..b` and `a.`, which are still in use (2026). They are
        // read as the quoted form.
        (Err(InvalidAddress::LocalPart(InvalidLocalPart::Dots)), Some((local, domain))) => {
            format!("\"{local}\"@{domain}").parse()
        }
        (parsed, _) => parsed,
    }
}

/// The sender and what follows it.
pub(super) fn reverse_path(text: &str) -> Result<(ReversePath, &str), InvalidPath> {
    let (inner, rest) = split(text)?;
    match inner {
        "" => Ok((ReversePath::Null, rest)),
        address => Ok((ReversePath::Address(mailbox(address)?), rest)),
    }
}

/// The recipient and what follows it.
pub(super) fn forward_path(text: &str) -> Result<(ForwardPath, &str), InvalidPath> {
    let (inner, rest) = split(text)?;
    match inner {
        "" => Err(InvalidPath::Null),
        // RFC 5321 §4.1.1.3: "<Postmaster>" without a domain, in any case.
        name if name.eq_ignore_ascii_case("postmaster") => Ok((ForwardPath::Postmaster, rest)),
        address => Ok((ForwardPath::Address(mailbox(address)?), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_their_rest() {
        for (text, path, rest) in [
            ("<>", "<>", ""),
            ("<a@[127.0.0.1]>", "<a@[127.0.0.1]>", ""),
            ("<a@b.test> SIZE=1", "<a@b.test>", " SIZE=1"),
            (" <a@b.test>", "<a@b.test>", ""),
            ("<@x.test,@y.test:a@b.test>", "<a@b.test>", ""),
            ("<\"a>b\"@b.test>", "<\"a>b\"@b.test>", ""),
            ("<\"a\\\">b\"@b.test> X", "<\"a\\\">b\"@b.test>", " X"),
            ("<a@[IPv6:2001:db8::1]>", "<a@[IPv6:2001:db8::1]>", ""),
            ("<a..b@c.test> X", "<\"a..b\"@c.test>", " X"),
            ("<a.@c.test>", "<\"a.\"@c.test>", ""),
            ("a@b.test", "<a@b.test>", ""),
            (" a@b.test SIZE=1", "<a@b.test>", " SIZE=1"),
        ] {
            let (parsed, left) = reverse_path(text).unwrap();
            assert_eq!((parsed.to_string().as_str(), left), (path, rest), "{text}");
        }
        assert_eq!(forward_path("<PostMaster>").unwrap().0, ForwardPath::Postmaster);
    }

    #[test]
    fn what_is_no_path() {
        for text in [
            "",
            "a",
            "SIZE=1",
            "Ann <a@b.test>",
            "a@b.test,c@b.test",
            "<a@b.test",
            "a@b.test>",
            "<a@b.test>x",
            "<a>",
            "<a. b@c.test>",
            "<@b.test>",
            "<<a@b.test>>",
            "<@x.test>",
            "<@:a@b.test>",
            "<\"a@b.test>",
        ] {
            assert!(reverse_path(text).is_err(), "{text}");
        }
        assert_eq!(forward_path("<>"), Err(InvalidPath::Null));
    }
}
