use std::path::PathBuf;

use super::acme::AcmeCertificate;
use crate::foundations::settings::Span;

crate::settings! {
    /// TLS and certificates, for all listeners. Name certificates that another program renews (`tls.certificates`), or
    /// let the server get its own (`tls.acme`). Suites and key exchanges are rustls' own choice: only modern ones,
    /// post-quantum first.
    pub struct TlsSettings {
        /// Certificates with their keys. Clients that ask for a name which no certificate has get the first one.
        pub certificates: Vec<CertificateFiles> = vec![],
        /// Certificates that the server gets and renews by itself, after those of `certificates`.
        pub acme: Vec<AcmeCertificate> = vec![],
        /// Directory for ACME data: accounts, certificates and their keys. The `mta` role writes there, all roles read there.
        pub acme_state: PathBuf = PathBuf::from("/var/lib/postrider/acme"),
        /// Directory for a certificate authority and a certificate that are made on the spot when they are missing, in place of
        /// `certificates`: for trying things out. No other server or client trusts them by itself.
        pub self_signed: Option<PathBuf> = None,
        /// Oldest version that is spoken. TLS 1.0 and 1.1 are not available (RFC 8996).
        pub oldest: TlsVersion = TlsVersion::Tls12,
        /// How long a client may take for the handshake; then the connection is closed.
        pub handshake_timeout: Span = Span::seconds(30),
        /// How often the files are looked at for changes. `postrider reload` and SIGHUP look at once.
        pub look_every: Span = Span::seconds(15),
        /// How long before a certificate expires daily warnings begin.
        pub warn_before: Span = Span::days(14),
        /// How often every listener is checked, under every name, for the right certificate. After a change of certificates
        /// they are checked at once.
        pub check_every: Span = Span::hours(1),
        /// How long a listener may take to answer then.
        pub check_timeout: Span = Span::seconds(10),
        /// Most names that are checked.
        pub check_names: u32 = 50,
        /// Certificates whose keys are published in the DNS.
        pub dane: DaneSettings = DaneSettings::default(),
    }
}

crate::settings! {
    /// If TLSA records say which keys are ours (DANE, RFC 7672), a new certificate whose key they do not name waits:
    /// the old one is served until the DNS has the new key, because senders that check would otherwise hold back their
    /// mail.
    pub struct DaneSettings {
        /// When a new certificate waits.
        pub hold_back: HoldBack = HoldBack::Published,
        /// Ports whose records count; they stand under names such as `_25._tcp.mail.example.com`.
        pub ports: Vec<u16> = vec![25],
        /// How often the DNS is asked again while one waits.
        pub look_every: Span = Span::minutes(10),
        /// How long the key of a waiting certificate must have been in the DNS before it is used: others cache the old records
        /// (RFC 7671 §8.1) for as long as their TTL allows.
        pub settle: Span = Span::hours(1),
        /// How long before the old certificate expires the new one is used even if the DNS does not have its key: mail programs
        /// reject an expired one.
        pub give_up_before: Span = Span::days(2),
    }
}

crate::words! {
    /// When a new certificate waits for the DNS.
    pub enum HoldBack {
        /// Never.
        Never = "never",
        /// If the published records match the old certificate but not the new one. While the DNS does not answer, its
        /// last answer counts.
        Published = "published",
        /// Also if there are no records, or the DNS does not answer.
        Always = "always",
    }
}

crate::settings! {
    /// A certificate and its key, in files that another program renews. The server looks for new ones by itself.
    pub struct CertificateFiles {
        /// PEM file with the certificate and the intermediate certificates behind it.
        pub cert: PathBuf = PathBuf::new(),
        /// PEM file with the private key (PKCS #8, PKCS #1 or SEC 1). It must not be readable by everybody.
        pub key: PathBuf = PathBuf::new(),
    }
}

crate::words! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2 (RFC 5246) and later.
        Tls12 = "1.2",
        /// TLS 1.3 (RFC 8446).
        Tls13 = "1.3",
    }
}
