//! Answers about several resources (RFC 4918 §13).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use quick_xml::escape::escape;

use super::xml::{CALDAV, CALENDAR_SERVER, CARDDAV, DAV};
use crate::storage::dav::PropertyName;

/// An answer that is being written.
pub(super) struct Multistatus {
    text: String,
    most: usize,
}

/// The element of a property, with its contents.
pub(super) fn element(name: &PropertyName, inside: &str) -> String {
    let prefix = match name.namespace.as_str() {
        DAV => "D",
        CALDAV => "C",
        CARDDAV => "A",
        CALENDAR_SERVER => "S",
        other => {
            let space = escape(other);
            let local = &name.local;
            return format!("<{local} xmlns=\"{space}\">{inside}</{local}>");
        }
    };
    match inside {
        "" => format!("<{prefix}:{}/>", name.local),
        inside => format!("<{prefix}:{0}>{inside}</{prefix}:{0}>", name.local),
    }
}

impl Multistatus {
    pub(super) fn new(most: usize) -> Self {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"{DAV}\" xmlns:C=\"{CALDAV}\" \
             xmlns:A=\"{CARDDAV}\" xmlns:S=\"{CALENDAR_SERVER}\">"
        );
        Self { text, most }
    }

    /// Whether so many octets more are within the limit.
    pub(super) const fn has_room(&self, octets: usize) -> bool {
        self.text.len().saturating_add(octets) <= self.most
    }

    /// A resource with its properties, by their status.
    pub(super) fn properties(&mut self, href: &str, groups: &[(StatusCode, String)]) {
        self.text.push_str(&format!("<D:response><D:href>{}</D:href>", escape(href)));
        let mut any = false;
        for (status, properties) in groups.iter().filter(|(_, properties)| !properties.is_empty()) {
            any = true;
            let line = status_line(*status);
            self.text.push_str(&format!("<D:propstat><D:prop>{properties}</D:prop>{line}</D:propstat>"));
        }
        if !any {
            let line = status_line(StatusCode::OK);
            self.text.push_str(&format!("<D:propstat><D:prop/>{line}</D:propstat>"));
        }
        self.text.push_str("</D:response>\n");
    }

    /// A resource that there is nothing to say about but a status, and the rule behind it.
    pub(super) fn status(&mut self, href: &str, status: StatusCode, rule: &str) {
        let error = if rule.is_empty() { String::new() } else { format!("<D:error>{rule}</D:error>") };
        let (href, line) = (escape(href), status_line(status));
        self.text.push_str(&format!("<D:response><D:href>{href}</D:href>{line}{error}</D:response>\n"));
    }

    /// The token of a synchronisation.
    pub(super) fn token(&mut self, token: &str) {
        self.text.push_str(&format!("<D:sync-token>{}</D:sync-token>", escape(token)));
    }

    pub(super) fn finish(mut self) -> Response {
        self.text.push_str("</D:multistatus>\n");
        let kind = [(header::CONTENT_TYPE, "application/xml; charset=utf-8")];
        (StatusCode::MULTI_STATUS, kind, self.text).into_response()
    }
}

fn status_line(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("<D:status>HTTP/1.1 {} {reason}</D:status>", status.as_str())
}
