//! Answers that are no success, and questions read from a request.

use std::sync::Arc;

use axum::RequestExt as _;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::Room;
use crate::foundations::failure::{Kind, Refusal};
use crate::protocols::web::bodies::{Arrived, Unread};
use crate::protocols::web::form::problem;
use crate::services::login::KeyError;
use crate::storage::directory::Account;
use crate::storage::{database, dav, directory, mailbox, scripts};

/// Why a wish is not fulfilled: a status and a sentence for whoever sits before the page.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    public: String,
}

/// What a handler returns.
pub(super) type Answer<T> = Result<T, Problem>;

impl Problem {
    pub(super) fn new(status: StatusCode, public: impl Into<String>) -> Self {
        Self { status, public: public.into() }
    }

    pub(super) fn bad(public: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, public)
    }

    pub(super) fn missing(public: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, public)
    }

    pub(super) fn too_large(public: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, public)
    }

    /// Something of ours does not work; the cause is for the log.
    pub(super) fn ours(cause: &dyn std::fmt::Display) -> Self {
        log::error!("webmail: {cause}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The server has a passing problem. Try again in a moment.")
    }

    pub(super) fn sentence(&self) -> &str {
        &self.public
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = problem(self.status, self.public);
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
            // RFC 9110 §10.2.3.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// The node that has somebody's mailboxes is not there, or another one by now.
pub(super) fn with_another_node() -> Problem {
    let public = "Your mailboxes are with another server of this house at the moment. Try again soon.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, public)
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
        Self::new(status(refusal.kind), refusal.public.into_owned())
    }
}

impl From<mailbox::Error> for Problem {
    fn from(error: mailbox::Error) -> Self {
        if let mailbox::Error::Elsewhere(_) | mailbox::Error::Cluster(_) | mailbox::Error::Lapsed(_) = &error {
            log::warn!("webmail: {error}");
            return with_another_node();
        }
        let public = match error.kind() {
            Kind::OverQuota => "Your mailbox is full. Delete something, and empty the trash.".to_owned(),
            Kind::NotFound | Kind::Exists | Kind::Invalid | Kind::TooMany | Kind::NoPermission => capital(&error),
            _ => return Self::ours(&error),
        };
        Self::new(status(error.kind()), public)
    }
}

impl From<scripts::Error> for Problem {
    fn from(error: scripts::Error) -> Self {
        match error {
            // Paths are for the log.
            scripts::Error::File(_) | scripts::Error::BadUser(_) | scripts::Error::Closing => Self::ours(&error),
            told => Self::new(status(told.kind()), capital(&told)),
        }
    }
}

impl From<database::Error> for Problem {
    fn from(error: database::Error) -> Self {
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
        match error.kind() {
            Kind::NotFound | Kind::Exists | Kind::Invalid | Kind::TooMany => {
                Self::new(status(error.kind()), capital(&error))
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

/// A message as a sentence.
fn capital(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect::<String>() + ".")
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

/// A wish in JSON.
pub(super) struct Wish<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Room>> for Wish<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, room: &Arc<Room>) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let Octets(arrived) = Octets::from_request(Request::from_parts(parts.clone(), body), room).await?;
        // Kept until it is read.
        let Arrived { octets, share: _share } = arrived;
        let read = axum::Json::<T>::from_request(Request::from_parts(parts, octets.into()), room).await;
        read.map(|axum::Json(wish)| Self(wish)).map_err(|error| Problem::new(error.status(), error.body_text()))
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
            Unread::TooLarge => Problem::too_large("The request is too large."),
            Unread::NoRoom => Problem::new(StatusCode::SERVICE_UNAVAILABLE, unread.to_string()),
            Unread::Broken => Problem::bad(unread.to_string()),
        })
    }
}
