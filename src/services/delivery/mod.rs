//! Final delivery into mailboxes: per recipient the folder, the quota, and the fields of final delivery.
//!
//! In front of the message go `Return-Path` (RFC 5321 §4.4; fields of that name that came with it are removed),
//! `Delivered-To` with the account's address, by which a message that comes back is recognised as looping, and
//! `X-Original-To` with the address of the envelope where that is another one.
//!
//! Then scripts look at the message: those of the site, and in between the user's active one. What they decide is done
//! in this order: what is passed on goes into the queue, what is kept is stored, and then notifications are sent. A
//! script that fails loses nothing: the message goes to the inbox, and its owner is told once a day. Users who come
//! near their quota are told, too.
//!
//! Promises: an `Ok` means that the message, its UID and its directory entry are on disk; recipients of one message are
//! independent of each other. Called by `intake` and `queue` through [`LocalDelivery`](crate::services::handover::LocalDelivery).
//! Never asks who the recipients are or whether the message is wanted. Each stored message is an event; a failure
//! is logged here, where its cause is known.
//!
//! A message that has been stored is shown to who reads what messages say about events, if it is known who has written it
//! (`invitations`). The answer waits a moment for that and no longer: a client that grew impatient would send again what is stored.
//!
//! `store` delivers to a recipient; `scripting` finds out which scripts run, `script_cache` has them compiled, `run_scripts`
//! runs them and returns what they have decided, and `perform` does that.

mod authorship;
mod client;
mod fields;
mod identity;
mod invitations;
mod letters;
mod nearly_full;
mod perform;
mod run_scripts;
mod script_cache;
mod scripting;
mod settings;
mod store;
mod trial;

pub use script_cache::{global_scripts, site_script};
pub use scripting::ScriptingParts;
pub use settings::{Circles, DeliverySettings, JunkScripts, MissingFolder, OverQuota, ScriptedSettings, TagFolder};
pub use store::Delivery;
pub use trial::{Explained, ExplainedScript, Trial, Tried};
