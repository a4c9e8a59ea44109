//! Settings of submission.

use crate::foundations::address::Address;

crate::words! {
    /// Whose address users may write into From.
    pub enum HeaderFrom {
        /// Only their own address and aliases, with or without a tag. Others are refused with 550 5.7.1.
        Own = "own",
        /// Any; a Sender field then says who it really was (RFC 6409 §8.1).
        Any = "any",
    }
}

crate::settings! {
    /// What our users may send, and how it is completed: under which addresses, and how much in an hour and a day.
    pub struct SubmissionSettings {
        /// Whose address users may write into From.
        pub header_from: HeaderFrom = HeaderFrom::Own,
        /// Messages an account may submit in an hour. Further ones are deferred with 450 4.7.1. 0 is no limit; clients in the
        /// guard's trusted networks have none.
        pub messages_per_hour: u32 = 500,
        /// Recipients an account may write to in a day. Messages to further ones are deferred with 450 4.7.1; one message to
        /// more is refused with 550 5.5.3. 0 is no limit; clients in the guard's trusted networks have none.
        pub recipients_per_day: u32 = 5_000,
        /// The same for messages in a day.
        pub messages_per_day: u32 = 5_000,
        /// The same for recipients in an hour.
        pub recipients_per_hour: u32 = 2_000,
        /// Copies in an hour that cause an event and a log line if they are also more than `rise_factor` times what the account
        /// usually sends: the sign of a stolen password. 0 is never. The usual amount is learned again after a restart.
        pub rise_from: u32 = 100,
        /// See `rise_from`.
        pub rise_factor: u32 = 10,
        /// Programs of this machine that may send to anywhere (a listener with `protocol = "sendmail"`). Those of other users
        /// reach our own addresses only, from the user's name at this host. The limits above apply to both.
        pub programs: Vec<ProgramSettings> = Vec::new(),
    }
}

crate::settings! {
    /// The account for programs that run as one system user.
    pub struct ProgramSettings {
        /// The system user, by name as in `/etc/passwd`, or by number. It must be given.
        pub user: String = String::new(),
        /// The account in whose name they send: from its address, its aliases and those with a tag, and within its limits. It
        /// must be given.
        pub account: Option<Address> = None,
    }
}
