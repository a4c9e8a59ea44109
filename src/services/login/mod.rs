//! Who is it? Passwords for SMTP, IMAP and POP3, and second factors for the webmail.
//!
//! Promises: every login asks the directory afresh, so that a new password, a disabled account or a removed one counts
//! at once. Hashing happens on a bounded number of blocking threads with a bounded queue before them. A success is
//! remembered for some minutes under a keyed hash of account, stored hash and password, so that a client that
//! reconnects every minute costs nothing; each start makes a new key, which is never written down. A wrong password
//! costs the same work for every name, whether it exists or not and whatever its hash. What the peer may read is the
//! same sentence for everything that is wrong; the reason is in the journal. Passwords are in no log, error or event.
//!
//! A mail program may show an app password ([`Keyring`]) instead of the account's: it is looked up by its digest, never
//! remembered, and so ends when it is revoked. An account with two-factor login opens mail programs by these only. The
//! webmail asks for a one-time code ([`Login::enter`]); the use of a code is durable before it lets anybody in. A
//! browser that has shown one may be remembered, and is spared others for some time.
//!
//! Sessions that a login has opened end within seconds when the account or the password is no longer valid ([`Stay`]).
//!
//! Failures are counted by [`Guard`](crate::services::guard::Guard), which also says how long the answer is to be held
//! back; [`Login::verify`] waits for that long. When the database is down the refusal is a temporary one (SMTP 454 4.7.0, IMAP
//! UNAVAILABLE), never "wrong password".
//!
//! `verify` is a login of a program, `second_factor` one to the webmail; both check the password on the workers of `hashing`,
//! by `equal_cost`, which `password` (the hash schemes) serves.

mod app_password;
mod attempt;
mod cache;
mod equal_cost;
mod hashing;
mod keyring;
mod password;
mod remembered_browsers;
mod seal;
mod second_factor;
mod settings;
mod stay;
mod totp;
mod verify;

pub use app_password::MadeAppPassword;
pub use attempt::LoginAttempt;
pub use keyring::{AppPasswordWish, KeyError, Keyring};
pub use password::{Scheme, Unusable, check, hash, recognise, scheme_word};
pub use remembered_browsers::remembered_for;
pub use seal::{SealError, read_key, reseal};
pub use second_factor::{Enrolment, Entered, Need, SecondFactor};
pub use settings::{LoginSettings, PasswordReach, Rehash, TwoFactorPolicy};
pub use stay::{Carried, Stay};
pub use totp::{BadSecret, last_one_time_step, one_time_step};
pub use verify::{LoggedIn, Login};
