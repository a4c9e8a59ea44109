//! Is this message wanted? Sender authentication, rules, classifier, DNS lists, virus scan and milters, and the
//! [`Verdict`] that results from them.
//!
//! Promises: [`Filter::judge`] always answers, within the deadline of the settings, whatever is broken in the message,
//! the DNS, the virus scanner or a milter; its memory is bounded by the settings and not by the message's structure;
//! the score is a pure function of the signals, and every signal says why it is there.
//!
//! `services::intake` calls it once per message. It never delivers, never answers a client, and never reads a mailbox.
//! Its log lines begin with `filter:`; a signal source that fails causes one warning with the source's name.

mod addressee;
pub mod authentication;
mod autolearn;
pub mod carried;
mod clamav;
pub mod classifier;
mod compiled;
mod decide;
mod dialogue;
pub mod dns_lists;
mod endpoint;
mod examine;
mod glance;
mod greylist;
mod headers;
mod helpers;
pub mod language;
mod learning;
mod milter;
mod pipeline;
mod renewal;
mod reporting;
pub mod reputation;
pub mod rotation;
pub mod rules;
mod score;
mod settings;
mod signal;
mod signing;
mod signs;
mod verdict;
pub mod view;
mod waiting;

pub use compiled::load_rules;
pub use dialogue::Dialogue;
pub use endpoint::Endpoint;
pub use examine::{Examined, Examiner, Inquiry};
pub use glance::forged;
pub use headers::{SpamReason, reasons as spam_reasons};
pub use learning::lesson;
pub use pipeline::Filter;
pub use renewal::Signatures;
pub use reporting::CountedPolicy;
pub use score::{Assessment, assess};
pub use settings::{
    AuthenticationSettings, AutolearnSettings, ClamavSettings, ClassifierSettings, DkimKeySettings,
    DkimRotationSettings, DkimSettings, DmarcAction, DnsListSettings, FilterSettings, FirstContactSettings,
    GreylistSettings, LanguageSettings, LearnFromMoves, LimitSettings, ListSubject, MilterSettings, OnFailure,
    RuleSettings, ThresholdSettings, Thresholds,
};
pub use signal::Signal;
pub use signing::unusable_key;
pub use verdict::{Decision, EnvelopeChanges, Folder, Verdict};

#[cfg(test)]
mod sender_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wanted_tests;
