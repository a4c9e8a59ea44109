//! Error answers.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quick_xml::escape::escape;

use super::place::NoPlace;
use super::xml::{Bad, CALDAV, CARDDAV, DAV};
use crate::foundations::failure::{Kind, Refusal};
use crate::services::dav::Unfit;
use crate::services::dav::scheduling::Unscheduled;
use crate::storage::dav::{CollectionKind, Error};
use crate::storage::{database, directory};

/// Why a request fails.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The violated rule, as an element (RFC 4918 §16): namespace, name, and contents.
    rule: Option<(&'static str, &'static str, String)>,
    /// For people.
    pub(super) public: String,
    /// Whether the client may try again with a password.
    ask: bool,
}

/// What a method returns.
pub(super) type Answer<T> = Result<T, Problem>;

impl Problem {
    pub(super) fn new(status: StatusCode, public: impl Into<String>) -> Self {
        Self { status, rule: None, public: public.into(), ask: false }
    }

    pub(super) fn rule(mut self, namespace: &'static str, name: &'static str) -> Self {
        self.rule = Some((namespace, name, String::new()));
        self
    }

    /// A rule, and the resource that is in the way.
    pub(super) fn rule_about(mut self, namespace: &'static str, name: &'static str, href: &str) -> Self {
        self.rule = Some((namespace, name, format!("<href xmlns=\"DAV:\">{}</href>", escape(href))));
        self
    }

    pub(super) fn unsigned() -> Self {
        Self {
            ask: true,
            ..Self::new(StatusCode::UNAUTHORIZED, "Log in with the address and password of a mailbox here.")
        }
    }

    pub(super) fn bad(public: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, public)
    }

    pub(super) fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here.")
    }

    pub(super) fn not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "This cannot be done here.")
    }

    pub(super) fn ours(cause: &dyn std::fmt::Display) -> Self {
        log::error!("dav: {cause}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The server has a temporary problem. Try again in a moment.")
    }

    /// An object that is none.
    pub(super) fn unfit(kind: CollectionKind, unfit: &Unfit) -> Self {
        let (namespace, name) = match (kind, unfit) {
            (CollectionKind::AddressBook, Unfit::Version(_)) => (CARDDAV, "supported-address-data"),
            (CollectionKind::AddressBook, _) => (CARDDAV, "valid-address-data"),
            (_, Unfit::Malformed(_)) => (CALDAV, "valid-calendar-data"),
            (_, Unfit::Rule(_)) => (CALDAV, "valid-calendar-object-resource"),
            (_, Unfit::Version(_)) => (CALDAV, "supported-calendar-data"),
        };
        Self::new(StatusCode::FORBIDDEN, unfit.to_string()).rule(namespace, name)
    }

    /// Another object has the UID (RFC 4791 §5.3.2.1, RFC 6352 §6.3.2.1).
    pub(super) fn uid_conflict(kind: CollectionKind, href: &str) -> Self {
        let namespace = namespace(kind);
        let why = "Another object has the same UID, or this one had a different UID.";
        Self::new(StatusCode::CONFLICT, why).rule_about(namespace, "no-uid-conflict", href)
    }
}

/// The namespace of the rules for a kind.
pub(super) const fn namespace(kind: CollectionKind) -> &'static str {
    match kind {
        CollectionKind::Calendar | CollectionKind::ScheduleInbox => CALDAV,
        CollectionKind::AddressBook => CARDDAV,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let rule = self.rule.map_or_else(String::new, |(namespace, name, inside)| {
            format!("<{name} xmlns=\"{namespace}\">{inside}</{name}>")
        });
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<error xmlns=\"{DAV}\">{rule}\
             <responsedescription>{}</responsedescription></error>\n",
            escape(self.public.as_str())
        );
        let kind = [(header::CONTENT_TYPE, "application/xml; charset=utf-8")];
        let mut response = (self.status, kind, body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            // RFC 9110 §10.2.3.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self.ask {
            let basic = HeaderValue::from_static("Basic realm=\"Postrider\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        if let Some(cause) = &refusal.cause {
            log::warn!("dav: {refusal}: {cause}");
        }
        let status = match refusal.kind {
            Kind::AuthenticationFailed => return Self::unsigned(),
            Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Kind::NoPermission => StatusCode::FORBIDDEN,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal.public.into_owned())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NoCollection | Error::NoObject => StatusCode::NOT_FOUND,
            // RFC 4918 §9.3.1: an existing resource cannot be created.
            Error::Exists => {
                return Self::new(StatusCode::METHOD_NOT_ALLOWED, error.to_string()).rule(DAV, "resource-must-be-null");
            }
            Error::Condition => StatusCode::PRECONDITION_FAILED,
            Error::UidTaken(_) => StatusCode::CONFLICT,
            Error::TooManyCollections(_) | Error::TooManyObjects(_) | Error::TooManyProperties(_) | Error::Full(_) => {
                return Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()).rule(DAV, "quota-not-exceeded");
            }
            // RFC 6578 §3.2.
            Error::UnknownToken => {
                return Self::new(StatusCode::FORBIDDEN, error.to_string()).rule(DAV, "valid-sync-token");
            }
            Error::Database(error) => return Self::from(error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<database::Error> for Problem {
    fn from(error: database::Error) -> Self {
        match error.kind() {
            Kind::NoSpace => Self::new(StatusCode::INSUFFICIENT_STORAGE, "The server has no space left."),
            _ => Self::ours(&error),
        }
    }
}

impl From<Unscheduled> for Problem {
    fn from(error: Unscheduled) -> Self {
        match error {
            Unscheduled::Rule(rule, why) => Self::new(StatusCode::FORBIDDEN, why).rule(CALDAV, rule),
            Unscheduled::Routing(_) | Unscheduled::Work(_) => Self::ours(&error),
        }
    }
}

impl From<directory::Error> for Problem {
    fn from(error: directory::Error) -> Self {
        Self::ours(&error)
    }
}

impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::ours(&error)
    }
}

impl From<NoPlace> for Problem {
    fn from(no: NoPlace) -> Self {
        match no {
            NoPlace::Nothing => Self::missing(),
            NoPlace::BadName => Self::new(
                StatusCode::FORBIDDEN,
                "A name here may have at most 200 characters, no control characters or slashes, and no spaces at its ends.",
            ),
        }
    }
}

impl From<Bad> for Problem {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Malformed => Self::bad("This XML cannot be read."),
            Bad::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "This request has too many elements."),
        }
    }
}
