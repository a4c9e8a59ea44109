//! Error answers, and parameters read from a request.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt as _};
use serde::de::DeserializeOwned;

use super::Room;
use super::reasons::{self, Reason};
use crate::foundations::address::InvalidAddress;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::random::NoRandomness;
use crate::foundations::said::{IntoValue, Value};
use crate::protocols::web::bodies::{Arrived, Unread};
use crate::services::login::KeyError;
use crate::storage::directory::{Account, NewAppPassword};
use crate::storage::{database, dav, directory, mailbox, scripts};

/// Why a request fails: a status and a sentence for the user.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    wording: Wording,
    /// Values in the sentence.
    values: Vec<(&'static str, Value)>,
}

#[derive(Debug)]
enum Wording {
    /// What the page translates.
    Reason(&'static Reason),
    /// What only programs get to see, or what others have said.
    Plain(String),
}

/// What a handler returns.
pub(super) type Answer<T> = Result<T, Problem>;

impl Problem {
    pub(super) const fn of(reason: &'static Reason) -> Self {
        Self { status: reason.status, wording: Wording::Reason(reason), values: Vec::new() }
    }

    /// The same with something that its sentence names.
    pub(super) fn with(mut self, name: &'static str, value: impl IntoValue) -> Self {
        self.values.push((name, value.into_value()));
        self
    }

    pub(super) fn new(status: StatusCode, public: impl Into<String>) -> Self {
        Self { status, wording: Wording::Plain(public.into()), values: Vec::new() }
    }

    pub(super) fn bad(public: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, public)
    }

    /// Something of ours does not work; the cause is for the log.
    pub(super) fn ours(cause: &dyn std::fmt::Display) -> Self {
        log::error!("webmail: {cause}");
        Self::of(&reasons::PASSING)
    }

    /// The same status with another reason.
    pub(super) fn because(self, reason: &'static Reason, why: Value) -> Self {
        Self { status: self.status, ..Self::of(reason) }.with("why", why)
    }

    /// As a note on a request that was otherwise carried out.
    pub(super) fn note(self, reason: &'static Reason) -> serde_json::Value {
        let why = match self.wording {
            Wording::Plain(text) => Value::Text(text),
            Wording::Reason(reason) => Value::Said(reason.said(self.values)),
        };
        Self::of(reason).with("why", why).told()
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    pub(super) fn sentence(&self) -> String {
        match &self.wording {
            Wording::Plain(text) => text.clone(),
            Wording::Reason(reason) => reason.said(self.values.clone()).text,
        }
    }

    /// As JSON.
    fn told(&self) -> serde_json::Value {
        let mut told = serde_json::json!({ "error": self.sentence() });
        if let Wording::Reason(reason) = self.wording {
            let values = self.values.iter().map(|(name, value)| ((*name).to_owned(), serde_json::json!(value)));
            told["type"] = reason.word.into();
            told["values"] = values.collect::<serde_json::Map<_, _>>().into();
        }
        told
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.told())).into_response();
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
            // RFC 9110 §10.2.3.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// The node with the user's mailboxes is unreachable, or has changed.
pub(super) const fn with_another_node() -> Problem {
    Problem::of(&reasons::ELSEWHERE)
}

/// The typed text is not an address.
pub(super) fn no_address(text: &str, error: &InvalidAddress) -> Problem {
    Problem::of(&reasons::NO_ADDRESS).with("address", text).with("why", error.said())
}

/// The status for a kind of failure.
const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Exists => StatusCode::CONFLICT,
        Kind::OverQuota | Kind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        Kind::NoPermission => StatusCode::FORBIDDEN,
        Kind::AuthenticationFailed => StatusCode::UNAUTHORIZED,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Temporary | Kind::Corrupt => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Invalid => StatusCode::BAD_REQUEST,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        if let Some(cause) = &refusal.cause {
            log::warn!("webmail: {refusal}: {cause}");
        }
        match refusal.kind {
            Kind::Temporary | Kind::Corrupt => Self::of(&reasons::PASSING),
            Kind::TooMany => Self::of(&reasons::TOO_MANY_TRIES),
            kind => Self::new(status(kind), refusal.public.into_owned()),
        }
    }
}

impl From<mailbox::Error> for Problem {
    fn from(error: mailbox::Error) -> Self {
        if let mailbox::Error::Elsewhere(_) | mailbox::Error::Cluster(_) | mailbox::Error::Lapsed(_) = &error {
            log::warn!("webmail: {error}");
            return with_another_node();
        }
        match &error {
            mailbox::Error::OverQuota { .. } => Self::of(&reasons::MAILBOX_FULL),
            mailbox::Error::NoFolder(name) => Self::of(&reasons::NO_FOLDER).with("name", name),
            mailbox::Error::FolderExists(name) => Self::of(&reasons::FOLDER_EXISTS).with("name", name),
            mailbox::Error::IntoItself(name) => Self::of(&reasons::INTO_ITSELF).with("name", name),
            mailbox::Error::NoMessage(_) => Self::of(&reasons::MESSAGE_GONE),
            mailbox::Error::TooManyFolders(most) => Self::of(&reasons::TOO_MANY_FOLDERS).with("most", most),
            mailbox::Error::Inbox => Self::of(&reasons::INBOX_STAYS),
            mailbox::Error::ReadOnly(name) => Self::of(&reasons::FOLDER_READ_ONLY).with("name", name),
            mailbox::Error::TooManyKeywords(name) => Self::of(&reasons::TOO_MANY_KEYWORDS).with("name", name),
            mailbox::Error::UidsExhausted(name) => Self::of(&reasons::UIDS_EXHAUSTED).with("name", name),
            _ => Self::ours(&error),
        }
    }
}

impl From<scripts::Error> for Problem {
    fn from(error: scripts::Error) -> Self {
        match error {
            scripts::Error::NoScript(name) => Self::of(&reasons::NO_SCRIPT).with("name", name),
            scripts::Error::Exists(name) => Self::of(&reasons::SCRIPT_EXISTS).with("name", name),
            scripts::Error::Changed(name) => Self::of(&reasons::SCRIPT_CHANGED).with("name", name),
            scripts::Error::IsActive(name) => Self::of(&reasons::SCRIPT_ACTIVE).with("name", name),
            scripts::Error::TooMany(most) => Self::of(&reasons::TOO_MANY_SCRIPTS).with("most", most),
            scripts::Error::TooLarge(most) => Self::of(&reasons::SCRIPT_TOO_LARGE).with("most", most),
            scripts::Error::OverQuota(most) => Self::of(&reasons::SCRIPTS_TOO_LARGE).with("most", most),
            scripts::Error::Name(why) => Self::of(&reasons::SCRIPT_NAME).with("why", why.said()),
            // Paths are for the log.
            scripts::Error::File(_) | scripts::Error::BadUser(_) | scripts::Error::Closing => Self::ours(&error),
        }
    }
}

impl From<database::Error> for Problem {
    fn from(error: database::Error) -> Self {
        Self::ours(&error)
    }
}

impl From<NoRandomness> for Problem {
    fn from(error: NoRandomness) -> Self {
        Self::ours(&error)
    }
}

impl From<dav::Error> for Problem {
    fn from(error: dav::Error) -> Self {
        Self::ours(&error)
    }
}

impl From<directory::Error> for Problem {
    fn from(error: directory::Error) -> Self {
        Self::ours(&error)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match &error {
            KeyError::Directory(directory::Error::NoAppPassword(name)) => {
                Self::of(&reasons::NO_APP_PASSWORD).with("name", name)
            }
            KeyError::Directory(directory::Error::Exists(_)) => Self::of(&reasons::APP_PASSWORD_EXISTS),
            KeyError::Directory(directory::Error::Invalid { .. }) => {
                Self::of(&reasons::APP_PASSWORD_NAME).with("most", NewAppPassword::LONGEST_NAME)
            }
            KeyError::Directory(directory::Error::NoUser(_)) => Self::of(&reasons::ACCOUNT_GONE),
            KeyError::Directory(directory::Error::TooMany { most, .. }) => {
                Self::of(&reasons::TOO_MANY_APP_PASSWORDS).with("most", most)
            }
            _ => Self::ours(&error),
        }
    }
}

impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::ours(&error)
    }
}

/// The parameters of a question; malformed ones are refused as everything else is.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|error| Problem::bad(error.body_text()))
    }
}

/// A request in JSON.
pub(super) struct Wish<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Room>> for Wish<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, room: &Arc<Room>) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let Octets(arrived) = Octets::from_request(Request::from_parts(parts.clone(), body), room).await?;
        // Kept until it is read.
        let Arrived { octets, share: _share } = arrived;
        let read = Json::<T>::from_request(Request::from_parts(parts, octets.into()), room).await;
        read.map(|Json(wish)| Self(wish)).map_err(|error| Problem::new(error.status(), error.body_text()))
    }
}

/// The body as it is, and the memory it takes.
pub(super) struct Octets(pub(super) Arrived);

impl FromRequest<Arc<Room>> for Octets {
    type Rejection = Problem;

    async fn from_request(request: Request, room: &Arc<Room>) -> Answer<Self> {
        let account = request.extensions().get::<Arc<Account>>().map(|account| account.address.key());
        let read = room.needs.bodies.read(account.as_deref(), request.into_limited_body(), usize::MAX).await;
        read.map(Self).map_err(|unread| match unread {
            Unread::TooLarge => Problem::of(&reasons::BODY_TOO_LARGE),
            Unread::NoRoom => Problem::of(&reasons::TOO_MUCH_ARRIVES),
            Unread::Broken => Problem::of(&reasons::CAME_INCOMPLETE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::address::Address;

    #[test]
    fn what_is_in_a_value_is_left_as_it_is() {
        let text = "{why}@a b";
        let error = text.parse::<Address>().unwrap_err();
        let told = no_address(text, &error).told();
        assert_eq!(told["error"], format!("“{text}” is not a valid address: {error}."));
        assert_eq!(told["values"]["address"], text);
        assert_eq!(told["values"]["why"]["type"], "domain-syntax");
    }

    #[test]
    fn what_is_wrong_with_an_app_password_does_not_pass() {
        let gone = directory::Error::NoUser("ann@a.test".parse().unwrap());
        let nameless = directory::Error::Invalid { what: "the name", why: "it is empty".to_owned() };
        let problems = [gone, nameless].map(|error| Problem::from(KeyError::from(error)));
        assert_eq!(problems.each_ref().map(|problem| problem.status), [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST]);
        assert_eq!(problems[1].told()["values"]["most"], "60");
    }
}
