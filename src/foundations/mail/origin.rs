//! Where a message came from.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{Envelope, Message, With};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::{MailId, SessionId};

/// One message on its way: what the services pass to each other.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Its name in every event and log line.
    pub id: MailId,
    /// Where it came from.
    pub origin: Origin,
    /// Sender and recipients.
    pub envelope: Envelope,
    /// The bytes.
    pub message: Message,
}

/// The circumstances under which a message was received.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The connection it came over.
    pub session: SessionId,
    /// The other end of that connection.
    pub peer: Peer,
    /// Our own end of it, if it came over TCP by SMTP.
    pub local: Option<SocketAddr>,
    /// The name the client gave in HELO, EHLO or LHLO; empty when the message did not come by SMTP.
    pub hello: String,
    /// By which protocol it came.
    pub with: With,
    /// The TLS session, when there is one.
    pub tls: Option<TlsFacts>,
    /// The account that authenticated, on submission.
    pub login: Option<Login>,
    /// When the message was complete.
    pub at: Timestamp,
}

impl Origin {
    /// For a message that this process made itself or processes further; `session` is where it began.
    pub const fn internal(session: SessionId, at: Timestamp) -> Self {
        let (peer, local) = (Peer::Internal, None);
        Self { session, peer, local, hello: String::new(), with: With::Local, tls: None, login: None, at }
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Over TCP (after a PROXY header, if one is trusted: the real client).
    Tcp(SocketAddr),
    /// Over a Unix socket, by a process on this machine.
    Unix,
    /// This process itself (notifications, reports).
    Internal,
}

impl Peer {
    /// The IP address, if the peer has one; IPv4-mapped IPv6 addresses are given as IPv4.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix | Self::Internal => None,
        }
    }

    /// Whether the peer has an address in one of these networks.
    pub fn is_in(&self, networks: &[IpNet]) -> bool {
        self.ip().is_some_and(|ip| networks.iter().any(|network| network.contains(&ip)))
    }

    /// Whether the peer is on this machine over a connection without addresses, or has an address in one of these networks.
    pub fn is_local_or_in(&self, networks: &[IpNet]) -> bool {
        self.ip().is_none() || self.is_in(networks)
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Of a client that has left meanwhile only the address is kept.
            Self::Tcp(address) if address.port() == 0 => write!(f, "{}", address.ip().to_canonical()),
            Self::Tcp(address) => write!(f, "{}", SocketAddr::new(address.ip().to_canonical(), address.port())),
            Self::Unix => f.write_str("unix"),
            Self::Internal => f.write_str("internal"),
        }
    }
}

/// What is known about a TLS session, for Received fields, policy and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// The server name the client asked for.
    pub server_name: Option<String>,
}

/// Somebody who has proven who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The account's own address; of [`Who::MachineUser`], the user's name at this host.
    pub address: Address,
    /// How their identity is known.
    pub who: Who,
}

/// How somebody's identity is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// By something that only the user of the account has.
    User,
    /// As a program of this machine whose system user may send for the account.
    Program,
    /// As a program of this machine whose system user has no account.
    MachineUser,
}

impl Login {
    /// The user of an account.
    pub const fn user(address: Address) -> Self {
        Self { address, who: Who::User }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_not_known_is_not_shown() {
        for (address, shown) in [
            ("192.0.2.7:52086", "192.0.2.7:52086"),
            ("192.0.2.7:0", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:0", "192.0.2.7"),
            ("[2001:db8::7]:25", "[2001:db8::7]:25"),
            ("[2001:db8::7]:0", "2001:db8::7"),
        ] {
            let address: SocketAddr = address.parse().expect("a socket address");
            assert_eq!(Peer::Tcp(address).to_string(), shown);
        }
    }
}
