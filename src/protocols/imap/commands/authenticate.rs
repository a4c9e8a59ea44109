//! STARTTLS, AUTHENTICATE, LOGIN (RFC 9051 §6.2), UNAUTHENTICATE (RFC 8437).

use tokio::time::Instant;

use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Login;
use crate::foundations::secret::Secret;
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::sasl::{Error, Exchange, Mechanism, Step};
use crate::protocols::imap::account::{Account, Enabled};
use crate::protocols::imap::attention::Attention;
use crate::protocols::imap::capability::{Passwords, StartTls};
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::services::cluster::Client;
use crate::services::guard::Service;
use crate::services::login::{LoggedIn, LoginAttempt};

/// Begins TLS. The tagged OK goes out before the handshake, everything else after it.
pub async fn start_tls(talk: &mut Conversation, tag: &str) -> Outcome {
    let context = match (talk.start_tls(), &talk.room.needs.tls) {
        (StartTls::Possible, Some(context)) => context.clone(),
        _ => return Err(Trouble::bad("TLS is not available here")),
    };
    talk.link.out.tagged(tag, Condition::Ok, None, "Begin TLS negotiation now");
    talk.link.flush().await?;
    talk.link.start_tls(&context).await?;
    Ok(Done::silent())
}

/// LOGIN.
pub async fn login(talk: &mut Conversation, tag: &str, username: &[u8], password: &Secret<Vec<u8>>) -> Outcome {
    demand_tls(talk)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Trouble::bad("UTF-8 is required"));
    let (username, password) = (text(username)?, Secret::new(text(password.expose())?));
    let attempt = LoginAttempt { username, password, peer: talk.peer, session: talk.session, service: Service::Imap };
    verify(talk, tag, attempt).await
}

/// AUTHENTICATE with one of our mechanisms.
pub async fn authenticate(
    talk: &mut Conversation,
    tag: &str,
    mechanism: &str,
    initial: Option<&Secret<Vec<u8>>>,
) -> Outcome {
    let Some(mechanism) = Mechanism::from_name(mechanism) else {
        return Err(Trouble::coded("CANNOT", "This mechanism is not supported"));
    };
    demand_tls(talk)?;
    let begun = Exchange::begin(mechanism, initial.map(|initial| initial.expose().as_slice()));
    let (mut exchange, mut step) = begun.map_err(sasl_trouble)?;
    let credentials = loop {
        match step {
            Step::Challenge(challenge) => {
                // RFC 9051 §6.2.2: an empty challenge is `+` and a space.
                talk.link.out.raw("+ ").raw(challenge).line_end();
                let line = talk.line().await?;
                step = exchange.respond(&line).map_err(sasl_trouble)?;
            }
            Step::Done(credentials) => break credentials,
        }
    };
    let attempt = LoginAttempt::by_sasl(credentials, talk.peer, talk.session, Service::Imap);
    let attempt = attempt.map_err(|refusal| Trouble::coded("AUTHORIZATIONFAILED", refusal.public))?;
    verify(talk, tag, attempt).await
}

fn sasl_trouble(error: Error) -> Trouble {
    // RFC 9051 §6.2.2: cancelled and malformed exchanges are BAD.
    Trouble::bad(error.to_string())
}

fn demand_tls(talk: &Conversation) -> Result<(), Trouble> {
    match talk.passwords() {
        Passwords::Accepted => Ok(()),
        Passwords::NeedTls => Err(Trouble::coded("PRIVACYREQUIRED", "Start TLS first")),
    }
}

async fn verify(talk: &mut Conversation, tag: &str, attempt: LoginAttempt) -> Outcome {
    // Whatever was answered before goes out before a wrong password's delay.
    talk.link.flush().await?;
    let logged_in = match talk.room.needs.login.verify(attempt).await {
        Ok(logged_in) => logged_in,
        Err(refusal) => return Err(refused(talk, refusal)),
    };
    if let Some(cluster) = talk.room.needs.cluster.clone() {
        let client = Client {
            service: Service::Imap,
            peer: talk.peer,
            session: talk.session,
            tag,
            is_encrypted: talk.is_encrypted(),
            is_compressed: talk.link.is_compressed(),
        };
        // The other node answers the command.
        talk.away = cluster.hand_login_over(&logged_in, &client).await?;
        if talk.away.is_some() {
            return Ok(Done::silent());
        }
    }
    enter(talk, logged_in).await
}

/// Lets in a user whose login is valid and whose mailboxes are here.
pub async fn enter(talk: &mut Conversation, logged_in: LoggedIn) -> Outcome {
    let LoggedIn { address, stay } = logged_in;
    let login = Login::user(address);
    let most = talk.settings.connections_per_user;
    let Some(place) = talk.room.connections.enter(&login.address, most) else {
        return Err(Trouble::coded("LIMIT", "This account has too many connections; close one"));
    };
    let user = match talk.room.needs.mailboxes.user(&login.address).await {
        Ok(user) => user,
        Err(error) => return Err(super::trouble(talk, &error)),
    };
    talk.stop = stay.until(&talk.stop);
    talk.visit = Some(user.visit(talk.stop.clone()));
    talk.stay = Some(stay);
    talk.state = State::Authenticated(Box::new(Account {
        login,
        user,
        enabled: Enabled::default(),
        attention: Attention::default(),
        active: Instant::now(),
        _place: place,
    }));
    talk.apply_limits();
    Ok(Done::with(Code::Capability(talk.capabilities()), "Logged in"))
}

/// UNAUTHENTICATE (RFC 8437): the connection is as before the login. TLS, compression and the count of failed logins stay.
pub fn unauthenticate(talk: &mut Conversation) -> Done {
    talk.visit = None;
    // What happens to the account no longer concerns this connection.
    talk.stay = None;
    talk.state = State::NotAuthenticated { until: Instant::now() + talk.settings.login_timeout.duration() };
    talk.link.out.set_utf8_texts(false);
    talk.apply_limits();
    Done::with(Code::Capability(talk.capabilities()), "Logged out; log in again")
}

fn refused(talk: &mut Conversation, refusal: Refusal) -> Trouble {
    if refusal.kind == Kind::AuthenticationFailed {
        talk.failures += 1;
    }
    if let Some(cause) = &refusal.cause {
        log::warn!(session:% = talk.session, cause:% = cause; "A login could not be checked");
    }
    let trouble = Trouble::from(refusal);
    if talk.failures >= talk.settings.login_failures.max(1) {
        talk.link.out.untagged(Condition::Bye, None, "Too many failed logins");
        talk.state = State::Logout;
    }
    trouble
}
