//! Takes responsibility for messages: the one way into mailboxes and queue for whatever protocols receive.
//!
//! Promises: a [`Receipt`] means that every recipient's copy is durable. A message for our own users is written
//! once per mailbox, with no queue file in between. The queue is asked only for recipients elsewhere and for those whose
//! mailbox cannot be written now. If some mailboxes have taken a message and others cannot, it is not refused: the
//! others' copies wait in the queue, so nothing is lost and nothing arrives twice. If nothing has been stored yet, the client
//! gets a refusal, so that no notification goes to a sender who may be forged. If the queue fails in between, the client must
//! send the message again; those who have it are then left out (`safe_copies`), as long as this process runs.
//!
//! Called by `protocols::smtp`. Asks filter, routing, [`LocalDelivery`](crate::services::handover::LocalDelivery) and
//! [`Queueing`](crate::services::handover::Queueing). Takes no lock but that of `safe_copies`. Every decision is an event.

mod events;
mod header_facts;
mod judged;
mod quarantine_note;
mod receipt;
mod receive;
mod safe_copies;
mod settings;
mod trace_field;

pub use crate::services::handover::{LocalDelivery, Outcome};
pub use receipt::Receipt;
pub use receive::{Intake, IntakeParts};
pub use settings::{DigestSettings, IntakeSettings, LmtpVerdict, Quarantine};
