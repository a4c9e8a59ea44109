//! The resolver of the daemon, on hickory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup as Found;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::names::{name_of, plain};
use super::proof::{LONGEST_CHAIN, SIGNED, collect, failure, is_doubtful, lacks_a_link};
use super::stub::Stub;
use super::weight::Large;
use super::{Answer, Caa, DnsSettings, Dnssec, Error, ErrorKind, Lookup, Mx, Resolver, Security, Srv, Tlsa};

/// Asks the configured name servers, or those of the system. Keeps answers for as long as they allow.
pub struct SystemResolver {
    resolver: TokioResolver,
    /// Memory that large answers take in its cache.
    large: Large,
    /// The resolver asked where signatures matter, if another's AD bit is trusted.
    trusted: Option<Stub>,
    /// Whether signatures are checked here.
    validates: bool,
}

impl SystemResolver {
    /// A resolver with these settings. Fails when the system's list of name servers is wanted and cannot be read.
    pub fn new(settings: &DnsSettings) -> Result<Self, Error> {
        let wrong = |cause: NetError| Error {
            name: "/etc/resolv.conf".to_owned(),
            kind: ErrorKind::Temporary,
            security: Security::Insecure,
            cause: Some(Box::new(cause)),
        };
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(wrong)?
        } else {
            let servers = settings.servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        apply(settings, builder.options_mut());
        let resolver = builder.build().map_err(wrong)?;
        let trusted = if settings.dnssec == Dnssec::TrustAd { trusted(settings) } else { None };
        let validates = settings.dnssec == Dnssec::Validate;
        Ok(Self { resolver, large: Large::within(settings.cache_memory), trusted, validates })
    }

    async fn query<T>(&self, name: &str, kind: RecordType, pick: fn(&RData) -> Option<T>) -> Result<Answer<T>, Error> {
        let query = name_of(name).map_err(|cause| Error {
            name: name.to_owned(),
            kind: ErrorKind::InvalidName,
            security: Security::Insecure,
            cause: Some(Box::new(cause)),
        })?;
        if let Some(stub) = self.trusted.as_ref().filter(|_| SIGNED.contains(&kind)) {
            return of_trusted(name, stub.ask(&query, kind).await, pick);
        }
        let found = self.ask(&query, kind).await.map_err(|cause| self.failed(name, kind, cause))?;
        if self.validates && SIGNED.contains(&kind) && lacks_a_link(name, found.answers(), pick) {
            let Some(records) = self.with_links(name, &query, found.answers(), pick).await else {
                // An alias may lead elsewhere since the rest was kept.
                self.resolver.clear_lookup_cache(query, kind);
                // Whoever can hide a link must not thereby switch off what its signature protects.
                return Err(Error::new(name, ErrorKind::Temporary));
            };
            return collect(name, &records, pick);
        }
        collect(name, found.answers(), pick)
    }

    /// Records together with the aliases that lead to them from a name, each asked for by itself; `None` if one is not to be had. If
    /// the name servers do not follow aliases, the resolver does so from what it keeps, and leaves out how it came there.
    async fn with_links<T>(
        &self,
        name: &str,
        query: &Name,
        records: &[Record],
        pick: fn(&RData) -> Option<T>,
    ) -> Option<Vec<Record>> {
        let (mut at, mut all) = (query.clone(), records.to_vec());
        for _ in 0..LONGEST_CHAIN {
            let found = self.ask(&at, RecordType::CNAME).await.ok()?;
            let (link, target) = found.answers().iter().find_map(|record| match &record.data {
                RData::CNAME(target) if plain(&record.name) == plain(&at) => Some((record, &target.0)),
                _ => None,
            })?;
            all.push(link.clone());
            if !lacks_a_link(name, &all, pick) {
                return Some(all);
            }
            at = target.clone();
        }
        None
    }

    fn failed(&self, name: &str, kind: RecordType, cause: NetError) -> Error {
        let is_forged = self.validates
            && matches!(&cause, NetError::Dns(DnsError::NoRecordsFound(none)) if is_doubtful(none, kind));
        let error = failure(name, cause);
        if is_forged { Error { kind: ErrorKind::Bogus, ..error } } else { error }
    }

    async fn ask(&self, query: &Name, kind: RecordType) -> Result<Found, NetError> {
        let answer = self.resolver.lookup(query.clone(), kind).await;
        if self.large.is_too_much_with(&answer) {
            log::info!("Large answers have filled the DNS cache; it is emptied");
            self.resolver.clear_cache();
        }
        answer
    }
}

fn apply(settings: &DnsSettings, options: &mut ResolverOpts) {
    options.timeout = settings.timeout.duration();
    // Every link after the first.
    options.attempts = usize::try_from(settings.attempts.saturating_sub(1)).unwrap_or(0);
    options.cache_size = settings.cache_size.into();
    options.positive_max_ttl = Some(settings.longest_ttl.duration());
    options.negative_max_ttl = Some(settings.longest_ttl.duration());
    options.validate = settings.dnssec == Dnssec::Validate;
    options.use_hosts_file = ResolveHosts::Always;
    options.case_randomization = true;
    options.try_tcp_on_error = true;
    options.edns0 = true;
}

/// The resolver of this machine, where one is among the name servers.
fn trusted(settings: &DnsSettings) -> Option<Stub> {
    let servers = if settings.servers.is_empty() {
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let addresses = text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok());
        addresses.map(|address| SocketAddr::new(address, 53)).collect()
    } else {
        settings.servers.clone()
    };
    let stub = Stub::new(&servers, settings.timeout.duration(), settings.attempts);
    if stub.is_none() {
        log::warn!(
            "`dns.dnssec` is \"trust-ad\", but none of the name servers is on this machine: no answer counts as secure"
        );
    }
    stub
}

/// Answers of a trusted resolver.
fn of_trusted<T>(
    name: &str,
    answer: std::io::Result<Message>,
    pick: fn(&RData) -> Option<T>,
) -> Result<Answer<T>, Error> {
    let message = answer.map_err(|cause| Error {
        name: name.to_owned(),
        kind: ErrorKind::Temporary,
        security: Security::Insecure,
        cause: Some(Box::new(cause)),
    })?;
    let security = if message.metadata.authentic_data { Security::Secure } else { Security::Insecure };
    let absent = |kind| Error { security, ..Error::new(name, kind) };
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(absent(ErrorKind::NoSuchName)),
        _ => return Err(Error::new(name, ErrorKind::Temporary)),
    }
    let found = collect(name, &message.answers, pick).map_err(|error| absent(error.kind))?;
    Ok(Answer { security, ..found })
}

impl Resolver for SystemResolver {
    fn mx<'a>(&'a self, name: &'a str) -> Lookup<'a, Mx> {
        Box::pin(self.query(name, RecordType::MX, |data| match data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: plain(&mx.exchange) }),
            _ => None,
        }))
    }

    fn a<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr> {
        Box::pin(self.query(name, RecordType::A, |data| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        }))
    }

    fn aaaa<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr> {
        Box::pin(self.query(name, RecordType::AAAA, |data| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        }))
    }

    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        Box::pin(self.query(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        }))
    }

    fn ptr(&self, address: IpAddr) -> Lookup<'_, String> {
        Box::pin(async move {
            let name = Name::from(address.to_canonical()).to_ascii();
            self.query(&name, RecordType::PTR, |data| match data {
                RData::PTR(ptr) => Some(plain(&ptr.0)),
                _ => None,
            })
            .await
        })
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa> {
        Box::pin(self.query(name, RecordType::TLSA, |data| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        }))
    }

    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv> {
        Box::pin(self.query(name, RecordType::SRV, |data| match data {
            RData::SRV(srv) => {
                Some(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: plain(&srv.target) })
            }
            _ => None,
        }))
    }

    fn cname<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        Box::pin(self.query(name, RecordType::CNAME, |data| match data {
            RData::CNAME(cname) => Some(plain(&cname.0)),
            _ => None,
        }))
    }

    fn caa<'a>(&'a self, name: &'a str) -> Lookup<'a, Caa> {
        Box::pin(self.query(name, RecordType::CAA, |data| match data {
            RData::CAA(caa) => {
                Some(Caa { tag: caa.tag.to_ascii_lowercase(), value: String::from_utf8_lossy(&caa.value).into_owned() })
            }
            _ => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hickory_resolver::proto::op::OpCode;
    use tokio::net::UdpSocket;

    use super::*;

    /// How often a server is asked that has a temporary problem each time.
    async fn questions(attempts: u32, dnssec: Dnssec) -> u32 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let servers = vec![socket.local_addr().unwrap()];
        let resolver =
            SystemResolver::new(&DnsSettings { servers, attempts, dnssec, ..DnsSettings::default() }).unwrap();
        let asked = Cell::new(0);
        let failing = async {
            let mut block = [0; 2048];
            while let Ok((count, from)) = socket.recv_from(&mut block).await {
                asked.set(asked.get() + 1);
                let question = Message::from_vec(&block[..count]).unwrap();
                let mut answer = Message::response(question.metadata.id, OpCode::Query);
                answer.queries = question.queries.clone();
                answer.metadata.response_code = ResponseCode::ServFail;
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        };
        tokio::select! {
            answer = resolver.mx("x.test") => assert_eq!(answer.unwrap_err().kind, ErrorKind::Temporary),
            () = failing => {}
        }
        asked.get()
    }

    /// A server that does not follow aliases. Asked for an alias as such, it may fail.
    async fn serve_without_following(socket: UdpSocket, fails: bool) {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let alias = |to: &str| RData::CNAME(hickory_resolver::proto::rr::rdata::CNAME(name(to)));
        let mut block = [0; 2048];
        while let Ok((count, from)) = socket.recv_from(&mut block).await {
            let question = Message::from_vec(&block[..count]).unwrap();
            let mut answer = Message::response(question.metadata.id, OpCode::Query);
            answer.queries = question.queries.clone();
            let query = &question.queries[0];
            let data = match plain(query.name()).as_str() {
                "one.test" => alias("two.test."),
                "two.test" => alias("three.test."),
                _ => RData::A(hickory_resolver::proto::rr::rdata::A(Ipv4Addr::new(192, 0, 2, 1))),
            };
            if fails && query.query_type() == RecordType::CNAME {
                answer.metadata.response_code = ResponseCode::ServFail;
            } else {
                answer.add_answer(Record::from_rdata(query.name().clone(), 300, data));
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_link_that_was_left_out_is_asked_for() {
        for fails in [false, true] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let servers = vec![socket.local_addr().unwrap()];
            let settings = DnsSettings { servers, attempts: 1, dnssec: Dnssec::Off, ..DnsSettings::default() };
            // Nothing here is signed, but it is looked at as closely.
            let resolver = SystemResolver { validates: true, ..SystemResolver::new(&settings).unwrap() };
            let asking = async {
                // The end of the way is known before the rest.
                for name in ["three.test", "one.test"] {
                    let answer = resolver.a(name).await;
                    if fails && name == "one.test" {
                        assert_eq!(answer.unwrap_err().kind, ErrorKind::Temporary);
                        continue;
                    }
                    let answer = answer.unwrap();
                    let canonical = Some("three.test".to_owned()).filter(|_| name != "three.test");
                    assert_eq!((answer.records.len(), answer.canonical), (1, canonical), "{name}");
                }
            };
            tokio::select! {
                () = asking => {}
                () = serve_without_following(socket, fails) => {}
            }
        }
    }

    #[tokio::test]
    async fn servers_are_asked_as_often_as_is_said() {
        for dnssec in [Dnssec::Off, Dnssec::TrustAd] {
            for (attempts, wanted) in [(0, 1), (1, 1), (2, 2), (3, 3)] {
                assert_eq!(questions(attempts, dnssec).await, wanted, "{dnssec} {attempts}");
            }
        }
    }
}
