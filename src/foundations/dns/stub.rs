//! Queries to a validating resolver on this machine whose AD bit is trusted (RFC 6840 §5.7, §5.8): the query sets the
//! bit to ask for it. The path to it does not leave the machine, so nobody can forge the bit.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::foundations::random;

/// Largest answer over UDP. Longer ones come over TCP.
const LARGEST: u16 = 1232;

/// Asks the servers in turn.
#[derive(Debug, Clone)]
pub(super) struct Stub {
    servers: Vec<SocketAddr>,
    timeout: Duration,
    attempts: u32,
}

impl Stub {
    /// Uses only servers on this machine; `None` when there is none among them.
    pub(super) fn new(servers: &[SocketAddr], timeout: Duration, attempts: u32) -> Option<Self> {
        let servers: Vec<SocketAddr> = servers.iter().copied().filter(|server| server.ip().is_loopback()).collect();
        (!servers.is_empty()).then_some(Self { servers, timeout, attempts: attempts.max(1) })
    }

    /// The answer to a question; the failure is that of the last server.
    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> io::Result<Message> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for _ in 0..self.attempts {
            for server in &self.servers {
                match tokio::time::timeout(self.timeout, ask(*server, name, kind)).await {
                    Ok(Ok(message)) if message.metadata.response_code == ResponseCode::ServFail => {
                        last = io::Error::other("the resolver failed, or the answer does not match its signature");
                    }
                    Ok(Ok(message)) => return Ok(message),
                    Ok(Err(error)) => last = error,
                    Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
                }
            }
        }
        Err(last)
    }
}

async fn ask(server: SocketAddr, name: &Name, kind: RecordType) -> io::Result<Message> {
    let id = u16::from_be_bytes(random::octets().map_err(io::Error::other)?);
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.metadata.authentic_data = true;
    question.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(LARGEST);
    question.set_edns(edns);
    let octets = question.to_vec().map_err(io::Error::other)?;
    let local = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]) };
    let socket = UdpSocket::bind(SocketAddr::new(local, 0)).await?;
    socket.connect(server).await?;
    socket.send(&octets).await?;
    let mut block = vec![0; usize::from(LARGEST)];
    loop {
        let count = socket.recv(&mut block).await?;
        match read(&block[..count], &question) {
            Some(answer) if answer.metadata.truncation => break,
            Some(answer) => return Ok(answer),
            // An answer to some other question.
            None => {}
        }
    }
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &octets].concat()).await?;
    let length = stream.read_u16().await?;
    let mut block = vec![0; usize::from(length)];
    stream.read_exact(&mut block).await?;
    read(&block, &question).ok_or_else(|| io::Error::other("the resolver answered a different question"))
}

/// The answer to this question.
fn read(octets: &[u8], question: &Message) -> Option<Message> {
    let answer = Message::from_vec(octets).ok()?;
    let fits = answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == question.queries;
    fits.then_some(answer)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::rr::rdata::{A, MX};
    use hickory_resolver::proto::rr::{RData, Record};
    use tokio::net::TcpListener;

    use super::*;
    use crate::foundations::dns::{DnsSettings, Dnssec, ErrorKind, Resolver as _, Security, SystemResolver};

    /// What a resolver says to a question: signed names begin with `s`, long answers with `l`.
    fn answer(octets: &[u8], over_tcp: bool) -> Vec<u8> {
        let question = Message::from_vec(octets).unwrap();
        assert!(question.metadata.authentic_data, "the question must ask for the bit");
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.queries = question.queries.clone();
        let name = question.queries[0].name().clone();
        let text = name.to_ascii();
        answer.metadata.authentic_data = text.starts_with('s');
        if text.starts_with('l') && !over_tcp {
            answer.metadata.truncation = true;
        } else if text.contains("none") {
            answer.metadata.response_code = ResponseCode::NXDomain;
        } else if text.contains("forged") {
            answer.metadata.response_code = ResponseCode::ServFail;
        } else if question.queries[0].query_type() == RecordType::MX {
            let exchange = Name::from_ascii("mx.test.").unwrap();
            answer.answers.push(Record::from_rdata(name, 60, RData::MX(MX::new(10, exchange))));
        } else if text.contains("alias") {
            let real = Name::from_ascii("sreal.test.").unwrap();
            answer.answers.push(Record::from_rdata(real, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))));
        }
        answer.to_vec().unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a server for one test, which ends with it")]
    async fn resolver() -> SystemResolver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(address).await.unwrap();
        tokio::spawn(async move {
            let mut block = [0; 2048];
            while let Ok((count, from)) = socket.recv_from(&mut block).await {
                // A forged guess, which must not be accepted.
                let _ = socket.send_to(b"nonsense", from).await;
                let _ = socket.send_to(&answer(&block[..count], false), from).await;
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut block = vec![0; usize::from(length)];
                stream.read_exact(&mut block).await.unwrap();
                let answer = answer(&block, true);
                stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        let settings = DnsSettings { servers: vec![address], dnssec: Dnssec::TrustAd, ..DnsSettings::default() };
        SystemResolver::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn the_word_of_a_resolver_on_this_machine_counts() {
        let resolver = resolver().await;
        for (name, security) in
            [("signed.test", Security::Secure), ("plain.test", Security::Insecure), ("long.test", Security::Insecure)]
        {
            let answer = resolver.mx(name).await.unwrap();
            assert_eq!((answer.records[0].exchange.as_str(), answer.security), ("mx.test", security), "{name}");
        }
        let aliased = resolver.a("salias.test").await.unwrap();
        assert_eq!((aliased.canonical.as_deref(), aliased.security), (Some("sreal.test"), Security::Secure));
        for (name, kind, security) in [
            ("snone.test", ErrorKind::NoSuchName, Security::Secure),
            ("none.test", ErrorKind::NoSuchName, Security::Insecure),
            ("forged.test", ErrorKind::Temporary, Security::Insecure),
        ] {
            let error = resolver.mx(name).await.unwrap_err();
            assert_eq!((error.kind, error.security), (kind, security), "{name}");
        }
        let error = resolver.a("sempty.test").await.unwrap_err();
        assert_eq!((error.kind, error.security), (ErrorKind::NoData, Security::Secure));
    }

    #[test]
    fn others_are_not_trusted() {
        let far: SocketAddr = "192.0.2.53:53".parse().unwrap();
        let near: SocketAddr = "127.0.0.53:53".parse().unwrap();
        let stub = |servers: &[SocketAddr]| Stub::new(servers, Duration::from_secs(1), 1).map(|stub| stub.servers);
        assert_eq!(stub(&[far]), None);
        assert_eq!(stub(&[far, near]), Some(vec![near]));
    }
}
