//! Settings of the summary.

use crate::foundations::address::Address;

crate::settings! {
    /// The summary for the postmaster, which `postrider report mail` sends: from a timer, daily or weekly.
    pub struct SummarySettings {
        /// Who gets it. Unset: it is not sent.
        pub to: Option<Address> = None,
        /// Its sender in the From field; `postmaster` at `hostname` when unset. The envelope sender is empty, so nothing comes
        /// back.
        pub from: Option<Address> = None,
    }
}
