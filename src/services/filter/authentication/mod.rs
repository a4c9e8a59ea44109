//! Who really sent this? SPF, DKIM, DMARC, ARC and the client's name; and our own signatures on outgoing mail.
//!
//! Promises: at most ten DKIM signatures and ten SPF look-up terms per message; a DNS that does not answer gives
//! `temperror`, never a failure; nothing a message says about its own authentication is believed, except what was sealed
//! by a sealer whom the administrator trusts.

mod check;
pub mod dkim;
mod dmarc;
mod hello;
mod results;
pub mod spf;

pub use check::{Authentication, Authenticator, Client};
pub use dmarc::{
    Dmarc, DmarcResult, Failing, Identities, Policy, Published, evaluate as evaluate_dmarc, organization_of,
};
pub use hello::{Iprev, iprev};
pub use results::{findings, forged, header};
