//! The files in 7z archives, by the list at their end. Of several files the list is usually packed, too; nothing else is unpacked.

use std::io::Read as _;

use lzma_rust2::{Lzma2Reader, LzmaReader};

use super::archive::{MOST as MOST_FILES, Member};

/// 7zFormat.txt, “SignatureHeader”.
const SIGNATURE: &[u8] = b"7z\xbc\xaf\x27\x1c";
const START_LENGTH: usize = 32;
/// How far programs look for the signature: something else may come before it.
const FARTHEST: usize = 1 << 20;
/// What a list begins with.
const LIST: u8 = 1;
const PACKED_LIST: u8 = 0x17;
/// The property with the names.
const NAMES: u8 = 0x11;
/// Most places in a list that may be such a property.
const MOST: usize = 20;
/// Most octets of names that are read at one place.
const MOST_OCTETS: usize = 1 << 20;
/// The coders of packed lists (Methods.txt, “030101 - LZMA”, “21 - LZMA2”, “00 - Copy”): the length of its name and whether it has
/// properties, its name, and their length.
const LZMA: &[u8] = b"\x23\x03\x01\x01\x05";
const LZMA2: &[u8] = b"\x21\x21\x01";
const COPY: &[u8] = b"\x01\x00";
/// The coder that encrypts (Methods.txt, “06F10701 - 7zAES”), after the octet with its length.
const ENCRYPTION: &[u8] = b"\x06\xf1\x07\x01";

/// The files of an archive. Takes time linear in it.
pub fn members(octets: &[u8]) -> Vec<Member<'_>> {
    let Some((streams, list)) = parts(octets) else { return Vec::new() };
    match list.first() {
        Some(&LIST) => named(list),
        // Names that nobody sees without the password.
        Some(&PACKED_LIST) if is_encrypted(list) => vec![Member::named(b"", true)],
        // It may be packed in other ways, which no program does by itself: then nobody but the reader sees the names.
        Some(&PACKED_LIST) => {
            unpacked(streams, list).map_or_else(|| vec![Member::named(b"", true)], |list| named(&list))
        }
        _ => Vec::new(),
    }
}

fn named<'a>(list: &[u8]) -> Vec<Member<'a>> {
    let is_encrypted = is_encrypted(list);
    // Places may overlap.
    names(list).take(MOST_FILES).map(|name| Member::named(name.as_bytes(), is_encrypted)).collect()
}

fn is_encrypted(list: &[u8]) -> bool {
    memchr::memmem::find(list, ENCRYPTION).is_some()
}

/// Whether a file begins like such an archive.
pub fn is_archive(octets: &[u8]) -> bool {
    octets.starts_with(SIGNATURE)
}

/// The packed streams and what follows them, and the list of the files, which may be one of them.
fn parts(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let begin = memchr::memmem::find(&octets[..octets.len().min(FARTHEST)], SIGNATURE)?;
    let (start, streams) = octets[begin..].split_at_checked(START_LENGTH)?;
    let number = |at: usize| {
        let eight = start.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_le_bytes(*eight)).ok()
    };
    Some((streams, streams.get(number(12)?..)?.get(..number(20)?)?))
}

/// A packed list: one stream, which begins at a place and has a length, packed by a coder, to another length. Before the coder there
/// may be a sum of the stream.
fn unpacked(streams: &[u8], list: &[u8]) -> Option<Vec<u8>> {
    let mut rest = list.strip_prefix(&[PACKED_LIST, 6])?;
    let at = number(&mut rest)?;
    let mut rest = rest.strip_prefix(&[1, 9])?;
    let length = number(&mut rest)?;
    let rest = rest.strip_prefix(&[10, 1]).and_then(|sum| sum.get(4..)).unwrap_or(rest);
    let (coder, rest) = coder(rest.strip_prefix(&[0, 7, 11, 1, 0, 1])?)?;
    let mut rest = rest.strip_prefix(&[12])?;
    let unpacked = number(&mut rest)?.min(MOST_OCTETS);
    let stream = streams.get(at..)?.get(..length)?;
    match coder {
        Coder::Lzma(properties) => unpack(stream, properties, unpacked),
        Coder::Lzma2 => unpack_newer(stream, unpacked),
        Coder::Copy => Some(stream[..unpacked.min(length)].to_vec()),
    }
}

/// How a list is packed.
enum Coder {
    /// With the first octet of its properties; the others are the length of its dictionary.
    Lzma(u8),
    Lzma2,
    Copy,
}

/// The coder, and what follows it.
fn coder(list: &[u8]) -> Option<(Coder, &[u8])> {
    if let Some(rest) = list.strip_prefix(LZMA) {
        let (properties, rest) = rest.split_first_chunk::<5>()?;
        return Some((Coder::Lzma(properties[0]), rest));
    }
    if let Some(rest) = list.strip_prefix(LZMA2) {
        // The length of its dictionary.
        return Some((Coder::Lzma2, rest.get(1..)?));
    }
    Some((Coder::Copy, list.strip_prefix(COPY)?))
}

/// What a stream stands for, as far as it is undamaged, and at most `length` octets of it.
fn unpack(stream: &[u8], properties: u8, length: usize) -> Option<Vec<u8>> {
    // What is read is all that can be referred to, whatever dictionary the archive asks for.
    let dictionary = u32::try_from(length).ok()?;
    let reader = LzmaReader::new_with_props(stream, u64::MAX, properties, dictionary, None).ok()?;
    let mut unpacked = Vec::new();
    // What was read before a fault stays.
    let _ = reader.take(u64::from(dictionary)).read_to_end(&mut unpacked);
    Some(unpacked)
}

/// The same for LZMA2.
fn unpack_newer(stream: &[u8], length: usize) -> Option<Vec<u8>> {
    let dictionary = u32::try_from(length).ok()?;
    let mut unpacked = Vec::new();
    // What was read before a fault stays.
    let _ = Lzma2Reader::new(stream, dictionary, None).take(u64::from(dictionary)).read_to_end(&mut unpacked);
    Some(unpacked)
}

/// The names in a list. Before them there is what describes the packed streams, which is not read: they are wherever something looks
/// like a property with names.
fn names(list: &[u8]) -> impl Iterator<Item = String> {
    let places = memchr::memchr_iter(NAMES, list);
    places.filter_map(|at| property(&list[at + 1..])).take(MOST).flat_map(|names| {
        let units = names[..names.len().min(MOST_OCTETS)].chunks_exact(2);
        let units: Vec<u16> = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let names = units.split(|unit| *unit == 0).filter(|name| !name.is_empty());
        names.map(String::from_utf16_lossy).collect::<Vec<_>>()
    })
}

/// The names after the octet that announces them: a length, an octet that says that they follow, and UTF-16 with a zero after each.
fn property(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets;
    let length = number(&mut rest)?;
    let names = rest.get(..length)?.strip_prefix(&[0])?;
    (names.len().is_multiple_of(2) && names.ends_with(&[0, 0])).then_some(names)
}

/// A number: as many octets follow its first one as there are ones at the beginning of that; the rest of it is the highest octet.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let (first, after) = rest.split_first()?;
    let more = first.leading_ones();
    let (low, after) = after.split_at_checked(more as usize)?;
    *rest = after;
    let high = u64::from(first & 0x7f_u8.checked_shr(more).unwrap_or(0));
    let value = low.iter().rev().fold(high, |value, octet| (value << 8) | u64::from(*octet));
    usize::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(list: &[u8]) -> Vec<u8> {
        let length = u64::try_from(list.len()).unwrap();
        let packed = b"0123456789";
        [SIGNATURE, &[0, 4, 0, 0, 0, 0], &10u64.to_le_bytes(), &length.to_le_bytes(), &[0; 4], packed, list].concat()
    }

    /// A list with these names, packed by this coder, and a further property after them.
    fn listed(names: &[&str], coder: &[u8]) -> Vec<u8> {
        let names: Vec<u8> =
            names.iter().flat_map(|name| name.encode_utf16().chain([0])).flat_map(u16::to_le_bytes).collect();
        let length = names.len() + 1;
        let length = match u8::try_from(length) {
            Ok(short) if short < 0x80 => vec![short],
            _ => vec![0x80 | (length >> 8) as u8, length as u8],
        };
        let streams = [&[1, 4, 6, 0, 1, 9, 10, 0, 7, 11, 1, 0, 1][..], coder, &[12, 10, 0, 8, 10, 1, 0, 0, 0, 0, 0, 0]];
        [&streams.concat()[..], &[5, 1, NAMES], &length, &[0], &names, &[0x15, 6, 1, 0, 32, 0, 0, 0, 0, 0]].concat()
    }

    fn read(octets: &[u8]) -> Vec<(String, bool)> {
        members(octets).into_iter().map(|member| (member.name, member.is_encrypted)).collect()
    }

    #[test]
    fn files_are_named() {
        let lzma2 = b"\x21\x21\x01\x18";
        let aes = [&b"\x24"[..], ENCRYPTION, b"\x02\x53\x0f"].concat();
        let long = "x".repeat(100) + ".exe";
        for (names, coder, is_encrypted) in [
            (&["invoice.exe"][..], &lzma2[..], false),
            (&["a.txt", "Grüße.js"], lzma2, false),
            (&[&long], lzma2, false),
            (&["invoice.pdf"], &aes, true),
        ] {
            let octets = archive(&listed(names, coder));
            let wanted: Vec<_> = names.iter().map(|name| ((*name).to_owned(), is_encrypted)).collect();
            // What looks like names and is not does no harm.
            let found = read(&octets);
            assert!(wanted.iter().all(|wanted| found.contains(wanted)), "{found:?}");
            assert_eq!(read(&[&b"MZ something"[..], octets.as_slice()].concat()), found);
            assert!(is_archive(&octets) && read(&octets[..octets.len() - 1]).is_empty());
        }
        assert_eq!(read(&archive(&[&[PACKED_LIST, 6][..], &aes].concat())), [(String::new(), true)]);
        // Packed in a way that is not read.
        assert_eq!(read(&archive(&[PACKED_LIST, 6, 0])), [(String::new(), true)]);
    }

    /// Archives that 7-Zip has made: of one file; of two; the same with a password; of one whose name is hidden by it.
    #[test]
    fn archives_of_7_zip_are_read() {
        use base64::Engine as _;
        let (exe, txt) = ("invoice.exe", "b.txt");
        for (text, names, is_encrypted) in [
            (ONE, &[exe][..], false),
            (TWO, &[exe, txt], false),
            (TWO_ENCRYPTED, &[exe, txt], true),
            (ONE_HIDDEN, &[""], true),
        ] {
            let octets = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            let mut found = read(&octets);
            found.sort();
            let mut wanted: Vec<_> = names.iter().map(|name| ((*name).to_owned(), is_encrypted)).collect();
            wanted.sort();
            assert_eq!(found, wanted);
            bear_damage(&octets);
        }
    }

    fn bear_damage(octets: &[u8]) {
        for at in SIGNATURE.len()..octets.len() {
            for octet in [0, 0x7f, 0x80, 0xff] {
                let mut broken = octets.to_vec();
                broken[at] = octet;
                assert!(read(&broken).len() <= octets.len());
            }
        }
    }

    /// Archives that py7zr has made, which packs every list by LZMA2: of one file, and of one with a password.
    #[test]
    fn archives_of_py7zr_are_read() {
        use base64::Engine as _;
        for (text, name, is_encrypted) in [(PY_ONE, "invoice.exe", false), (PY_ENCRYPTED, "invoice.pdf", true)] {
            let octets = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            assert_eq!(read(&octets), [(name.to_owned(), is_encrypted)]);
            bear_damage(&octets);
        }
    }

    #[test]
    fn a_list_may_be_packed_as_it_is() {
        let list = listed(&["a.exe"], b"\x21\x21\x01\x18");
        let length = u8::try_from(list.len()).unwrap();
        assert!(length < 0x80);
        let packed = [PACKED_LIST, 6, 0, 1, 9, length, 0, 7, 11, 1, 0, 1, 1, 0, 12, length, 0, 0];
        let (at, end) = (u64::from(length).to_le_bytes(), u64::try_from(packed.len()).unwrap().to_le_bytes());
        let octets = [SIGNATURE, &[0, 4, 0, 0, 0, 0], &at, &end, &[0; 4], &list, &packed].concat();
        assert_eq!(read(&octets), [("a.exe".to_owned(), false)]);
    }

    const PY_ONE: &str = "N3q8ryccAARJvIwdcAAAAAAAAAAUAAAAAAAAAGuhyuHgAGUACV0AJpZ8G6GV4AAAAOAAXABXXQAAgTMHrg/PBHGMB7DD2irXW\
        GSss3jOVN4dgVIZkmkAqjU89S1sfCB1Ucy0pnEf2SIi/hz7L8t3X8RDCkXsn86mVcMxBllOG85jK4rLwOdQ7pcSxwAAAAAAFwYRA\
        QlfAAcLAQABISEBGAxdAAA=";
    const PY_ENCRYPTED: &str = "N3q8ryccAAStXj8XlQAAAAAAAAAUAAAAAAAAAK4P4KPpUR3LhjVLq5r3CNyHp9MyTkxr2bbbKwR0RfgcJ/pqmAEAcAEEBgABC\
        SAKATSkHLYABwsBAAIkBvEHARJTDxuOWw7vgzsWyfgui64v9xshIQEYAQAMEWYACAoBV3V+jAAABQERGQBpAG4AdgBvAGkAYwBlA\
        C4AcABkAGYAAAAUCgEAgORt2JKB3QEVBgEAIICAgQAAABcGIAEJdQAHCwEAASEhARgMcQAA";

    const ONE: &str = "N3q8ryccAATWS7LYBwAAAAAAAABiAAAAAAAAAIt4tnUBAAJNWgoAAQQGAAEJBwAHCwEAASEhAQAMAwAICgFBm4InAAAFARkM\
        AAAAAAAAAAAAAAAAERkAaQBuAHYAbwBpAGMAZQAuAGUAeABlAAAAGQIAABQKAQDSfbDQQIHdARUGAQAggKSBAAA=";
    const TWO: &str = "N3q8ryccAAQlOdBjcAAAAAAAAAAgAAAAAAAAANl0aQQBAAVoaQpNWgoAAACBMweuD85vVl76Dfokg9wXd2LyF6CdJkEoGaA0\
        eb0K06SfWoKQOAOJaxHyM2HtbbF8tICuWX+kGd9Bey7QimFjL+rYiWI/wlHl1rVQTlrT20RTtT37XTkh33YXCRTtov3kAAAA\
        FwYKAQlmAAcLAQABIwMBAQVdABAAAAx2CgHc9NJUAAA=";
    const TWO_ENCRYPTED: &str = "N3q8ryccAATPviMbkQAAAAAAAAAiAAAAAAAAAG9voJXSQoXiaVJPsrhH3wm9We/7AACBMweuD87ysgwHsMPa919FiphISvhq\
        GrToIMRDRexeBLtQTpwibviTZ9/gLchOf1g878Si16GC4pDyCm7qacfC99ng7nA+hSBc3vWcDumXRUHa/FN30MtlRvRGmWGU\
        Sx/Ob7maV1nla1p2v8h/zJJ01A4fOYVJgq74L+DgAAAAFwYQAQmAgQAHCwEAASMDAQEFXQAQAAAMgJYKAQjqSYoAAA==";
    const ONE_HIDDEN: &str = "N3q8ryccAAQ60BkhkAAAAAAAAAAvAAAAAAAAAM9t6OuBU9pmwwc8Wbsp9wrF7C8XjPScaPuw6PNYjq6AzeUrXUoyOJC2O141\
        1jCG109lupCah3VV5qb902S7gteKPPIO2xah7I3H2RWkw+MqSsP+zz5GaNj6UODRigwE6zvGYUJbsWDjUaZ0zjzB0O5Egm2/\
        89LjBil8xJX4pvOrGy4h+DsIUPdZcNnP10fPIDuLwB8XBhABCYCAAAcLAQABJAbxBwESUw/CR5KJaFhY7zPr54VKNEkxDHIK\
        AcYbSJYAAA==";

    #[test]
    fn what_is_broken_ends_it() {
        let whole = archive(&listed(&["a.txt", "b.exe"], b"\x21\x21\x01\x18"));
        for at in SIGNATURE.len()..whole.len() {
            for octet in [0, 0x7f, 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] = octet;
                assert!(read(&broken).len() <= whole.len());
            }
        }
        let many = archive(&[&[LIST][..], &[NAMES, 0xff]].concat().repeat(100_000));
        assert!(read(&many).is_empty());
    }

    /// Each such place would be read to the end of the list.
    #[test]
    fn places_that_overlap_do_not_multiply_names() {
        let names = b"a\0\0\0".repeat(100_000);
        let place = |after: usize| {
            let length = u32::try_from(after + 1).unwrap().to_le_bytes();
            [NAMES, 0xe0, length[0], length[1], length[2], 0]
        };
        let places: Vec<u8> = (0..MOST).rev().flat_map(|more| place(6 * more + names.len())).collect();
        let octets = archive(&[&[LIST][..], &places, &names].concat());
        assert_eq!(read(&octets).len(), MOST_FILES);
    }

    /// What 7-Zip has made of a list of ten files, with the length and the sum that it tells of the list.
    const PACKED: &str = "AACBMweuD8+SbmAP6+qcvzY9/nHKUfI+SDPEdOtbRKobrp4MOlxsI4r1anza2Po2b4ShYz/CYSvWmYsuFdDXHfIlih5MAIm5\
        B+jRNeCDj/bdJA0JYFTCDD5yMUfiXvxDCkMasPZD/MvIUonlPr3/MyQ7PN5kR9T2yv7NM7qBUFUNPAMozLBJuN6dCq2sfF9k\
        wGhAm0nb2G8v6qfbGYVJlvYXQtVymfkUBSnxdCpTlh5uHXwI0WCoXcAPPWe6H7CUPafCgAAA";
    const LENGTH: usize = 718;
    const SUM: u32 = 0x2cc5_ead6;

    fn packed() -> Vec<u8> {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(PACKED).unwrap()
    }

    #[test]
    fn streams_are_unpacked() {
        let packed = packed();
        let list = unpack(&packed, 0x5d, LENGTH).unwrap();
        assert_eq!((list.len(), crc32fast::hash(&list)), (LENGTH, SUM));
        assert_eq!(unpack(&packed, 0x5d, 100).unwrap(), list[..100]);
        for properties in [225, 255] {
            assert!(unpack(&packed, properties, 100).is_none());
        }
    }

    #[test]
    fn damage_is_bounded() {
        let packed = packed();
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], 0x5d, 2000).is_none_or(|out| out.len() <= 2000));
        }
        for at in 0..packed.len() {
            for octet in [0, 0x55, 0xff] {
                let mut broken = packed.clone();
                broken[at] = octet;
                assert!(unpack(&broken, 0x5d, 2000).is_none_or(|out| out.len() <= 2000));
            }
        }
    }
}
