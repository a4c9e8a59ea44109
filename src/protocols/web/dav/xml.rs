//! XML of requests: a small tree, parsed within limits, and written again.

use std::fmt::Write as _;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::escape;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::storage::dav::PropertyName;

/// `DAV:`
pub(super) const DAV: &str = "DAV:";
/// CalDAV.
pub(super) const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// CardDAV.
pub(super) const CARDDAV: &str = "urn:ietf:params:xml:ns:carddav";
/// Extensions of Apple's Calendar Server that every client knows.
pub(super) const CALENDAR_SERVER: &str = "http://calendarserver.org/ns/";

/// Longest name of a namespace, in octets.
const LONGEST_NAMESPACE: usize = 255;
/// Longest name of an element or attribute, in octets.
const LONGEST_NAME: usize = 255;
/// Most attributes of one element.
const MOST_ATTRIBUTES: usize = 100;
/// Deepest nesting.
const DEEPEST: usize = 32;

/// Why something is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is no XML that is read here.
    Malformed,
    /// There is too much of it.
    TooLarge,
}

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) namespace: String,
    pub(super) local: String,
    /// Names without namespace, and values.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Node>,
}

/// The contents of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// Reads a document.
    pub(super) fn parse(octets: &[u8], most: usize) -> Result<Self, Bad> {
        let text = std::str::from_utf8(octets).map_err(|_| Bad::Malformed)?;
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        let mut stack: Vec<Self> = Vec::new();
        let mut root = None;
        let mut count = 0;
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|_| Bad::Malformed)?;
            match event {
                Event::Start(start) => {
                    let element = read(&namespace, &start, &mut count, most)?;
                    if stack.len() >= DEEPEST {
                        return Err(Bad::TooLarge);
                    }
                    stack.push(element);
                }
                Event::Empty(start) => {
                    let element = read(&namespace, &start, &mut count, most)?;
                    put(&mut stack, &mut root, Node::Element(element))?;
                }
                Event::End(_) => {
                    let element = stack.pop().ok_or(Bad::Malformed)?;
                    put(&mut stack, &mut root, Node::Element(element))?;
                }
                Event::Text(text) => put(&mut stack, &mut root, Node::Text(text.xml10_content().into_owned()))?,
                Event::CData(text) => put(&mut stack, &mut root, Node::Text(text.xml10_content().into_owned()))?,
                Event::GeneralRef(reference) => {
                    count += 1;
                    put(&mut stack, &mut root, Node::Text(character(&reference)?.to_string()))?;
                }
                // Entities, external ones above all, begin with a document type (RFC 4918 §20.6).
                Event::DocType(_) => return Err(Bad::Malformed),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
            if count > most {
                return Err(Bad::TooLarge);
            }
        }
        root.filter(|_| stack.is_empty()).ok_or(Bad::Malformed)
    }

    pub(super) fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }

    pub(super) fn name(&self) -> PropertyName {
        PropertyName { namespace: self.namespace.clone(), local: self.local.clone() }
    }

    /// The elements in it.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first element of a name in it.
    pub(super) fn child(&self, namespace: &str, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.is(namespace, local))
    }

    /// The text directly in it.
    pub(super) fn text(&self) -> String {
        let text = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        text.collect()
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its contents, as XML that is valid in any context.
    pub(super) fn inner(&self) -> String {
        let mut out = String::new();
        for node in &self.children {
            write_node(node, &mut out);
        }
        out
    }
}

fn write_node(node: &Node, out: &mut String) {
    match node {
        Node::Text(text) => out.push_str(&escape(text.as_str())),
        Node::Element(element) => {
            // Strings take everything.
            let _ = write!(out, "<{} xmlns=\"{}\"", element.local, escape(element.namespace.as_str()));
            for (name, value) in &element.attributes {
                let _ = write!(out, " {name}=\"{}\"", escape(value.as_str()));
            }
            out.push('>');
            for node in &element.children {
                write_node(node, out);
            }
            let _ = write!(out, "</{}>", element.local);
        }
    }
}

/// Whether a document can hold the text: XML 1.0 §2.2 has no control characters, not even by reference.
fn is_text(text: &str) -> bool {
    text.chars().all(|c| c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') || matches!(c, '\t' | '\r' | '\n'))
}

/// The character of a reference. By name only the five of XML itself: nobody may declare others.
fn character(reference: &BytesRef<'_>) -> Result<char, Bad> {
    if let Some(c) = reference.resolve_char_ref().map_err(|_| Bad::Malformed)? {
        return Ok(c);
    }
    match &*reference.xml10_content() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Bad::Malformed),
    }
}

fn put(stack: &mut [Element], root: &mut Option<Element>, node: Node) -> Result<(), Bad> {
    if matches!(&node, Node::Text(text) if !is_text(text)) {
        return Err(Bad::Malformed);
    }
    match (stack.last_mut(), node) {
        (Some(parent), Node::Text(text)) => match parent.children.last_mut() {
            Some(Node::Text(before)) => before.push_str(&text),
            _ => parent.children.push(Node::Text(text)),
        },
        (Some(parent), node) => parent.children.push(node),
        (None, Node::Element(element)) if root.is_none() => *root = Some(element),
        (None, Node::Text(text)) if text.trim().is_empty() => {}
        _ => return Err(Bad::Malformed),
    }
    Ok(())
}

fn read(namespace: &ResolveResult<'_>, start: &BytesStart<'_>, count: &mut usize, most: usize) -> Result<Element, Bad> {
    let namespace = match namespace {
        // Every element keeps its own copy.
        ResolveResult::Bound(namespace) if namespace.as_ref().len() > LONGEST_NAMESPACE => return Err(Bad::TooLarge),
        ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return Err(Bad::Malformed),
    };
    let mut element = Element { namespace, local: plain(start.local_name().as_ref())?, ..Element::default() };
    *count += 1;
    for (at, attribute) in start.attributes().enumerate() {
        let attribute = attribute.map_err(|_| Bad::Malformed)?;
        *count += 1;
        // Each is compared with all before it.
        if *count > most || at >= MOST_ATTRIBUTES {
            return Err(Bad::TooLarge);
        }
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| Bad::Malformed)?.into_owned();
        let name = plain(attribute.key.local_name().as_ref())?;
        // Written again without prefixes, two of one name would be no XML.
        if !is_text(&value) || element.attribute(&name).is_some() {
            return Err(Bad::Malformed);
        }
        element.attributes.push((name, value));
    }
    Ok(element)
}

/// A name that can be written again as it is; the reader itself is not so strict.
fn plain(name: &str) -> Result<String, Bad> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if begins && name.chars().all(fits) && name.len() <= LONGEST_NAME {
        Ok(name.to_owned())
    } else {
        Err(Bad::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<d:propfind xmlns:d=\"DAV:\"><d:prop><d:a/><x xmlns=\"u:y\" b=\"1&lt;\">t &amp; &#228;<![CDATA[<]]></x></d:prop></d:propfind>";
        let root = Element::parse(text.as_bytes(), 100).unwrap();
        assert!(root.is(DAV, "propfind"));
        let prop = root.child(DAV, "prop").unwrap();
        let x = prop.child("u:y", "x").unwrap();
        assert_eq!((x.text().as_str(), x.attribute("b")), ("t & ä<", Some("1<")));
        assert_eq!(prop.inner(), "<a xmlns=\"DAV:\"></a><x xmlns=\"u:y\" b=\"1&lt;\">t &amp; ä&lt;</x>");
        let again = Element::parse(format!("<p>{}</p>", prop.inner()).as_bytes(), 100).unwrap();
        assert_eq!(again.children, prop.children);
    }

    #[test]
    fn what_is_dangerous_is_refused() {
        let attributes = |count: usize| (0..count).map(|n| format!(" a{n}=\"\"")).collect::<String>();
        assert!(Element::parse(format!("<a{}/>", attributes(100)).as_bytes(), 1000).is_ok());
        assert_eq!(Element::parse(format!("<a{}/>", attributes(101)).as_bytes(), 1000), Err(Bad::TooLarge));
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        let many = format!("<a>{}</a>", "<b/>".repeat(200));
        for (text, wanted) in [
            ("", Bad::Malformed),
            ("<a>", Bad::Malformed),
            ("<a></b>", Bad::Malformed),
            ("<a/><b/>", Bad::Malformed),
            ("<x:a/>", Bad::Malformed),
            ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", Bad::Malformed),
            ("<a>&x;</a>", Bad::Malformed),
            ("<a>&#1;</a>", Bad::Malformed),
            ("<a b='&#2;'/>", Bad::Malformed),
            ("<a xmlns:x='u:x' xmlns:y='u:y' x:b='1' y:b='2'/>", Bad::Malformed),
            (&format!("<a xmlns='{}'/>", "u".repeat(256)), Bad::TooLarge),
            (&deep, Bad::TooLarge),
            (&many, Bad::TooLarge),
        ] {
            assert_eq!(Element::parse(text.as_bytes(), 100), Err(wanted), "{text}");
        }
        assert_eq!(Element::parse(b"<a>\xff</a>", 100), Err(Bad::Malformed));
    }
}
