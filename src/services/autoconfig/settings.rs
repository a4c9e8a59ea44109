//! Settings of what mail programs are told.

crate::settings! {
    /// The settings given to mail programs that look for them. They are served by a listener of the protocol `https`,
    /// at `autoconfig.DOMAIN` (Thunderbird and others) and `autodiscover.DOMAIN` (Outlook); a certificate must hold
    /// these names. A profile for Apple's devices is at `/apple.mobileconfig?address=ADDRESS` of this host.
    pub struct AutoconfigSettings {
        /// Whether they are answered.
        pub enabled: bool = true,
        /// Whether a proxy in front of this server answers at `autoconfig.DOMAIN` in its place. `postrider dns` and `postrider
        /// doctor` then expect that name; nothing else depends on it.
        pub proxied: bool = false,
        /// What people see as the name of the provider; unset for the name of their domain.
        pub display_name: Option<String> = None,
        /// Largest request of Outlook in octets. A larger one is answered with 413.
        pub largest_question: u32 = 65_536,
    }
}
