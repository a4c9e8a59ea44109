//! The PROXY protocol, versions 1 and 2, as specified by haproxy.org ("The PROXY protocol", 2020).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a proxy says about the connection it passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It speaks for itself (a health check) or cannot name its client.
    Local,
    /// It speaks for a client.
    Client {
        /// The client's address.
        source: SocketAddr,
        /// The address the client connected to.
        destination: SocketAddr,
    },
}

/// The connection does not begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trusted proxy sent no valid PROXY header: {0}")]
pub struct InvalidProxyHeader(&'static str);

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What a proxy sends when it speaks for itself: version 2, command LOCAL, no addresses.
pub const LOCAL_HEADER: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// Longest version 1 line with its CRLF.
const LONGEST_LINE: usize = 107;
/// Most octets of addresses and extensions taken in version 2.
const LONGEST_BLOCK: usize = 2048;

/// Reads exactly the header from the stream and nothing behind it.
///
/// # Errors
/// The stream fails or ends, or the bytes are no header (`InvalidData`).
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<ProxyHeader> {
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, InvalidProxyHeader(why));
    // The shortest version 1 line, `PROXY UNKNOWN` with CRLF, is longer than the signature of version 2.
    let mut start = [0u8; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        let mut head = [0u8; 4];
        stream.read_exact(&mut head).await?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length > LONGEST_BLOCK {
            return Err(invalid("more than 2048 octets follow"));
        }
        let mut block = vec![0u8; length];
        stream.read_exact(&mut block).await?;
        return binary(head[0], head[1], &block).map_err(|e| invalid(e.0));
    }
    if !start.starts_with(b"PROXY ") {
        return Err(invalid("it starts with neither signature"));
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(invalid("the line is longer than 107 octets"));
        }
        line.push(stream.read_u8().await?);
    }
    text(&line).map_err(|e| invalid(e.0))
}

/// Version 1: `PROXY TCP4 source destination port port CRLF`.
fn text(line: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
    let line = std::str::from_utf8(line).map_err(|_| InvalidProxyHeader("not ASCII"))?;
    let words: Vec<&str> = line.trim_end_matches("\r\n").split(' ').collect();
    let (family, rest) = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(ProxyHeader::Local),
        ["PROXY", family @ ("TCP4" | "TCP6"), ref rest @ ..] => (family, rest),
        _ => return Err(InvalidProxyHeader("the address family is unknown")),
    };
    let [source, destination, source_port, destination_port] = *rest else {
        return Err(InvalidProxyHeader("two addresses and two ports are expected"));
    };
    let address = |ip: &str, port: &str| -> Option<SocketAddr> {
        let ip: IpAddr = ip.parse().ok()?;
        let port = if port.bytes().all(|b| b.is_ascii_digit()) { port.parse().ok()? } else { return None };
        (ip.is_ipv4() == (family == "TCP4")).then(|| SocketAddr::new(ip, port))
    };
    match (address(source, source_port), address(destination, destination_port)) {
        (Some(source), Some(destination)) => Ok(ProxyHeader::Client { source, destination }),
        _ => Err(InvalidProxyHeader("an address or port is malformed")),
    }
}

/// Version 2: version and command, family and transport, addresses and extensions; the extensions are skipped.
fn binary(version: u8, family: u8, block: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
    match version {
        0x20 => return Ok(ProxyHeader::Local),
        0x21 => {}
        _ => return Err(InvalidProxyHeader("the version or command is unknown")),
    }
    let port = |at: usize| block.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    let short = InvalidProxyHeader("the addresses are cut off");
    match family {
        0x11 => {
            let ip = |at: usize| block.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(Ipv4Addr::from);
            let address = |ip_at, port_at| Some(SocketAddr::from((ip(ip_at)?, port(port_at)?)));
            let (source, destination) = (address(0, 8).ok_or(short)?, address(4, 10).ok_or(short)?);
            Ok(ProxyHeader::Client { source, destination })
        }
        0x21 => {
            let ip = |at: usize| block.get(at..at + 16).and_then(|b| <[u8; 16]>::try_from(b).ok()).map(Ipv6Addr::from);
            let address = |ip_at, port_at| Some(SocketAddr::from((ip(ip_at)?, port(port_at)?)));
            let (source, destination) = (address(0, 32).ok_or(short)?, address(16, 34).ok_or(short)?);
            Ok(ProxyHeader::Client { source, destination })
        }
        // AF_UNSPEC, AF_UNIX and datagrams name no client that could be used: the specification says to accept these
        // and to use the real endpoints.
        _ => Ok(ProxyHeader::Local),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(bytes: &[u8]) -> io::Result<(ProxyHeader, Vec<u8>)> {
        let mut rest = bytes;
        let header = read(&mut rest).await?;
        Ok((header, rest.to_vec()))
    }

    fn client(source: &str, destination: &str) -> ProxyHeader {
        ProxyHeader::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn binary_header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    #[tokio::test]
    async fn reads_both_versions_and_nothing_behind() {
        let v4 = client("192.0.2.7:4000", "198.51.100.1:25");
        let v6 = client("[2001:db8::7]:4000", "[2001:db8::1]:25");
        let v4_block = [192, 0, 2, 7, 198, 51, 100, 1, 0x0f, 0xa0, 0, 25, /* an extension */ 3, 0, 1, 9];
        let mut v6_block = Vec::new();
        for ip in ["2001:db8::7", "2001:db8::1"] {
            v6_block.extend(ip.parse::<Ipv6Addr>().unwrap().octets());
        }
        v6_block.extend([0x0f, 0xa0, 0, 25]);
        for (mut bytes, wanted) in [
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\n".to_vec(), v4),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 4000 25\r\n".to_vec(), v6),
            (b"PROXY UNKNOWN\r\n".to_vec(), ProxyHeader::Local),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), ProxyHeader::Local),
            (binary_header(0x21, 0x11, &v4_block), v4),
            (binary_header(0x21, 0x21, &v6_block), v6),
            (LOCAL_HEADER.to_vec(), ProxyHeader::Local),
            (binary_header(0x20, 0, &[]), ProxyHeader::Local),
            (binary_header(0x21, 0, &[]), ProxyHeader::Local),
        ] {
            bytes.extend(b"EHLO x\r\n");
            let (header, rest) = parse(&bytes).await.unwrap();
            assert_eq!((header, &rest[..]), (wanted, &b"EHLO x\r\n"[..]));
        }
    }

    #[tokio::test]
    async fn refuses_what_is_none() {
        let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        for bytes in [
            &b"EHLO mail.example.com\r\n"[..],
            b"PROXY TCP4 192.0.2.7\r\n",
            b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 25\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 70000 25\r\n",
            b"PROXY TCP9 192.0.2.7 198.51.100.1 1 25\r\n",
            &endless,
            &binary_header(0x31, 0x11, &[0; 12]),
            &binary_header(0x21, 0x11, &[0; 11]),
            &binary_header(0x21, 0x21, &[0; 35]),
            &binary_header(0x20, 0x11, &[0; 3000]),
            b"",
        ] {
            assert!(parse(bytes).await.is_err(), "{}", bytes.escape_ascii());
        }
    }
}
