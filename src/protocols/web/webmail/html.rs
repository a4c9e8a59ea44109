//! Sanitises the HTML of messages.
//!
//! Three barriers, each of which would be enough: the markup is parsed and only known elements and attributes are written out
//! again (ammonia); its page may run nothing and load nothing but images (`Content-Security-Policy`, by header); and it is
//! shown in a sandboxed frame without scripts. Remote images are left out until the reader asks for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ammonia::{Builder, UrlRelative};

use super::{growth, style};
use crate::protocols::web::form;

/// Cleaned markup.
#[derive(Debug)]
pub(super) struct Clean {
    /// The markup, to be written into a body.
    pub(super) markup: String,
    /// How many images of other hosts it names.
    pub(super) remote_images: usize,
    /// Whether something of it was left out, as the markup says at its end.
    pub(super) cut: bool,
}

/// Whether images of other hosts are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
    Blocked,
    Shown,
}

/// Elements that are looked at.
const MOST_ELEMENTS: usize = 30_000;

/// As much of a markup as is looked at, and whether that is all of it.
fn bounded(markup: &str) -> (&str, bool) {
    let end = memchr::memchr_iter(b'<', markup.as_bytes()).nth(MOST_ELEMENTS).unwrap_or(markup.len());
    let bounded = growth::bounded(&markup[..end]);
    (bounded, bounded.len() == markup.len())
}

/// Whether all of a markup is looked at, so that nothing of it is left out.
pub(super) fn is_whole(markup: &str) -> bool {
    bounded(markup).1
}

/// Cleans markup. `parts` gives the address of each part by its Content-ID.
pub(super) fn clean(markup: &str, parts: HashMap<String, String>, remote: Remote) -> Clean {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let mut builder = Builder::default();
    builder
        .add_tags(TAGS)
        .add_clean_content_tags(WITH_CONTENT)
        .add_generic_attributes(["style", "dir", "align", "valign", "bgcolor", "width", "height"])
        .add_tag_attributes("table", ["border", "cellpadding", "cellspacing"])
        .add_tag_attributes("font", ["color", "face", "size"])
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel", "cid", "data"]))
        // The filter has seen every address before this is asked, and leaves only relative ones of our own.
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer"))
        .set_tag_attribute_value("a", "target", "_blank")
        .strip_comments(true)
        .attribute_filter(move |element, attribute, value| {
            let kept = match (element, attribute) {
                ("img", "src") => image(value, &parts, remote, &counted),
                (_, "src") => None,
                (_, "href" | "cite") => is_link(value).then(|| value.to_owned()),
                (_, "style") => style::clean(value),
                (_, "width" | "height" | "border" | "cellpadding" | "cellspacing" | "size") => {
                    is_length(value).then(|| value.to_owned())
                }
                _ => Some(value.to_owned()),
            };
            kept.map(Into::into)
        });
    let (bounded, is_whole) = bounded(markup);
    let cleaned = builder.clean(bounded).to_string();
    let mut markup = match body_style(bounded) {
        // Light text is meant for the background of the body.
        Some(style) => format!("<div style=\"{}\">{cleaned}</div>", form::text(&style)),
        None => cleaned,
    };
    if !is_whole {
        markup.push_str(REST);
    }
    Clean { markup, remote_images: count.load(Ordering::Relaxed), cut: !is_whole }
}

/// How the first body looks, as the style of another element: the body element itself is removed.
fn body_style(markup: &str) -> Option<String> {
    let attributes = attributes(body(markup)?);
    let of = |name: &str| attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let colour = |value: &str| {
        let value = value.trim();
        let is_bare = value.len() == 6 && value.bytes().all(|octet| octet.is_ascii_hexdigit());
        let colour = if is_bare { format!("#{value}") } else { value.to_owned() };
        style::is_colour(&colour).then_some(colour)
    };
    let mut all = String::new();
    for (property, attribute) in [("background-color", "bgcolor"), ("color", "text")] {
        if let Some(colour) = of(attribute).and_then(colour) {
            all.push_str(&format!("{property}: {colour}; "));
        }
    }
    let own = of("style").unwrap_or_default();
    // A style that is refused takes nothing else with it.
    style::clean(&format!("{all}{own}")).or_else(|| style::clean(&all))
}

/// The contents of the first body tag, from its first attribute on.
fn body(markup: &str) -> Option<&str> {
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->")?.1;
            continue;
        }
        let is_body = rest.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("body"));
        if is_body && rest[4..].starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')) {
            return Some(&rest[4..]);
        }
    }
    None
}

/// The attributes of a tag up to its end, with small letters in their names.
fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('>') || found.len() >= MOST_ATTRIBUTES {
            return found;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        // An equals sign that nothing stands before.
        let (name, after) = rest.split_at(end.max(1).min(rest.len()));
        let after = after.trim_start();
        let Some(given) = after.strip_prefix('=').map(str::trim_start) else {
            rest = after;
            continue;
        };
        let (value, after) = match given.chars().next().filter(|mark| matches!(mark, '"' | '\'')) {
            Some(mark) => given[1..].split_once(mark).unwrap_or((&given[1..], "")),
            None => given.split_at(given.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(given.len())),
        };
        let value = value.replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
        found.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
}

/// Attributes of a tag that are looked at.
const MOST_ATTRIBUTES: usize = 40;

/// Elements used by newsletters, including old ones, besides those that ammonia knows.
const TAGS: [&str; 6] = ["big", "center", "font", "main", "section", "tfoot"];

/// Elements that are removed with their content, which is not part of the text.
const WITH_CONTENT: [&str; 16] = [
    "applet", "audio", "canvas", "embed", "frameset", "iframe", "math", "noscript", "object", "select", "svg",
    "template", "textarea", "title", "video", "xmp",
];

fn image(value: &str, parts: &HashMap<String, String>, remote: Remote, count: &AtomicUsize) -> Option<String> {
    let value = value.trim();
    let (scheme, rest) = value.split_once(':')?;
    match scheme.to_ascii_lowercase().as_str() {
        "cid" => parts.get(&content_id(rest)).cloned(),
        "data" => is_picture(rest).then(|| value.to_owned()),
        "http" | "https" => {
            count.fetch_add(1, Ordering::Relaxed);
            Some(if remote == Remote::Shown { value.to_owned() } else { NOTHING.to_owned() })
        }
        _ => None,
    }
}

/// A Content-ID as it is compared: without brackets, percent-encoding undone (RFC 2392).
pub(super) fn content_id(text: &str) -> String {
    let bare = text.trim().trim_start_matches('<').trim_end_matches('>');
    let octets = bare.as_bytes();
    let mut decoded = Vec::with_capacity(octets.len());
    let mut at = 0;
    while let Some(octet) = octets.get(at) {
        let pair = bare.get(at + 1..at + 3).filter(|_| *octet == b'%');
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(octet) => {
                decoded.push(octet);
                at += 3;
            }
            None => {
                decoded.push(*octet);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// `image/png;base64,…` and its like. SVG can hold too much.
fn is_picture(rest: &str) -> bool {
    PICTURES.iter().any(|kind| {
        let head = rest.get(..kind.len()).is_some_and(|head| head.eq_ignore_ascii_case(kind));
        head && rest[kind.len()..].starts_with([';', ','])
    })
}

/// Images that a browser shows without ever taking them for anything else.
pub(super) const PICTURES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

fn is_link(value: &str) -> bool {
    let scheme = value.trim().split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel"))
}

fn is_length(value: &str) -> bool {
    let number = value.trim().trim_end_matches(['%', 'p', 'x']).trim_start_matches(['+', '-']);
    !number.is_empty() && number.len() <= 6 && number.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
}

/// What stands in place of what is left out. The page finds it by its attribute, which nothing of others keeps, and says it in the
/// language of whoever reads it.
pub(super) const REST: &str = "<hr><p data-rest>The rest is left out.</p>";

/// A transparent pixel.
const NOTHING: &str = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

/// The whole page of a message's text.
pub(super) fn page(body: &str) -> String {
    format!("{HEAD}{body}</body></html>")
}

/// The page of a frame: calm, on paper, never wider than it.
const HEAD: &str = "<!doctype html><html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
<meta name=\"color-scheme\" content=\"light\"><title>Message</title><style>\
html{background:#fff;color:#1c2430}body{margin:16px;font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
img{max-width:100%;height:auto}table{max-width:100%}td,th{overflow-wrap:break-word}\
img:not([src]){background:#f3f5f8;outline:1px dashed #c3cbd6;outline-offset:-1px}pre{white-space:pre-wrap}a{color:#1f5fae}\
blockquote{margin:0 0 0 4px;padding-left:12px;border-left:3px solid #c9d3e0}\
.printed{display:none}@media print{body{margin:0;color:#000}img,tr{break-inside:avoid}.printed{display:block;margin:0 0 18px;\
padding:0 0 12px;border-bottom:1px solid #999}.printed h2{margin:0 0 10px}.printed dl{display:grid;grid-template-columns:auto 1fr;gap:2px 14px;margin:0}\
.printed dd{margin:0}}\
</style></head><body>";

/// What such a page may do: show its images. It may be printed (`allow-modals`); without scripts it can open no window itself.
pub(super) fn policy(remote: Remote) -> &'static str {
    match remote {
        Remote::Blocked => {
            "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'self'; \
             sandbox allow-same-origin allow-modals allow-popups allow-popups-to-escape-sandbox"
        }
        Remote::Shown => {
            "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: https: http:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'self'; \
             sandbox allow-same-origin allow-modals allow-popups allow-popups-to-escape-sandbox"
        }
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
