//! Signs in links.

use std::net::IpAddr;

use super::scripts::lookalike;
use super::{is_address, number, registered};
use crate::foundations::address::is_within;
use crate::services::filter::rules::Facts;
use crate::services::filter::view::{Link, LinkKind, host_of, is_public};

/// Links that lead a reader somewhere.
fn clickable<'f>(facts: &Facts<'f>) -> impl Iterator<Item = &'f Link> {
    facts.view.links.iter().filter(|l| leads(l))
}

fn leads(link: &Link) -> bool {
    link.kind != LinkKind::Resource
}

/// A link whose text shows one host and leads to another.
pub fn mismatch(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    facts.view.links.iter().filter(|l| l.kind == LinkKind::Anchor && !l.host.is_empty()).find_map(|link| {
        let shown = link.shown.trim();
        if shown.contains(char::is_whitespace) || shown.len() > 200 {
            return None;
        }
        let host = host_of(shown);
        let host = if host.is_empty() && looks_like_host(shown) { shown.to_lowercase() } else { host };
        if host.is_empty() || psl::suffix_str(&host).is_none() {
            return None;
        }
        let real = match REWRITERS.iter().any(|name| is_within(&link.host, name)) {
            true => inner_host(&link.url)?,
            false => link.host.clone(),
        };
        let (seen, real) = (registered(&host), registered(&real));
        (seen != real).then(|| format!("`{seen}` -> `{real}`"))
    })
}

/// Services that rewrite the links of mail that passes them, to look at their targets when somebody clicks. Some hide the target.
const REWRITERS: &[&str] = &[
    "safelinks.protection.outlook.com",
    "urldefense.com",
    "urldefense.proofpoint.com",
    "mimecast.com",
    "mimecastprotect.com",
    "linkprotect.cudasvc.com",
    "secure-web.cisco.com",
    "clicktime.symantec.com",
    "protection.sophos.com",
];

fn looks_like_host(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    let known = psl::suffix(host.as_bytes()).is_some_and(|s| s.is_known());
    known
        && host.contains('.')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        && !text.contains('@')
}

/// A link to a bare address of the Internet.
pub fn host_is_address(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let is_bare = |host: &str| (is_address(host) || is_number(host)) && !is_internal(host);
    clickable(facts).find(|l| is_bare(&l.host)).map(|l| l.host.clone())
}

/// An address in the reader's own network, where no stranger has a page.
fn is_internal(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| !is_public(address))
}

/// An address written as one number, or in octal or hexadecimal pieces.
fn is_number(host: &str) -> bool {
    !host.is_empty()
        && host.split('.').all(|p| {
            let digits = p.strip_prefix("0x").unwrap_or(p);
            !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit() || (p.len() > digits.len() && b.is_ascii_hexdigit()))
        })
}

/// `https://bank.example@elsewhere/`.
pub fn with_user(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    clickable(facts)
        .filter(|l| !l.host.is_empty())
        .find(|l| {
            let rest = l.url.split_once("://").map_or("", |(_, r)| r);
            rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
        })
        .map(|l| l.host.clone())
}

/// A link to an unusual port.
pub fn with_port(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    clickable(facts).filter(|l| !l.host.is_empty() && !l.host.starts_with('[')).find_map(|l| {
        let rest = l.url.split_once("://")?.1;
        let authority = rest.split(['/', '?', '#']).next()?;
        let port: u16 = authority.rsplit_once(':')?.1.parse().ok()?;
        (!matches!(port, 80 | 443)).then(|| port.to_string())
    })
}

/// A host with percent-encoded characters.
pub fn encoded_host(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    clickable(facts)
        .find(|l| {
            let rest = l.url.split_once("://").map_or("", |(_, r)| r);
            rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('%'))
        })
        .map(|l| l.host.clone())
}

/// A host whose name looks like another one, in Unicode or in its ASCII form. What the sender's own domain looks like counts once, as
/// theirs.
pub fn lookalike_host(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let sender = facts.view.from_address().rsplit_once('@').map_or("", |(_, domain)| domain);
    let sender = idna::domain_to_ascii(sender).unwrap_or_default();
    clickable(facts).filter(|l| registered(&l.host) != registered(&sender)).find_map(|l| lookalike(&l.host))
}

/// Hosts that shorten links.
const SHORTENERS: &[&str] = &[
    "bit.ly",
    "tinyurl.com",
    "goo.gl",
    "t.co",
    "ow.ly",
    "is.gd",
    "buff.ly",
    "rebrand.ly",
    "cutt.ly",
    "rb.gy",
    "shorturl.at",
    "tiny.cc",
    "bl.ink",
    "t.ly",
    "v.gd",
    "short.io",
    "shorte.st",
    "adf.ly",
    "qr.ae",
    "lnkd.in",
    "s.id",
    "surl.li",
    "urlz.fr",
    "clck.ru",
    "soo.gd",
    "x.co",
    "n9.cl",
    "u.to",
    "qrco.de",
    "linktr.ee",
    "tr.im",
    "snip.ly",
    "dub.sh",
    "kutt.it",
];

/// A link through a shortener.
pub fn shortener(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    clickable(facts).find(|l| SHORTENERS.contains(&l.host.trim_start_matches("www."))).map(|l| l.host.clone())
}

/// A link that contains another one to a different host.
pub fn redirected(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    clickable(facts).filter(|l| !l.host.is_empty()).find_map(|l| {
        let host = inner_host(&l.url)?;
        (registered(&host) != registered(&l.host)).then(|| format!("`{}` -> `{host}`", l.host))
    })
}

/// The host of a link that is part of another link.
fn inner_host(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1.to_ascii_lowercase();
    let at = rest
        .find("http://")
        .or_else(|| rest.find("https://"))
        .or_else(|| rest.find("http%3a"))
        .or_else(|| rest.find("https%3a"))?;
    let inner = rest[at..].replace("%3a", ":").replace("%2f", "/");
    // What follows is not part of it: other parameters, or the marks of those who have rewritten the link.
    let inner = inner.split(['&', ';']).next().unwrap_or_default().trim_end_matches('_');
    Some(host_of(inner)).filter(|host| !host.is_empty())
}

/// The number of different registered domains lies in a range. Links in attached files do not count, as their text is not the message's.
pub fn hosts(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let (low, high): (usize, usize) = (number(arguments, 0)?, number(arguments, 1)?);
    let own = facts.view.own_links().iter().filter(|l| leads(l) && !l.host.is_empty());
    let mut domains: Vec<&str> = own.map(|l| registered(&l.host)).collect();
    domains.sort_unstable();
    domains.dedup();
    (domains.len() >= low && domains.len() <= high).then(|| domains.len().to_string())
}

/// A URL of at least so many octets.
pub fn longest(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let least: usize = number(arguments, 0)?;
    let longest = clickable(facts).map(|l| l.url.len()).max()?;
    (longest >= least).then(|| longest.to_string())
}

/// A host with at least so many labels.
pub fn deep_host(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let least: usize = number(arguments, 0)?;
    clickable(facts).find(|l| l.host.split('.').count() >= least && !is_address(&l.host)).map(|l| l.host.clone())
}
