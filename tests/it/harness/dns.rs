//! A name server on loopback, for code that sends real DNS queries.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Answers from a table until it is dropped.
pub struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

type Zone = HashMap<String, Vec<(u16, Vec<u8>)>>;

impl NameServer {
    /// Serves lines such as `example.test MX 10 mx.example.test`, as `ZoneResolver` reads them; PTR records stand under
    /// their whole name.
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    pub async fn start(lines: &str) -> Self {
        let mut zone = Zone::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut parts = line.splitn(3, ' ');
            let mut part = || parts.next().unwrap_or_else(|| panic!("not a record: {line}"));
            let (name, kind, data) = (part(), part(), part());
            zone.entry(name.to_lowercase()).or_default().push(record(kind, data));
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut query = [0; 2048];
            while let Ok((length, client)) = socket.recv_from(&mut query).await {
                if let Some(answer) = answer(&zone, &query[..length]) {
                    let _ = socket.send_to(&answer, client).await;
                }
            }
        });
        Self { address, task }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 1035 §4.1; `None` for anything but a query.
fn answer(zone: &Zone, query: &[u8]) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).to_lowercase());
        at += 1 + length;
    }
    let question = query.get(12..at + 5)?;
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    let of = |name: &str, kind: u16| -> Vec<&Vec<u8>> {
        zone.get(name).into_iter().flatten().filter(|(of, _)| *of == kind).map(|(_, data)| data).collect()
    };
    let asked = labels.join(".");
    // The name in the question, by its offset.
    let itself = || vec![0xc0, 12];
    let mut records: Vec<_> = of(&asked, kind).into_iter().map(|data| (itself(), kind, data)).collect();
    if let (true, [alias]) = (records.is_empty(), of(&asked, CNAME).as_slice()) {
        records.push((itself(), CNAME, alias));
        records.extend(of(&text(alias), kind).into_iter().map(|data| (alias.to_vec(), kind, data)));
    }
    let code: u8 = if zone.contains_key(&asked) { 0 } else { 3 };
    let mut out = query[..2].to_vec();
    out.extend([0x84, 0x80 | code, 0, 1]);
    out.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    out.extend([0; 4]);
    out.extend(question);
    for (owner, kind, data) in records {
        out.extend(owner);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        out.extend(data);
    }
    Some(out)
}

const CNAME: u16 = 5;

/// The type's number and the data as they go over the wire.
fn record(kind: &str, data: &str) -> (u16, Vec<u8>) {
    let words: Vec<&str> = data.split_whitespace().collect();
    let short = |n: usize| words[n].parse::<u16>().unwrap().to_be_bytes();
    match kind {
        "A" => (1, data.parse::<Ipv4Addr>().unwrap().octets().to_vec()),
        "AAAA" => (28, data.parse::<Ipv6Addr>().unwrap().octets().to_vec()),
        "CNAME" => (CNAME, name(data)),
        "PTR" => (12, name(data)),
        "MX" => (15, [short(0).to_vec(), name(words[1])].concat()),
        "SRV" => (33, [short(0).to_vec(), short(1).to_vec(), short(2).to_vec(), name(words[3])].concat()),
        "TXT" => (16, data.as_bytes().chunks(255).flat_map(string).collect()),
        "CAA" => (257, [vec![0], string(words[1].as_bytes()), words[2].trim_matches('"').into()].concat()),
        "TLSA" => {
            let numbers = words[..3].iter().map(|word| word.parse::<u8>().unwrap());
            let hex = words[3].as_bytes().chunks(2);
            let octets = hex.map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).unwrap());
            (52, numbers.chain(octets).collect())
        }
        other => panic!("{other} is not served"),
    }
}

fn string(octets: &[u8]) -> Vec<u8> {
    [&[u8::try_from(octets.len()).unwrap()], octets].concat()
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty()).flat_map(|label| string(label.as_bytes()));
    labels.chain([0]).collect()
}

/// The wire form of this name.
fn text(mut wire: &[u8]) -> String {
    let mut labels = Vec::new();
    while let [length, rest @ ..] = wire
        && *length > 0
    {
        let (label, rest) = rest.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).into_owned());
        wire = rest;
    }
    labels.join(".")
}
