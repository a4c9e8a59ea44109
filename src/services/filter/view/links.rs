//! Links in text and HTML.

use std::collections::VecDeque;

use super::{MAX_LINKS, View};

/// Where a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// In running text.
    Text,
    /// `<a href>` or `<area href>`.
    Anchor,
    /// `<img src>` and other things that mail programs load by themselves.
    Resource,
    /// `<form action>`.
    Form,
    /// Where a page goes by itself: `<meta http-equiv=refresh>`; and URLs in the scripts of attached files.
    Redirect,
}

impl LinkKind {
    pub(super) const COUNT: usize = Self::Redirect as usize + 1;
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// As written, entities decoded, white space removed, with two slashes after the scheme where browsers assume them.
    pub url: String,
    /// The host in lower case; empty for `mailto:` and the like.
    pub host: String,
    /// The text a reader clicks on.
    pub shown: String,
    /// Where it is.
    pub kind: LinkKind,
}

/// Longest URL that is kept, in characters.
const MAX_URL: usize = 2048;
/// Longest user before a host that is kept, in characters.
const MAX_USER: usize = 200;

impl View<'_> {
    /// Whether further links of this kind are collected. Each kind has its own limit, so that many of one do not displace
    /// another.
    pub(super) const fn has_room_for(&self, kind: LinkKind) -> bool {
        self.link_counts[kind as usize] < MAX_LINKS
    }

    /// Adds a link, if there is room; whether there was.
    pub(super) fn add_link(&mut self, link: Link) -> bool {
        let has_room = self.has_room_for(link.kind);
        if has_room {
            self.link_counts[link.kind as usize] += 1;
            self.links.push(link);
        }
        has_room
    }

    /// The links: visible ones first, and those that readers do not follow last. They are taken from both ends, so that a link cannot
    /// hide before or after many others.
    pub(in crate::services::filter) fn likeliest_links(&self) -> impl Iterator<Item = &Link> {
        let mut ranks: [VecDeque<&Link>; 3] = Default::default();
        for link in &self.links {
            let rank = match link.kind {
                LinkKind::Text | LinkKind::Form | LinkKind::Redirect => 0,
                LinkKind::Anchor if !link.shown.trim().is_empty() => 0,
                // It may be around an image.
                LinkKind::Anchor => 1,
                LinkKind::Resource => 2,
            };
            ranks[rank].push_back(link);
        }
        ranks.into_iter().flat_map(|mut rank| {
            let mut from_front = false;
            std::iter::from_fn(move || {
                from_front = !from_front;
                if from_front { rank.pop_front() } else { rank.pop_back() }
            })
        })
    }
}

/// A link from a URL as written in HTML or text; `None` when it is not one that leads anywhere.
pub fn link_of(url: &str, kind: LinkKind) -> Option<Link> {
    let url = usual(url.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect());
    let host = host_of(&url);
    if host.is_empty() && !url.contains(':') {
        return None;
    }
    Some(Link { host, url: url.chars().take(MAX_URL).collect(), shown: String::new(), kind })
}

/// Schemes after which any slashes and backslashes, or none, count as two slashes (URL §4.4).
const SPECIAL: [&str; 3] = ["http", "https", "ftp"];

/// The scheme of such a URL, and what follows the slashes.
fn special(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let is_special = SPECIAL.iter().any(|special| scheme.eq_ignore_ascii_case(special));
    is_special.then(|| (scheme, rest.trim_start_matches(['/', '\\'])))
}

fn usual(url: String) -> String {
    let Some((scheme, rest)) = special(&url) else { return url };
    // Before the host there may be more than is kept.
    match authority(rest).rsplit_once('@') {
        Some((user, _)) if user.len() > MAX_USER => {
            let kept: String = user.chars().take(MAX_USER).collect();
            format!("{scheme}://{kept}{}", &rest[user.len()..])
        }
        _ => format!("{scheme}://{rest}"),
    }
}

/// User, host and port, at the beginning of what follows the slashes.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#', '\\']).next().unwrap_or_default()
}

/// The host in a URL as browsers look it up, in ASCII and lower case, without user, port and final dot; empty when it has none.
pub fn host_of(url: &str) -> String {
    const SLASHES: [char; 2] = ['/', '\\'];
    let without_scheme = || url.strip_prefix(SLASHES).and_then(|rest| rest.strip_prefix(SLASHES));
    let rest = match (special(url), url.split_once("://")) {
        (Some((_, rest)), _) => rest,
        (None, Some((scheme, rest))) if scheme.len() <= 10 && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => rest,
        _ => match without_scheme() {
            Some(rest) => rest,
            None if starts_with_ignoring_case(url, "www.") => url,
            None => return String::new(),
        },
    };
    let authority = authority(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = if host.starts_with('[') {
        host.split_inclusive(']').next().unwrap_or_default()
    } else {
        host.split(':').next().unwrap_or_default()
    };
    let decoded = if host.contains('%') {
        String::from_utf8_lossy(&super::parts::percent_octets(host)).into_owned()
    } else {
        host.to_owned()
    };
    let host = match decoded.is_ascii() {
        true => decoded.to_lowercase(),
        // Letters of other widths, other dots and what nobody sees make no other name (URL §3.5).
        false => idna::domain_to_ascii(&decoded).unwrap_or_else(|_| decoded.to_lowercase()),
    };
    host.trim_end_matches('.').to_owned()
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Collects the links in running text, as links of this kind.
pub fn from_text(text: &str, kind: LinkKind, view: &mut View<'_>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b':', b'w', b'W', bytes.get(at..).unwrap_or_default()) {
        let found = at + found;
        at = found + 1;
        let start = if bytes[found] == b':' {
            let scheme = ["https", "http", "ftp", "mailto"]
                .into_iter()
                .find(|s| found >= s.len() && bytes[found - s.len()..found].eq_ignore_ascii_case(s.as_bytes()));
            match scheme {
                Some("mailto") => found - 6,
                Some(scheme) if bytes[found..].starts_with(b"://") => found - scheme.len(),
                _ => continue,
            }
        } else if bytes.get(found..found + 4).is_some_and(|w| w.eq_ignore_ascii_case(b"www."))
            && (found == 0 || !(bytes[found - 1].is_ascii_alphanumeric() || b"/.-@".contains(&bytes[found - 1])))
        {
            found
        } else {
            continue;
        };
        let length = text[start..].find(ends_url).unwrap_or(text.len() - start);
        let url = within_brackets(&text[start..start + length]);
        let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'', '*', '_']);
        if !view.has_room_for(kind) {
            return;
        }
        if let Some(link) = link_of(url, kind).filter(|l| l.url.len() > 7) {
            view.add_link(link);
        }
        at = start + length.max(1);
    }
}

/// A URL without the bracket that ends what it stands in, as in `[http://example.com]`. Its own are around an address (RFC 3986 §3.2.2).
fn within_brackets(url: &str) -> &str {
    match url.find(['[', ']']) {
        Some(at) if url[at..].starts_with(']') => &url[..at],
        _ => url,
    }
}

/// The links, one per line, as rules expect them: one without a scheme again with it, one whose host is written in another way than
/// browsers ask for it again with that, and the addresses in the text as the links that mail programs make of them.
pub fn lines_for_rules(view: &View<'_>) -> String {
    let mut lines = String::new();
    for link in &view.links {
        lines.extend([link.url.as_str(), "\n"]);
        if !link.host.is_empty() && !link.url.contains("://") {
            lines.extend(["http://", link.url.trim_start_matches(['/', '\\']), "\n"]);
        }
        if !link.url.to_ascii_lowercase().contains(&link.host) {
            lines.extend(["http://", link.host.as_str(), "/\n"]);
        }
    }
    let mut from = 0;
    for at in memchr::memchr_iter(b'@', view.body.as_bytes()).take(MAX_LINKS) {
        let (before, after) = (&view.body[from..at], &view.body[at + 1..]);
        let local = &before[before.trim_end_matches(in_local_part).len()..];
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).unwrap_or(after.len());
        let domain = after[..end].trim_end_matches(['.', '-']);
        if !local.is_empty() && domain.trim_start_matches('.').contains('.') {
            lines.extend(["mailto:", local, "@", domain, "\n"]);
        }
        from = at + 1;
    }
    lines
}

const fn in_local_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | '=' | '%' | '&')
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '|' | '^' | '`' | '{' | '}')
}
