use std::path::PathBuf;

use super::acme::AcmeCertificate;
use crate::foundations::settings::Span;

crate::settings! {
    /// TLS on all listeners. Suites and key exchanges are rustls' own choice: only modern ones, post-quantum first.
    pub struct TlsSettings {
        /// Certificates with their keys. The first one is shown to clients that ask for a name which none of them has.
        pub certificates: Vec<CertificateFiles> = vec![],
        /// Certificates that the server gets and renews by itself, after those of `certificates`.
        pub acme: Vec<AcmeCertificate> = vec![],
        /// Directory for what is got by ACME: accounts, certificates and their keys. The `mta` role writes there, all
        /// roles read there.
        pub acme_state: PathBuf = PathBuf::from("/var/lib/postrider/acme"),
        /// Directory for a certificate authority and a certificate that are made on the spot when they are missing, in
        /// place of `certificates`: for trying things out. No other server and no client will trust them unasked.
        pub self_signed: Option<PathBuf> = None,
        /// Oldest version that is spoken. TLS 1.0 and 1.1 are not available (RFC 8996).
        pub oldest: TlsVersion = TlsVersion::Tls12,
        /// How long a client may take for the handshake; then the connection is closed.
        pub handshake_timeout: Span = Span::seconds(30),
        /// How often the files are looked at for changes. `postrider reload` and SIGHUP look at once.
        pub look_every: Span = Span::seconds(15),
        /// From this long before a certificate's end on, every day brings a warning.
        pub warn_before: Span = Span::days(14),
    }
}

crate::settings! {
    /// One certificate and its key.
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
