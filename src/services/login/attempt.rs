//! Attempts to log in.

use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::foundations::secret::Secret;
use crate::foundations::wire::sasl::Credentials;
use crate::services::guard::Service;

/// What a client says about itself.
#[derive(Debug)]
pub struct LoginAttempt {
    /// The user name as given.
    pub username: String,
    /// The password as given.
    pub password: Secret<String>,
    /// Where from.
    pub peer: Peer,
    /// Over which connection.
    pub session: SessionId,
    /// By which protocol.
    pub service: Service,
}

impl LoginAttempt {
    /// An attempt with what a SASL exchange has brought.
    ///
    /// # Errors
    /// The client wants to act as somebody else.
    pub fn by_sasl(
        credentials: Credentials,
        peer: Peer,
        session: SessionId,
        service: Service,
    ) -> Result<Self, Refusal> {
        let Credentials { authorization, username, password } = credentials;
        // RFC 4616 §2: nobody here may act for another.
        if authorization.is_some() {
            let text = "You may act only as yourself";
            return Err(Refusal::new(Kind::AuthenticationFailed, text).smtp(535, "5.7.8"));
        }
        Ok(Self { username, password, peer, session, service })
    }
}
