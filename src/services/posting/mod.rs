//! What scripts of users send: messages passed on, automatic replies, notifications.
//!
//! A message passed on leaves under a sender of ours where its own would fail SPF elsewhere, and sealed, as what aliases
//! pass on; a letter of our own is signed for the domain of its author. Then all of it goes into the queue.
//!
//! Promises: a [`QueueId`](crate::foundations::ids::QueueId) means that it is on disk. Called by `delivery` through
//! [`Posting`](crate::services::handover::Posting), directly or from another process over its control socket. Asks routing,
//! filter and [`Queueing`](crate::services::handover::Queueing). Nothing is logged; refusals carry their causes.

mod office;

pub use office::PostOffice;
