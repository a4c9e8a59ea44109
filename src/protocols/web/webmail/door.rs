//! Access control.

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Room;
use super::answer::{Answer, Asked, Problem};
use super::reasons;
use super::serve::Visit;
use crate::foundations::address::Address;
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Login;
use crate::foundations::settings::ByteSize;
use crate::protocols::web::bodies::Untaken;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::form::{drain, is_own_form};
use crate::protocols::web::logins::Session;
use crate::protocols::web::token::{digest, tokens};
use crate::services::login::Need;
use crate::storage::directory::Account;
use crate::storage::logins::Ending;
use crate::storage::mailbox::{Access, FolderName, User, View};

/// The signed-in user, who may be allowed only to turn on two-factor login so far.
pub(super) struct Member {
    pub(super) session: SessionId,
    /// Digest of the login's token.
    pub(super) digest: Arc<str>,
    pub(super) account: Arc<Account>,
    /// Whether the address that was asked for names the account.
    is_named: bool,
}

/// Whose page asks: the account's address as `/account` tells it. A browser has one login for all its windows, and one of them may still
/// show the page of whoever was signed in before.
#[derive(Deserialize)]
pub(super) struct Whose {
    of: Option<String>,
}

impl Whose {
    /// Whether the page may be of this account: pages that do not say it are of any.
    pub(super) fn may_be(&self, account: &str) -> bool {
        self.of.as_deref().is_none_or(|of| of.eq_ignore_ascii_case(account))
    }
}

impl FromRequestParts<Arc<Room>> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, room: &Arc<Room>) -> Answer<Self> {
        let member = Self::signed_in(parts, room).await?;
        let Asked(Whose { of }) = Asked::from_request_parts(parts, room).await?;
        match of {
            Some(of) if of != member.account.address.to_string() => Err(signed_out()),
            of => Ok(Self { is_named: of.is_some(), ..member }),
        }
    }
}

impl Member {
    /// The user of this login, whichever account the page shows.
    async fn signed_in(parts: &mut Parts, room: &Arc<Room>) -> Answer<Self> {
        // What guards the door has noted who asks.
        let caller = parts.extensions.get::<Caller>().copied().ok_or_else(signed_out)?;
        let session = session(room, &caller, &parts.headers).await?.ok_or_else(signed_out)?;
        if let Some(account) = account(room, &session).await? {
            note(parts, &account);
            return Ok(Self { session: session.login.id, digest: session.digest, account, is_named: false });
        }
        // This very login may have changed the password through another process, and is good with the new one.
        let (now, limits) = (room.needs.clock.now(), room.limits());
        let session = room.logins.anew(&session.digest, now, &limits).await?.ok_or_else(signed_out)?;
        match account(room, &session).await? {
            Some(account) => {
                note(parts, &account);
                Ok(Self { session: session.login.id, digest: session.digest, account, is_named: false })
            }
            None => {
                room.logins.end(&session.login.account, Ending::One(session.login.id)).await?;
                Err(signed_out())
            }
        }
    }
}

/// Whose memory the body of a request takes, and that of its answer.
fn note(parts: &mut Parts, account: &Arc<Account>) {
    parts.extensions.insert(Arc::clone(account));
    if let Some(asking) = parts.extensions.get::<Asking>() {
        // The same one each time.
        asking.0.get_or_init(|| account.address.key());
    }
}

/// Who has made a request, once that is known.
#[derive(Debug, Clone, Default)]
struct Asking(Arc<OnceLock<String>>);

/// The signed-in user.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) login: Login,
    pub(super) session: SessionId,
    /// Digest of the login's token.
    pub(super) digest: Arc<str>,
    pub(super) account: Arc<Account>,
    pub(super) user: Arc<User>,
    /// Whether the address that was asked for names the account.
    pub(super) is_named: bool,
}

impl Reader {
    /// Opens one of the reader's folders.
    pub(super) async fn open(&self, folder: &str, access: Access) -> Answer<View> {
        Ok(self.user.open(&folder_name(folder)?, access).await?)
    }

    /// How long a browser may show an answer again without asking. Folders and numbers of messages are the same in every mailbox, so an
    /// answer is kept only at an address that names its account, and for the login that it was given to (RFC 9110 §12.5.5).
    pub(super) const fn kept(&self, kept: &'static str) -> [(HeaderName, &'static str); 2] {
        [(header::CACHE_CONTROL, if self.is_named { kept } else { "no-store" }), (header::VARY, "cookie")]
    }

    /// The same for what belongs to a message. Its address is of that message for good only if it names the UIDVALIDITY of the folder:
    /// one that is made anew under the same name gives the numbers to other messages (RFC 9051 §2.3.1.1).
    pub(super) const fn kept_of(&self, uid_validity: Option<u32>) -> [(HeaderName, &'static str); 2] {
        self.kept(if uid_validity.is_some() { KEPT } else { "no-store" })
    }

    /// The most this mailbox may hold.
    pub(super) fn quota(&self) -> Option<ByteSize> {
        self.account.quota
    }
}

/// The folder that is made with a name, or gets it. Nobody could see, nor choose, one of blanks.
pub(super) fn new_folder_name(name: &str) -> Answer<FolderName> {
    if name.split(FolderName::SEPARATOR).any(|level| !level.is_empty() && level.chars().all(is_blank)) {
        return Err(Problem::of(&reasons::BLANK_FOLDER_NAME));
    }
    folder_name(name)
}

/// Whether nothing of a character is seen.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{2800}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}')
}

/// The folder a name means.
pub(super) fn folder_name(name: &str) -> Answer<FolderName> {
    FolderName::parse(name).map_err(|error| Problem::of(&reasons::FOLDER_NAME).with("why", error.said()))
}

impl FromRequestParts<Arc<Room>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, room: &Arc<Room>) -> Answer<Self> {
        let Member { session, digest, account, is_named } = Member::from_request_parts(parts, room).await?;
        if room.needs.login.need(&account) == Need::Enrolment {
            return Err(Problem::of(&reasons::NEEDS_TWO_FACTOR));
        }
        let user = room.needs.mailboxes.user(&account.address).await?;
        let login = Login::user(account.address.clone());
        Ok(Self { login, session, digest, account, user, is_named })
    }
}

/// The account of a login, as long as it and its domain are in use and its password is the one the login was made with. When the login was
/// looked up again, so is the account: both end within `login.look_again`, whoever has changed them.
pub(super) async fn account(room: &Room, session: &Session) -> Answer<Option<Arc<Account>>> {
    let login = &session.login;
    let Ok(address) = login.account.parse::<Address>() else { return Ok(None) };
    let holds = |account: &Account| {
        let has_passed = account.two_factor_since.is_none() || account.two_factor_since == login.two_factor_since;
        account.may_log_in() && has_passed && digest(account.password.expose()) == login.password
    };
    let directory = &room.needs.directory;
    if !directory.domain(address.domain()).await?.is_some_and(|domain| domain.is_active()) {
        return Ok(None);
    }
    if !session.is_fresh
        && let Some(account) = directory.account(&address).await?.filter(|account| holds(account))
    {
        return Ok(Some(account));
    }
    // The cached data may be older than the login.
    Ok(directory.account_now(&address).await?.filter(holds).map(Arc::new))
}

fn signed_out() -> Problem {
    Problem::of(&reasons::SIGNED_OUT)
}

/// The login of a request.
pub(super) async fn session(room: &Room, caller: &Caller, headers: &HeaderMap) -> Answer<Option<Session>> {
    let (now, limits, pace) = (room.needs.clock.now(), room.limits(), room.pace());
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    for token in cookies.flat_map(|cookies| tokens(cookie_name(caller), cookies)).take(MOST_TOKENS) {
        if let Some(session) = room.logins.used(token, now, &limits, pace).await? {
            return Ok(Some(session));
        }
    }
    Ok(None)
}

/// Where browsers keep a token. Over an encrypted connection it has a name that no other host of the domain can set, nor anybody in
/// the way of an unencrypted one (`__Host-`, draft-ietf-httpbis-rfc6265bis §4.1.3.2). Without encryption browsers take no such cookie.
pub(super) const fn cookie_name(caller: &Caller) -> &'static str {
    if caller.is_encrypted { "__Host-postrider_webmail" } else { "postrider_webmail" }
}

/// Most tokens of one request. A browser sends several cookies of one name only for parent domains.
const MOST_TOKENS: usize = 4;

/// Turns requests away that a page of ours has not sent, and gives every answer the headers that keep browsers in bounds.
pub(super) async fn guard(
    State((room, visit)): State<(Arc<Room>, Visit)>,
    mut request: Request,
    next: Next,
) -> Response {
    let settings = room.needs.settings.get();
    let caller = visit.caller(request.headers(), &settings.proxies);
    request.extensions_mut().insert(caller);
    let asking = Asking::default();
    request.extensions_mut().insert(asking.clone());
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    // No other site can add this field without asking first, and is told no (Fetch §3.2.2).
    let is_ours = is_own_form(request.headers()) && request.headers().contains_key(MARK);
    let mut response = if changes && !is_ours {
        drain(request.into_body()).await;
        Problem::new(StatusCode::FORBIDDEN, "Another site has sent this request.").into_response()
    } else {
        let response = next.run(request).await;
        match asking.0.get() {
            None => response,
            Some(account) => match room.needs.bodies.answer(account, response).await {
                Ok(response) => response,
                Err(Untaken) => Problem::of(&reasons::TOO_MUCH_WAITS).into_response(),
            },
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if caller.is_encrypted {
        let strict = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().entry(header::STRICT_TRANSPORT_SECURITY).or_insert(strict);
    }
    response
}

/// For content that never changes at its address.
const KEPT: &str = "private, max-age=300";

/// Every request that changes something carries this field.
const MARK: &str = "x-postrider";

/// Only the page's own resources may run or be loaded.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; frame-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
