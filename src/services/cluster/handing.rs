//! Where users are, and handing their sessions over.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::link::{Asked, Handed, Link, Links, Opening};
use crate::foundations::address::Address;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::services::guard::Service;
use crate::services::login::{LoggedIn, Stay};
use crate::storage::cluster::{Membership, OtherNode};
use crate::storage::mailbox::{Mailboxes, User, Visit};

/// The client of a session that is handed over.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// What it speaks.
    pub service: Service,
    /// Where it is.
    pub peer: Peer,
    /// Its connection.
    pub session: SessionId,
    /// The tag of the command that is answered by the other node; empty where the protocol has none.
    pub tag: &'a str,
    /// Whether nobody on the way can read what it sends.
    pub is_encrypted: bool,
    /// Whether it compresses what it sends: the state of that cannot be handed over.
    pub is_compressed: bool,
}

/// Where a request for a user's mailboxes is answered.
#[derive(Debug)]
pub enum Way {
    /// At this node.
    Here,
    /// At another, which is ready for it.
    There(Box<Link>),
}

/// How often a user who is moving is looked up.
const LOOKS: usize = 4;

/// Keeps a user's mailboxes at this node while it lasts, for sessions that do not open them.
pub struct Residence {
    _user: Arc<User>,
    _visit: Visit,
}

impl std::fmt::Debug for Residence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Residence")
    }
}

/// The cluster as protocols see it. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Cluster {
    membership: Membership,
    mailboxes: Mailboxes,
    links: Links,
}

impl Cluster {
    /// Over the mailboxes of this node.
    pub const fn new(membership: Membership, mailboxes: Mailboxes, links: Links) -> Self {
        Self { membership, mailboxes, links }
    }

    /// This node's lease and users.
    pub const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Connections to other nodes.
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// The other node that has a user; `None` when this one has.
    ///
    /// # Errors
    /// It cannot be known now.
    pub async fn elsewhere(&self, account: &Address) -> Result<Option<OtherNode>, Refusal> {
        self.mailboxes.whereabouts(account).await.map_err(Refusal::temporary)
    }

    /// The way to the node that has a user's mailboxes now, for one request.
    ///
    /// # Errors
    /// It is unknown, cannot be reached, or does not take the request; the client may come back later. Nothing of the
    /// request has been sent.
    pub async fn way(&self, account: &Address, asked: &Asked) -> Result<Way, Refusal> {
        let mut refused: Option<(OtherNode, std::io::Error)> = None;
        for _ in 0..LOOKS {
            let Some(other) = self.elsewhere(account).await? else { return Ok(Way::Here) };
            // A node that has not taken it and still has the mailboxes would not take it now.
            if refused.as_ref().is_some_and(|(before, _)| *before == other) {
                break;
            }
            match self.links.open(&other.address, &Opening::Request(asked.clone())).await {
                Ok(link) => return Ok(Way::There(Box::new(link))),
                Err(error) => refused = Some((other, error)),
            }
        }
        let (node, cause) = refused.map_or_else(
            || (String::new(), "the mailboxes are moving from node to node".to_owned()),
            |(other, error)| (other.node, error.to_string()),
        );
        log::warn!(node = node.as_str(), cause:% = cause; "A request could not be passed on to the node that owns the mailboxes");
        Err(Refusal::temporary(cause))
    }

    /// Keeps a user at this node; `end` is cancelled when the node must let go.
    ///
    /// # Errors
    /// Another node has the user now, or that cannot be known.
    pub async fn keep(&self, account: &Address, end: CancellationToken) -> Result<Residence, Refusal> {
        let user = self.mailboxes.user(account).await.map_err(Refusal::temporary)?;
        let visit = user.visit(end);
        Ok(Residence { _user: user, _visit: visit })
    }

    /// Hands the session of a user who has just logged in to the node that has the user. On return, that node serves
    /// the session over the returned connection; `None` when this node has the user.
    ///
    /// # Errors
    /// The other node is unknown now, cannot be reached or does not take it; the client may come back later.
    pub async fn hand_login_over(
        &self,
        logged_in: &LoggedIn,
        client: &Client<'_>,
    ) -> Result<Option<Box<Link>>, Refusal> {
        let Some(to) = self.elsewhere(&logged_in.address).await? else { return Ok(None) };
        if client.is_compressed {
            let text = "Your mailboxes are on another server of this site; connect again";
            return Err(Refusal::new(Kind::Temporary, text));
        }
        let login = logged_in.stay.carry().ok_or_else(|| Refusal::temporary(Stay::FAREWELL))?;
        let peer = match client.peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix | Peer::Internal => None,
        };
        let handed = Handed {
            service: client.service.word().to_owned(),
            login,
            peer,
            session: client.session.to_string(),
            tag: client.tag.to_owned(),
            is_encrypted: client.is_encrypted,
        };
        Ok(Some(Box::new(self.hand_over(&to, handed).await?)))
    }

    /// Hands a session over. On return, the other node serves it over the returned connection.
    ///
    /// # Errors
    /// The other node cannot be reached or does not take it; the client may come back later.
    async fn hand_over(&self, to: &OtherNode, handed: Handed) -> Result<Link, Refusal> {
        let session = handed.session.clone();
        self.links.open(&to.address, &Opening::Session(Box::new(handed))).await.map_err(|error| {
            log::warn!(session = session.as_str(), node = to.node.as_str(), error:% = error;
                "A session could not be handed over to the node that owns the mailboxes");
            Refusal::temporary(error)
        })
    }
}
