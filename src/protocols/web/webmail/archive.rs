//! A ZIP file of attachments (APPNOTE.TXT 6.3.10), of which only the directory is in memory. Attachments are mostly compressed
//! already, so they are stored uncompressed.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::flow::{Measure, Piece, Stage};

/// A file of an archive.
pub(super) struct File {
    pub(super) name: String,
    pub(super) measure: Measure,
    /// The way to its octets.
    pub(super) stages: Vec<Stage>,
}

/// The archive, and how many octets it has; `None` where it would have more files or octets than ZIP can say without ZIP64.
pub(super) fn archive(files: Vec<File>) -> Option<(Vec<Piece>, u64)> {
    let (mut pieces, mut directory, mut at) = (Vec::new(), BytesMut::new(), 0_u64);
    let count = u16::try_from(files.len()).ok()?;
    for file in files {
        let about = about(&file)?;
        let name = file.name.as_bytes();
        let mut head = BytesMut::new();
        head.put_u32_le(LOCAL_FILE);
        head.put_slice(&about);
        head.put_slice(name);
        directory.put_u32_le(CENTRAL_FILE);
        directory.put_u16_le(MADE_ON_UNIX | VERSION);
        directory.put_slice(&about);
        // No comment, one disk, no internal attributes.
        directory.put_bytes(0, 6);
        directory.put_u32_le(REGULAR_FILE << 16);
        directory.put_u32_le(u32::try_from(at).ok()?);
        directory.put_slice(name);
        at += head.len() as u64 + file.measure.octets;
        pieces.extend([Piece::Octets(head.freeze()), Piece::Part(file.stages)]);
    }
    let length = directory.len();
    directory.put_u32_le(END);
    directory.put_bytes(0, 4);
    directory.put_u16_le(count);
    directory.put_u16_le(count);
    directory.put_u32_le(u32::try_from(length).ok()?);
    directory.put_u32_le(u32::try_from(at).ok()?);
    directory.put_u16_le(0);
    at += directory.len() as u64;
    pieces.push(Piece::Octets(directory.freeze()));
    Some((pieces, at))
}

/// The fields that the directory and a file's local header share.
fn about(file: &File) -> Option<Bytes> {
    let octets = u32::try_from(file.measure.octets).ok()?;
    let mut about = BytesMut::new();
    about.put_u16_le(VERSION);
    about.put_u16_le(NAME_IN_UTF8);
    // Stored, at midnight of the first day there is.
    about.put_u16_le(0);
    about.put_u16_le(0);
    about.put_u16_le(FIRST_DAY);
    about.put_u32_le(file.measure.crc32);
    about.put_u32_le(octets);
    about.put_u32_le(octets);
    about.put_u16_le(u16::try_from(file.name.len()).ok()?);
    // No extra field.
    about.put_u16_le(0);
    Some(about.freeze())
}

const LOCAL_FILE: u32 = 0x0403_4b50;
const CENTRAL_FILE: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// 2.0.
const VERSION: u16 = 20;
const MADE_ON_UNIX: u16 = 3 << 8;
const NAME_IN_UTF8: u16 = 1 << 11;
/// 1980-01-01.
const FIRST_DAY: u16 = 1 << 5 | 1;
/// With the usual rights.
const REGULAR_FILE: u32 = 0o100_644;

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;

    #[test]
    fn others_can_read_it() {
        let files = [("a.txt", &b"one"[..]), ("grün.bin", &[0, 255, 10][..]), ("empty", b"")];
        let file = |(name, octets): (&str, &[u8])| File {
            name: name.to_owned(),
            measure: Measure { octets: octets.len() as u64, crc32: crc32fast::hash(octets) },
            stages: vec![],
        };
        let (pieces, length) = archive(files.into_iter().map(file).collect()).unwrap();
        let mut contents = files.iter();
        let octets: Vec<u8> = pieces
            .into_iter()
            .flat_map(|piece| match piece {
                Piece::Octets(octets) => octets,
                Piece::Part(_) => Bytes::from_static(contents.next().unwrap().1),
            })
            .collect();
        assert_eq!(octets.len() as u64, length);
        let mut read = zip::ZipArchive::new(Cursor::new(octets)).unwrap();
        for (index, (name, wanted)) in files.into_iter().enumerate() {
            let (mut file, mut got) = (read.by_index(index).unwrap(), Vec::new());
            // The reader compares the checksum.
            file.read_to_end(&mut got).unwrap();
            assert_eq!((file.name(), &got[..]), (name, wanted));
        }
        assert_eq!(read.len(), 3);
    }
}
