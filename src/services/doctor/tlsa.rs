//! Keys in the DNS (DANE): whether they are those of the certificates that senders are shown.

use futures_util::future::join_all;

use super::{Doctor, Finding, Health};
use crate::foundations::address::Domain;
use crate::foundations::dns::Tlsa;
use crate::services::certificates::{key_digest, vouches};

const CHECK: &str = "tlsa";

/// A certificate with those behind it, in DER, its own first.
type Chain = Vec<Vec<u8>>;

/// The records of this host.
pub(super) async fn of_host(doctor: &Doctor<'_>) -> Finding {
    let at = at(&doctor.wanted.hostname);
    match doctor.resolver.tlsa(&at).await {
        Ok(answer) => {
            let shown = shown(doctor, &doctor.wanted.hostname).await;
            compared(at, answer.records, if shown.is_empty() { &doctor.chains } else { &shown })
        }
        Err(error) if error.is_absence() => {
            Finding::well(CHECK, at, "none; that is right unless the zone is signed with DNSSEC")
        }
        Err(error) => Finding::unanswered(CHECK, at, &error),
    }
}

/// What is wrong with the records of another name of this host.
pub(super) async fn of_other_name(doctor: &Doctor<'_>, name: &Domain) -> Option<Finding> {
    let at = at(name);
    let records = doctor.resolver.tlsa(&at).await.ok()?.records;
    let shown = shown(doctor, name).await;
    Some(compared(at, records, &shown)).filter(|finding| finding.health != Health::Well)
}

fn at(name: &Domain) -> String {
    format!("_25._tcp.{name}")
}

/// The chains that senders are shown who ask for a name. A listener may have one with a key of RSA and one with another.
async fn shown(doctor: &Doctor<'_>, name: &Domain) -> Vec<Chain> {
    let prober = doctor.prober.clone().asking_for(name.clone());
    let of_senders = doctor.probes.iter().filter(|probe| probe.protocol == "smtp");
    let mut chains: Vec<Chain> = join_all(of_senders.map(|probe| prober.chains(probe))).await.concat();
    chains.sort();
    chains.dedup();
    chains
}

/// The records of a name beside the chains that senders are shown for it. One that no record fits keeps careful senders from
/// delivering at all (RFC 7672 §2.2), and which of several they are shown is up to what they know.
fn compared(name: String, records: Vec<Tlsa>, chains: &[Chain]) -> Finding {
    // RFC 7672 §3.1.3: no mail server uses the others, which are about authorities that browsers trust.
    let of_mail = |tlsa: &Tlsa| matches!((tlsa.usage, tlsa.selector, tlsa.matching), (2 | 3, 0 | 1, 0..=2));
    let usable: Vec<Tlsa> = records.into_iter().filter(of_mail).collect();
    if usable.is_empty() {
        let found = "none of the records is of a kind that mail servers use";
        return Finding::ill(CHECK, name, Health::Warning, found, "Use `3 1 1`; see `postrider dns`.");
    }
    if chains.is_empty() {
        let found = "there are records, but no certificate here to compare them with";
        return Finding::ill(CHECK, name, Health::Unknown, found, "Use `3 1 1`; see `postrider dns`.");
    }
    let strange: Vec<&Chain> =
        chains.iter().filter(|chain| !vouches(&usable, chain.iter().map(Vec::as_slice))).collect();
    if strange.is_empty() {
        return Finding::well(CHECK, name, "matches every certificate that senders are shown");
    }
    let found = if strange.len() == chains.len() {
        "no record matches the certificate: DANE senders hold mail back"
    } else {
        "one of the certificates (RSA or ECDSA) has no record: DANE senders that are shown this one hold mail back"
    };
    let keys = strange.iter().filter_map(|chain| key_digest(chain.first()?));
    let missing: Vec<String> = keys.map(|key| format!("`{name}. TLSA 3 1 1 {key}`")).collect();
    let remedy = format!("Publish {}, and remove records of certificates that are gone.", missing.join(" and "));
    Finding::ill(CHECK, name, Health::Wrong, found, remedy)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, SHA512, digest};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;
    use crate::foundations::clock::{Clock as _, SystemClock};
    use crate::services::certificates::{SelfSigned, read_chain};

    fn chain() -> Chain {
        let directory = tempfile::tempdir().unwrap();
        let pair = SelfSigned::keep_in(directory.path(), &["mail.example.test"], SystemClock.now()).unwrap();
        read_chain(&pair.cert).unwrap().iter().map(|certificate| certificate.to_vec()).collect()
    }

    fn key(chain: &Chain) -> Vec<u8> {
        X509Certificate::from_der(&chain[0]).unwrap().1.public_key().raw.to_vec()
    }

    #[test]
    fn keys_in_the_dns_are_compared_in_every_form() {
        let chain = chain();
        let key = key(&chain);
        let health = |usage, selector, matching, data: Vec<u8>, chains: &[Chain]| {
            compared("x".to_owned(), vec![Tlsa { usage, selector, matching, data }], chains).health
        };
        for (selector, whole) in [(0, &chain[0]), (1, &key)] {
            let forms =
                [whole.clone(), digest(&SHA256, whole).as_ref().to_vec(), digest(&SHA512, whole).as_ref().to_vec()];
            for (matching, data) in (0..).zip(forms) {
                let form = format!("3 {selector} {matching}");
                let chains = std::slice::from_ref(&chain);
                assert_eq!(health(3, selector, matching, data.clone(), chains), Health::Well, "{form}");
                assert_eq!(health(3, selector, matching, data[1..].to_vec(), chains), Health::Wrong, "{form}");
                assert_eq!(health(1, selector, matching, data.clone(), chains), Health::Warning, "{form}");
                assert_eq!(health(3, selector, matching, data, &[]), Health::Unknown, "{form}");
            }
        }
    }

    #[test]
    fn a_certificate_without_a_record_is_told_beside_one_with_a_record() {
        let (first, second) = (chain(), chain());
        let record = |chain: &Chain| {
            let data = digest(&SHA256, &key(chain)).as_ref().to_vec();
            Tlsa { usage: 3, selector: 1, matching: 1, data }
        };
        let both = [first.clone(), second.clone()];
        let finding = compared("x".to_owned(), vec![record(&first)], &both);
        assert_eq!(finding.health, Health::Wrong, "{finding:?}");
        let missing = key_digest(&second[0]).unwrap();
        assert!(finding.remedy.is_some_and(|remedy| remedy.contains(&missing)), "{missing}");
        let records = vec![record(&first), record(&second)];
        assert_eq!(compared("x".to_owned(), records, &both).health, Health::Well);
    }
}
