//! The memory that answers take in the resolver's cache. The cache bounds only their number, and the owner of a domain
//! chooses how large its answers are.

use std::sync::atomic::{AtomicU64, Ordering};

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, Record};

use crate::foundations::settings::ByteSize;

/// Octets of large answers received since the cache was last emptied.
#[derive(Debug)]
pub(super) struct Large {
    most: u64,
    come: AtomicU64,
}

/// Answers up to this size are bounded well enough by their number.
const SMALL: u64 = 4096;
/// Memory of a record besides its data: its own fields, and a name.
const RECORD: u64 = 300;
/// Memory of a text within a record besides its octets.
const TEXT: u64 = 48;

impl Large {
    pub(super) const fn within(most: ByteSize) -> Self {
        Self { most: most.get(), come: AtomicU64::new(0) }
    }

    /// Whether this answer exceeds the limit; then the count restarts. Answers from the cache are counted too, since
    /// they cannot be told apart: at worst the cache is emptied somewhat early.
    pub(super) fn is_too_much_with(&self, answer: &Result<Lookup, NetError>) -> bool {
        let weight = weight(answer);
        if weight <= SMALL {
            return false;
        }
        let is_too_much = self.come.fetch_add(weight, Ordering::Relaxed) + weight > self.most;
        if is_too_much {
            self.come.store(0, Ordering::Relaxed);
        }
        is_too_much
    }
}

fn weight(answer: &Result<Lookup, NetError>) -> u64 {
    let records = |records: &[Record]| records.iter().map(of_record).sum::<u64>();
    match answer {
        Ok(lookup) => records(lookup.answers()) + records(lookup.authorities()) + records(lookup.additionals()),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let glue =
                none.ns.iter().flat_map(|servers| servers.iter()).map(|one| RECORD + records(&one.glue)).sum::<u64>();
            glue + none.authorities.as_deref().map_or(0, records)
        }
        Err(NetError::Dns(DnsError::Nsec { response, .. })) => {
            records(&response.answers) + records(&response.authorities)
        }
        // Nothing else is kept.
        Err(_) => 0,
    }
}

fn of_record(record: &Record) -> u64 {
    RECORD
        + match &record.data {
            RData::TXT(txt) => txt.txt_data.iter().map(|text| TEXT + text.len() as u64).sum(),
            RData::TLSA(tlsa) => tlsa.cert_data.len() as u64,
            RData::CAA(caa) => caa.value.len() as u64,
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::{Name, RecordType, rdata};

    use super::*;

    fn answer(records: usize, texts: usize) -> Result<Lookup, NetError> {
        let name = Name::from_ascii("x.test.").unwrap();
        let txt = || RData::TXT(rdata::TXT::new(vec!["x".to_owned(); texts]));
        let records = (0..records).map(|_| Record::from_rdata(name.clone(), 60, txt()));
        Ok(Lookup::new_with_max_ttl(Query::query(name.clone(), RecordType::TXT), records))
    }

    #[test]
    fn large_answers_are_counted_by_what_they_hold() {
        let large = Large::within(ByteSize::mib(1));
        assert!((0..100_000).all(|_| !large.is_too_much_with(&answer(2, 3))), "small ones do not count");
        for one in [answer(1, 10_000), answer(2_000, 1)] {
            let fits = (0..100).take_while(|_| !large.is_too_much_with(&one)).count();
            assert!((1..4).contains(&fits), "{fits}");
            assert!(!large.is_too_much_with(&answer(1, 200)), "and then anew");
            large.come.store(0, Ordering::Relaxed);
        }
    }
}
