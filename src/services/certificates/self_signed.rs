use std::net::IpAddr;
use std::path::Path;

use chrono::{Datelike, Days};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::{CertificateFiles, Error};
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::secret::Secret;

/// A certificate authority created on the spot, and a certificate signed by it: for trying things out and for tests.
/// The authority's key is dropped, so nobody can sign anything else with it.
#[derive(Debug)]
pub struct SelfSigned {
    /// The authority's certificate in PEM, for clients to trust.
    pub authority: String,
    /// The server's certificate in PEM.
    pub certificate: String,
    /// The server's key in PEM (PKCS #8).
    pub key: Secret<String>,
}

impl SelfSigned {
    /// Creates both, for these host names and addresses, valid from the day before `now` for about two years.
    ///
    /// # Errors
    /// A name is not one a certificate can hold.
    pub fn make(names: &[&str], now: Timestamp) -> Result<Self, rcgen::Error> {
        let day = now.utc().date_naive();
        let bounds = [day.checked_sub_days(Days::new(1)), day.checked_add_days(Days::new(800))];
        let [begin, end] = bounds.map(|day| day.unwrap_or_default()).map(|day| {
            let small = |n: u32| u8::try_from(n).unwrap_or(1);
            date_time_ymd(day.year(), small(day.month()), small(day.day()))
        });

        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Postrider self-signed authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (begin, end);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let mut params = CertificateParams::default();
        // Clients look for names elsewhere (RFC 9525 §2), and a long one would not fit here (RFC 5280 §A.1: 64 characters).
        params.distinguished_name.push(DnType::CommonName, "Postrider self-signed");
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (begin, end);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;
        Ok(Self { authority: authority.pem(), certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
    }

    /// The files of such a certificate in `directory`, created there when they are missing: `ca.pem`,
    /// `cert.pem` and `key.pem`. Blocks.
    ///
    /// # Errors
    /// The directory cannot be created or written, or a name is not one a certificate can hold.
    pub fn keep_in(directory: &Path, names: &[&str], now: Timestamp) -> Result<CertificateFiles, Error> {
        let pair = CertificateFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
        let complete = || Ok::<_, Error>(files::is_there(&pair.cert)? && files::is_there(&pair.key)?);
        if complete()? {
            return Ok(pair);
        }
        files::create_directory(directory, 0o750)?;
        // The roles start at the same time, and one role's key would not match another's certificate.
        let _turn = files::lock_directory(directory)?;
        if complete()? {
            return Ok(pair);
        }
        let made = Self::make(names, now)
            .map_err(|error| Error::Malformed { path: pair.cert.clone(), reason: error.to_string() })?;
        files::write_durable(&directory.join("ca.pem"), made.authority.as_bytes(), 0o644)?;
        files::write_durable(&pair.key, made.key.expose().as_bytes(), 0o640)?;
        files::write_durable(&pair.cert, made.certificate.as_bytes(), 0o644)?;
        Ok(pair)
    }
}

fn alternative(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(ip) => Ok(SanType::IpAddress(ip)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::super::load::load;
    use super::*;
    use crate::foundations::clock::{Clock as _, SystemClock};

    #[test]
    fn a_long_name_fits() {
        let label = "a".repeat(63);
        let name = format!("{label}.{label}.example.test");
        let directory = tempfile::tempdir().unwrap();
        let pair = SelfSigned::keep_in(directory.path(), &[&name], SystemClock.now()).unwrap();
        let loaded = load(&pair).unwrap();
        assert!(loaded.covers(&name));
        let (_, certificate) = X509Certificate::from_der(loaded.leaf()).unwrap();
        let common: Vec<&str> = certificate.subject().iter_common_name().map(|name| name.as_str().unwrap()).collect();
        assert!(common.len() == 1 && common[0].len() <= 64, "{common:?}");
    }

    #[test]
    fn those_who_begin_at_once_share_one_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let fresh = directory.path().join("tls");
        let keep = || {
            let pair = SelfSigned::keep_in(&fresh, &["mail.example.test"], SystemClock.now()).unwrap();
            load(&pair).unwrap().fingerprint()
        };
        let prints: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(keep)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(prints.iter().all(|print| *print == prints[0]), "{prints:?}");
    }
}
