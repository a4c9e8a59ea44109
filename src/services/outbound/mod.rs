//! Passing messages on to other hosts, by SMTP, and to the process that owns the mailboxes, by LMTP.
//!
//! [`Outbound::destination`] says where a domain's mail goes (a route, or its mail exchangers); a [`Courier`] is one
//! connection's worth of work for one destination: it finds hosts, connects, keeps the connection between messages
//! and makes one [`Attempt`] per recipient. What happens after a failure is the queue's business.
//!
//! Promises: TLS is used wherever it is offered, and required where a route, a policy or the sender (REQUIRETLS) says
//! so; nothing that arrives before a TLS handshake is believed after it. Where the DNS vouches for certificates (DANE)
//! or the domain has a policy (MTA-STS), mail goes with a matching certificate or not at all, unless its sender waives that
//! (`TLS-Required: No`). A password is sent over TLS only. Every wait has the limit that RFC 5321 §4.5.3.2 asks for. A
//! host that accepted the message has accepted it for exactly the recipients it said yes to.
//!
//! Content that a host does not take (8BITMIME, BINARYMIME) is encoded for it, while the queue keeps it as it came.
//!
//! Called by the queue. Takes no locks. Failures are part of the attempts; the log has only policies that cannot be
//! fetched and passwords that cannot be read.

mod approach;
mod attempt;
mod connector;
mod content;
mod courier;
mod dane;
mod demand;
mod dialogue;
mod hosts;
mod https;
mod lmtp;
mod local;
mod mta_sts;
mod needs;
mod observed;
mod opening;
mod over_submission;
mod reach;
mod route;
mod settings;
mod terms;
mod tls;
mod transaction;
mod tries;

pub use attempt::{
    Attempt, BeforeEnd, By, Carried, Contact, Form, Group, Haste, NextDsn, Outcome, Present, Scope, Stage, Trouble,
    Verified,
};
pub use connector::{Connecting, Connector, Dial, Io, TcpConnector};
pub use courier::Courier;
pub use lmtp::{LmtpTarget, OverLmtp};
pub use over_submission::OverSubmission;
pub use reach::{Met, Tried};
pub use route::{Outbound, OutboundParts};
pub use settings::{Families, MtaStsSettings, OutboundSettings, Protection, RouteSettings, Timeouts, TlsLevel};
pub use tls::{Roots, TlsPolicy};
