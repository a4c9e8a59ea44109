use std::path::{Path, PathBuf};

use crate::foundations::address::{Address, Domain};
use crate::foundations::settings::Span;

crate::settings! {
    /// A certificate from an authority such as Let's Encrypt, by ACME (RFC 8555). Its names must lead to this server,
    /// and the listener that `challenge` needs (`http` or `https`) must be reachable from outside.
    pub struct AcmeCertificate {
        /// The host names it is for, such as `["mail.example.com", "mta-sts.example.com"]`. All of them must lead to
        /// this server. If one does not, a certificate for the others is obtained, and all names are tried again later.
        /// If `hostname` is among them, no certificate without it is obtained. At least one must be given; the first
        /// one names the file.
        pub names: Vec<Domain> = vec![],
        /// Where the authority's services are listed: its "directory URL". A certificate from another authority, for
        /// example a staging one, is replaced at once. If this system trusts it and the new one would lack some of its
        /// names, it is kept until shortly before it expires.
        pub authority: String = "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
        /// Whether you agree to the authority's terms of service. No authority gives an account without it.
        pub terms_agreed: bool = false,
        /// Where the authority may write to, for instance before a certificate ends.
        pub contact: Vec<Address> = vec![],
        /// How we prove to the authority that the names are ours.
        pub challenge: AcmeChallenge = AcmeChallenge::Http01,
        /// The name of an account elsewhere that the ACME account is bound to, for authorities that want one (RFC 8555 §7.3.4).
        pub external_account: Option<String> = None,
        /// File with the key of that account, as the authority gave it: base64url.
        pub external_account_key_file: Option<PathBuf> = None,
        /// PEM file with the root certificate that vouches for the authority's own site, for an authority inside the
        /// house; unset for those of the system.
        pub authority_root: Option<PathBuf> = None,
        /// Whether the renewed certificate keeps the key of the old one, so that TLSA records with its hash stay valid.
        /// Otherwise every certificate gets a new key.
        pub keep_key: bool = false,
        /// How long before its end a certificate is renewed, where the authority does not suggest a time itself (RFC
        /// 9773). Unset for a third of its lifetime.
        pub renew_before: Option<Span> = None,
    }
}

crate::words! {
    /// How an authority is shown that a name is ours.
    pub enum AcmeChallenge {
        /// It asks on port 80, by HTTP (RFC 8555 §8.3): it needs a listener with `protocol = "http"`.
        Http01 = "http-01",
        /// It asks on port 443, in a TLS handshake (RFC 8737): it needs a listener with `protocol = "https"`.
        TlsAlpn01 = "tls-alpn-01",
    }
}

impl AcmeCertificate {
    /// Where the certificate is kept, with its chain and its key in one file so that they change together; `None` when
    /// it has no name.
    pub fn file(&self, state: &Path) -> Option<PathBuf> {
        // A domain has no `/`, and `..` is not a domain.
        self.names.first().map(|name| state.join(format!("{name}.pem")))
    }
}
