//! What the server does with mail. May use storage and foundations.

pub mod acceptance;
pub mod accounts;
pub mod autoconfig;
pub mod backup;
pub mod certificates;
pub mod cluster;
pub mod conversations;
pub mod dav;
pub mod delivery;
pub mod digest;
pub mod doctor;
pub mod filter;
pub mod guard;
pub mod handover;
pub mod intake;
pub mod lessons;
pub mod login;
pub mod moving;
pub mod mta_sts;

pub mod outbound;
pub mod overview;
pub mod posting;
pub mod probe;
pub mod queue;
pub mod records;
pub mod reports;
pub mod routing;
pub mod search;
pub mod served;
pub mod set_up;
pub mod sieve;
pub mod submission;
pub mod summary;
pub mod tidying;
pub mod trace;
