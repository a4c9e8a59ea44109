//! The files in 7z archives, by the list at their end. Nothing is unpacked: of several files the list is usually packed, too, and not
//! read; of a single one it is not.

use super::archive::Member;

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
/// The coder that encrypts (Methods.txt, “06F10701 - 7zAES”), after the octet with its length.
const ENCRYPTION: &[u8] = b"\x06\xf1\x07\x01";

/// The files of an archive. Takes time linear in it.
pub fn members(octets: &[u8]) -> Vec<Member<'_>> {
    let Some(list) = list(octets) else { return Vec::new() };
    let is_encrypted = memchr::memmem::find(list, ENCRYPTION).is_some();
    match list.first() {
        Some(&LIST) => names(list).map(|name| Member::named(name.as_bytes(), is_encrypted)).collect(),
        // Names that nobody sees without the password.
        Some(&PACKED_LIST) if is_encrypted => vec![Member::named(b"", true)],
        _ => Vec::new(),
    }
}

/// Whether a file begins like such an archive.
pub fn is_archive(octets: &[u8]) -> bool {
    octets.starts_with(SIGNATURE)
}

/// The list of the files, which may be packed.
fn list(octets: &[u8]) -> Option<&[u8]> {
    let begin = memchr::memmem::find(&octets[..octets.len().min(FARTHEST)], SIGNATURE)?;
    let (start, rest) = octets[begin..].split_at_checked(START_LENGTH)?;
    let number = |at: usize| {
        let eight = start.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_le_bytes(*eight)).ok()
    };
    rest.get(number(12)?..)?.get(..number(20)?)
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
    let first = *octets.first()?;
    // As many octets follow as there are ones at its beginning; the rest of it is the highest octet.
    let more = first.leading_ones() as usize;
    let low = octets.get(1..=more)?;
    let high = u64::from(first & (0x7f_u8.checked_shr(first.leading_ones()).unwrap_or(0)));
    let length = low.iter().rev().fold(high, |value, octet| (value << 8) | u64::from(*octet));
    let data = octets.get(more + 1..)?.get(..usize::try_from(length).ok()?)?;
    let names = data.strip_prefix(&[0])?;
    (names.len().is_multiple_of(2) && names.ends_with(&[0, 0])).then_some(names)
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
        assert!(read(&archive(&[PACKED_LIST, 6, 0])).is_empty());
    }

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
}
