//! Packets: a length, a command, data.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Error;
use crate::services::filter::endpoint::Wire;

/// Largest packet that is accepted; body chunks of a replacement have at most 64 KiB.
pub const MAX_PACKET: u32 = 1 << 20;

/// One packet from a milter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The command or answer.
    pub command: u8,
    /// What belongs to it.
    pub data: Vec<u8>,
}

/// Sends a packet.
pub async fn send(wire: &mut dyn Wire, command: u8, data: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(data.len() + 1).map_err(|_| Error::Nonsense("a packet that is too large"))?;
    let mut packet = Vec::with_capacity(data.len() + 5);
    packet.extend_from_slice(&length.to_be_bytes());
    packet.push(command);
    packet.extend_from_slice(data);
    wire.write_all(&packet).await?;
    wire.flush().await?;
    Ok(())
}

/// Receives a packet.
pub async fn receive(wire: &mut dyn Wire) -> Result<Packet, Error> {
    let length = wire.read_u32().await?;
    if length == 0 || length > MAX_PACKET {
        return Err(Error::Nonsense("a packet of impossible length"));
    }
    let command = wire.read_u8().await?;
    let mut data = vec![0; length as usize - 1];
    wire.read_exact(&mut data).await?;
    Ok(Packet { command, data })
}

/// The texts of a packet, each ended by a NUL.
pub fn texts(data: &[u8]) -> impl Iterator<Item = String> {
    data.split_inclusive(|b| *b == 0).map(|t| String::from_utf8_lossy(t.strip_suffix(b"\0").unwrap_or(t)).into_owned())
}

/// Texts for a packet.
pub fn joined(texts: &[&str]) -> Vec<u8> {
    let mut data = Vec::new();
    for text in texts {
        data.extend(text.bytes().filter(|b| *b != 0));
        data.push(0);
    }
    data
}
