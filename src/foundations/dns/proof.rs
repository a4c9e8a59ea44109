//! What the records of an answer prove, and what an answer without records.

use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use super::names::{name_of, plain};
use super::{Answer, Error, ErrorKind, Security};

/// Record types whose signatures matter to a caller.
pub(super) const SIGNED: &[RecordType] =
    &[RecordType::MX, RecordType::A, RecordType::AAAA, RecordType::CNAME, RecordType::TLSA];

/// What the records of an answer say about a name, as far as they lead there from it.
pub(super) fn collect<T>(name: &str, records: &[Record], pick: fn(&RData) -> Option<T>) -> Result<Answer<T>, Error> {
    let mut answer = Answer { records: Vec::new(), ttl: Duration::MAX, security: Security::Secure, canonical: None };
    let way = way(name, records, pick);
    if way.is_none() {
        answer.security = Security::Insecure;
    }
    for record in records {
        let owner = plain(&record.name);
        // Whoever forges answers may add records of a domain of theirs, signed as they like.
        if way.as_ref().is_some_and(|names| !names.contains(&owner)) {
            continue;
        }
        answer.ttl = answer.ttl.min(Duration::from_secs(record.ttl.into()));
        // Every link of a CNAME chain must be secure for the answer to be. Signatures are not signed, and of several only the one
        // that was needed is marked.
        if record.proof != Proof::Secure && record.record_type() != RecordType::RRSIG {
            answer.security = Security::Insecure;
        }
        if let Some(found) = pick(&record.data) {
            answer.canonical = Some(owner).filter(|owner| !owner.eq_ignore_ascii_case(name.trim_end_matches('.')));
            answer.records.push(found);
        }
    }
    if answer.records.is_empty() { Err(Error::new(name, ErrorKind::NoData)) } else { Ok(answer) }
}

/// The names from the one that was asked for to the one that has what is wanted, each an alias of the next; `None` if the records do
/// not lead there.
fn way<T>(name: &str, records: &[Record], pick: fn(&RData) -> Option<T>) -> Option<Vec<String>> {
    let mut at = name_of(name).map_or_else(|_| name.to_owned(), |name| plain(&name));
    let mut passed = Vec::new();
    while passed.len() < LONGEST_CHAIN {
        let here: Vec<&Record> = records.iter().filter(|record| plain(&record.name) == at).collect();
        passed.push(at);
        if here.iter().any(|record| pick(&record.data).is_some()) {
            return Some(passed);
        }
        at = here.iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some(plain(&target.0)),
            _ => None,
        })?;
    }
    None
}

/// Whether there is what is wanted, but not all of the way to it: the resolver leaves a link out if it knew the rest already.
pub(super) fn lacks_a_link<T>(name: &str, records: &[Record], pick: fn(&RData) -> Option<T>) -> bool {
    way(name, records, pick).is_none() && records.iter().any(|record| pick(&record.data).is_some())
}

/// Most aliases, each of another, before the name that holds the records. Nobody needs as many.
pub(super) const LONGEST_CHAIN: usize = 16;

/// What a failure of the resolver means.
pub(super) fn failure(name: &str, cause: NetError) -> Error {
    let kind = match &cause {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => ErrorKind::NoSuchName,
            ResponseCode::NoError => ErrorKind::NoData,
            _ => ErrorKind::Temporary,
        },
        NetError::Dns(DnsError::Nsec { proof: Proof::Bogus, .. } | DnsError::DnssecBogus) => ErrorKind::Bogus,
        NetError::Dns(DnsError::Nsec { response, .. }) => match response.response_code {
            ResponseCode::NXDomain => ErrorKind::NoSuchName,
            ResponseCode::NoError => ErrorKind::NoData,
            _ => ErrorKind::Temporary,
        },
        _ => ErrorKind::Temporary,
    };
    let security = match &cause {
        NetError::Dns(DnsError::NoRecordsFound(none)) if is_proven(name, none) => Security::Secure,
        _ => Security::Insecure,
    };
    Error { name: name.to_owned(), kind, security, cause: Some(Box::new(cause)) }
}

/// Whether signed records that came along prove that there is nothing (RFC 4035 §5.4); without such a proof, a validated answer is an
/// error of another kind. What is proven of the name that an alias leads to says nothing about the alias.
fn is_proven(name: &str, none: &NoRecords) -> bool {
    let records = || none.authorities.iter().flat_map(|all| all.iter());
    // Signatures are not signed.
    let mut signed = records().filter(|record| record.record_type() != RecordType::RRSIG);
    let is_denial = |record: &Record| matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3);
    plain(none.query.name()).eq_ignore_ascii_case(name.trim_end_matches('.'))
        && records().any(is_denial)
        && signed.all(|record| record.proof == Proof::Secure)
}

/// Whether unsigned records came along with the answer that there is nothing, and all of them are of other domains. The resolver asks for
/// no proof then, as if the domain of the name were not signed either.
fn is_of_strangers(none: &NoRecords) -> bool {
    let records = || none.authorities.iter().flat_map(|all| all.iter());
    records().next().is_some()
        && records().all(|record| record.proof == Proof::Insecure && !record.name.zone_of(none.query.name()))
}

/// Whether an answer that there is nothing, where signatures matter, is no good although the resolver asked for no proof. These types are
/// only asked for where the name itself is signed: even an unsigned subdomain would show as one.
pub(super) fn is_doubtful(none: &NoRecords, kind: RecordType) -> bool {
    let is_bare = none.authorities.as_ref().is_none_or(|all| all.is_empty());
    let needs_more = matches!(kind, RecordType::TLSA | RecordType::CNAME);
    (is_bare && needs_more) || (SIGNED.contains(&kind) && is_of_strangers(none))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::rr::Name;

    use super::*;

    #[test]
    fn only_signed_records_prove_that_there_is_nothing() {
        let name = Name::from_ascii("x.test.").unwrap();
        let record = |kind, proof| {
            let mut record = Record::update0(name.clone(), 300, kind);
            record.proof = proof;
            record
        };
        let (nsec, soa, signature) = (RecordType::NSEC, RecordType::SOA, RecordType::RRSIG);
        let (secure, insecure) = (Proof::Secure, Proof::Insecure);
        for (asked, authorities, wanted) in [
            ("x.test", vec![(nsec, secure), (signature, Proof::Indeterminate), (soa, secure)], Security::Secure),
            ("alias.test", vec![(nsec, secure), (soa, secure)], Security::Insecure),
            ("x.test", vec![(nsec, secure), (soa, insecure)], Security::Insecure),
            ("x.test", vec![(nsec, Proof::Indeterminate)], Security::Insecure),
            ("x.test", vec![(soa, secure)], Security::Insecure),
            ("x.test", vec![], Security::Insecure),
        ] {
            let query = hickory_resolver::proto::op::Query::query(name.clone(), RecordType::MX);
            let mut none = NoRecords::new(query, ResponseCode::NoError);
            let all: Vec<Record> = authorities.iter().map(|(kind, proof)| record(*kind, *proof)).collect();
            none.authorities = Some(all.into());
            let error = failure(asked, NetError::Dns(DnsError::NoRecordsFound(none)));
            assert_eq!((error.kind, error.security), (ErrorKind::NoData, wanted), "{asked} {authorities:?}");
        }
    }

    #[test]
    fn every_alias_on_the_way_counts_and_no_signature_does() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let proven = |mut record: Record, proof| {
            record.proof = proof;
            record
        };
        let alias = |from: &str, to: &str, proof| {
            let target = hickory_resolver::proto::rr::rdata::CNAME(name(to));
            proven(Record::from_rdata(name(from), 300, RData::CNAME(target)), proof)
        };
        let address = |of: &str, proof| {
            let a = hickory_resolver::proto::rr::rdata::A(Ipv4Addr::new(192, 0, 2, 1));
            proven(Record::from_rdata(name(of), 300, RData::A(a)), proof)
        };
        // Another signature of the same records, by a key that was not needed.
        let signature = || proven(Record::update0(name("x.test."), 300, RecordType::RRSIG), Proof::Indeterminate);
        let (yes, no) = (Proof::Secure, Proof::Insecure);
        for (records, wanted) in [
            (vec![address("x.test.", yes)], Security::Secure),
            (vec![address("x.test.", yes), signature()], Security::Secure),
            (vec![address("x.test.", no), signature()], Security::Insecure),
            (vec![alias("X.test.", "y.test.", yes), address("y.test.", yes)], Security::Secure),
            (vec![alias("x.test.", "y.test.", yes), address("y.test.", no)], Security::Insecure),
            (vec![alias("x.test.", "y.test.", no), address("y.test.", yes)], Security::Insecure),
            (
                vec![alias("x.test.", "y.test.", yes), alias("y.test.", "z.test.", yes), address("z.test.", yes)],
                Security::Secure,
            ),
            // A link is missing.
            (vec![address("y.test.", yes)], Security::Insecure),
            (vec![alias("y.test.", "z.test.", yes), address("z.test.", yes)], Security::Insecure),
            (vec![alias("x.test.", "x.test.", yes), address("z.test.", yes)], Security::Insecure),
        ] {
            let pick = |data: &RData| match data {
                RData::A(a) => Some(a.0),
                _ => None,
            };
            let answer = collect("x.test", &records, pick).unwrap();
            assert_eq!(answer.security, wanted, "{records:?}");
            // Whatever a forger adds, signed or not, counts for nothing.
            if way("x.test", &records, pick).is_some() {
                for added in
                    [address("forger.test.", yes), address("forger.test.", no), alias("forger.test.", "x.test.", no)]
                {
                    let with_more = [&records[..], &[added]].concat();
                    let same = collect("x.test", &with_more, pick).unwrap();
                    assert_eq!((same.security, same.records.len()), (wanted, 1), "{with_more:?}");
                    assert_eq!(same.canonical, answer.canonical, "{with_more:?}");
                }
            }
        }
    }

    #[test]
    fn unsigned_records_of_other_domains_prove_nothing() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        for (owners, wanted) in [
            (vec![("x.test.", Proof::Insecure)], false),
            (vec![("TEST.", Proof::Insecure)], false),
            (vec![("forger.test.", Proof::Insecure)], true),
            (vec![("forger.test.", Proof::Insecure), ("x.test.", Proof::Insecure)], false),
            (vec![("a._tcp.x.test.", Proof::Secure)], false),
            (vec![], false),
        ] {
            let query = hickory_resolver::proto::op::Query::query(name("_25._tcp.x.test."), RecordType::TLSA);
            let mut none = NoRecords::new(query, ResponseCode::NoError);
            let record = |(owner, proof): &(&str, Proof)| {
                let mut record = Record::update0(name(owner), 300, RecordType::SOA);
                record.proof = *proof;
                record
            };
            let all: Vec<Record> = owners.iter().map(record).collect();
            none.authorities = Some(all.into());
            assert_eq!(is_of_strangers(&none), wanted, "{owners:?}");
            for (kind, of_kind) in
                [(RecordType::TLSA, wanted || owners.is_empty()), (RecordType::MX, wanted), (RecordType::TXT, false)]
            {
                assert_eq!(is_doubtful(&none, kind), of_kind, "{owners:?} {kind}");
            }
        }
    }
}
