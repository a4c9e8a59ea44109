//! The files in RAR archives, by their headers. Nothing is unpacked.

use std::borrow::Cow;

use super::archive::Member;

/// RAR 1.5 to 4 (technote.txt, “Archive format”), and RAR 5 (“RAR 5.0 archive format”), which begin alike.
const EITHER: &[u8] = b"Rar!\x1a\x07";
const OLDER: &[u8] = b"Rar!\x1a\x07\x00";
const NEWER: &[u8] = b"Rar!\x1a\x07\x01\x00";
/// How far programs look for the signature: something else may come before it.
const FARTHEST: usize = 2 << 20;
/// Most headers that are looked at.
const MOST: usize = 65_535;

/// The files of an archive, as far as its headers follow one another. Takes time linear in it.
pub fn members(octets: &[u8]) -> Vec<Member<'_>> {
    let start = &octets[..octets.len().min(FARTHEST)];
    let mut found = Vec::new();
    // The first signature counts: a file in the archive may have others.
    for at in memchr::memmem::find_iter(start, EITHER) {
        if let Some(rest) = octets[at..].strip_prefix(NEWER) {
            newer(rest, &mut found);
            break;
        }
        if let Some(rest) = octets[at..].strip_prefix(OLDER) {
            older(rest, &mut found);
            break;
        }
    }
    found
}

/// Whether a file begins like such an archive.
pub fn is_archive(octets: &[u8]) -> bool {
    octets.starts_with(EITHER)
}

// Types of blocks and their flags in older archives.
const ARCHIVE: u8 = 0x73;
const FILE: u8 = 0x74;
const HAS_HIDDEN_HEADERS: u16 = 0x80;
const HAS_CONTENT: u16 = 0x8000;
const IS_ENCRYPTED: u16 = 4;
const IS_LARGE: u16 = 0x100;
const HAS_UNICODE_NAME: u16 = 0x200;
/// All of these stand for a directory.
const DIRECTORY: u16 = 0xe0;

fn older<'a>(mut rest: &'a [u8], found: &mut Vec<Member<'a>>) {
    for _ in 0..MOST {
        // A sum, the type, flags, and the length of the header.
        let Some(&[_, _, kind, f0, f1, l0, l1]) = rest.first_chunk() else { return };
        let (flags, length) = (u16::from_le_bytes([f0, f1]), usize::from(u16::from_le_bytes([l0, l1])));
        let Some(header) = rest.get(..length).filter(|header| header.len() >= 7) else { return };
        let is_file = kind == FILE;
        let packed = if is_file || flags & HAS_CONTENT != 0 { number(header, 7) } else { Some(0) };
        if kind == ARCHIVE && flags & HAS_HIDDEN_HEADERS != 0 {
            found.push(Member::named(b"", true));
            return;
        }
        let Some(mut packed) = packed else { return };
        if is_file {
            let (at, high) = if flags & IS_LARGE == 0 { (32, Some(0)) } else { (40, number(header, 32)) };
            packed |= high.unwrap_or_default() << 32;
            let name_length = header.get(26..28).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
            let name = header.get(at..at + name_length).unwrap_or_default();
            if flags & DIRECTORY != DIRECTORY {
                let name = older_name(name, flags & HAS_UNICODE_NAME != 0);
                found.push(Member::named(&name, flags & IS_ENCRYPTED != 0));
            }
        }
        let Some(next) = usize::try_from(packed).ok().and_then(|packed| rest.get(length..)?.get(packed..)) else {
            return;
        };
        rest = next;
    }
}

/// The name of a file in an older archive. After it, the one that programs show may follow in Unicode.
fn older_name(name: &[u8], has_unicode: bool) -> Cow<'_, [u8]> {
    match memchr::memchr(0, name) {
        Some(end) if has_unicode && end + 1 < name.len() => {
            Cow::Owned(in_unicode(&name[..end], &name[end + 1..]).into_bytes())
        }
        Some(end) => Cow::Borrowed(&name[..end]),
        None => Cow::Borrowed(name),
    }
}

/// A name in Unicode: its usual upper half, then units in groups of four, each group after an octet that says, two bits a unit, how they
/// are written: as a lower half without an upper one, as one with the usual upper half, as both halves, or as a run of units that are
/// like those of the other name at the same place.
fn in_unicode(name: &[u8], written: &[u8]) -> String {
    let mut rest = written.iter().copied();
    let upper = u16::from(rest.next().unwrap_or_default()) << 8;
    let mut units: Vec<u16> = Vec::new();
    'name: while let Some(ways) = rest.next() {
        for shift in [6, 4, 2, 0] {
            let Some(first) = rest.next() else { break 'name };
            match (ways >> shift) & 3 {
                0 => units.push(u16::from(first)),
                1 => units.push(upper | u16::from(first)),
                2 => {
                    let Some(second) = rest.next() else { break 'name };
                    units.push(u16::from_le_bytes([first, second]));
                }
                _ => {
                    let (more, upper) = if first & 0x80 == 0 { (Some(0), 0) } else { (rest.next(), upper) };
                    let Some(more) = more else { break 'name };
                    let like = name.iter().skip(units.len()).take(usize::from(first & 0x7f) + 2);
                    let like: Vec<u16> = like.map(|octet| upper | u16::from(octet.wrapping_add(more))).collect();
                    units.extend(like);
                }
            }
        }
    }
    String::from_utf16_lossy(&units)
}

fn number(header: &[u8], at: usize) -> Option<u64> {
    let four = header.get(at..)?.first_chunk()?;
    Some(u64::from(u32::from_le_bytes(*four)))
}

// Types of headers and their flags in newer archives.
const NEWER_FILE: u64 = 2;
const ENCRYPTION: u64 = 4;
const HAS_EXTRA: u64 = 1;
const HAS_DATA: u64 = 2;
/// Flags of files.
const IS_DIRECTORY: u64 = 1;
const HAS_TIME: u64 = 2;
const HAS_SUM: u64 = 4;
/// The type of the record that says how a file is encrypted.
const FILE_ENCRYPTION: u64 = 1;

fn newer<'a>(mut rest: &'a [u8], found: &mut Vec<Member<'a>>) {
    for _ in 0..MOST {
        let Some((kind, header, next)) = block(rest) else { return };
        match kind {
            NEWER_FILE => found.extend(header.file()),
            ENCRYPTION => {
                found.push(Member::named(b"", true));
                return;
            }
            _ => {}
        }
        rest = next;
    }
}

/// The fields of a header after its flags, and its records.
struct Header<'a> {
    fields: &'a [u8],
    extra: &'a [u8],
}

/// The type of the next header, the header, and what follows it and its data.
fn block(octets: &[u8]) -> Option<(u64, Header<'_>, &[u8])> {
    let mut rest = octets.get(4..)?;
    let length = usize::try_from(integer(&mut rest)?).ok()?;
    let (mut header, after) = rest.split_at_checked(length)?;
    let (kind, flags) = (integer(&mut header)?, integer(&mut header)?);
    let extra = if flags & HAS_EXTRA == 0 { 0 } else { integer(&mut header)? };
    let data = if flags & HAS_DATA == 0 { 0 } else { integer(&mut header)? };
    let fields = header.len().checked_sub(usize::try_from(extra).ok()?)?;
    let (fields, extra) = header.split_at(fields);
    // Of content that has been cut off there is still the header.
    let next = usize::try_from(data).ok().and_then(|data| after.get(data..)).unwrap_or_default();
    Some((kind, Header { fields, extra }, next))
}

impl<'a> Header<'a> {
    fn file(&self) -> Option<Member<'a>> {
        let mut rest = self.fields;
        let flags = integer(&mut rest)?;
        // The length and the attributes.
        integer(&mut rest)?;
        integer(&mut rest)?;
        for flag in [HAS_TIME, HAS_SUM] {
            if flags & flag != 0 {
                rest = rest.get(4..)?;
            }
        }
        // How it is packed, and the system.
        integer(&mut rest)?;
        integer(&mut rest)?;
        let length = usize::try_from(integer(&mut rest)?).ok()?;
        let name = rest.get(..length)?;
        (flags & IS_DIRECTORY == 0).then(|| Member::named(name, self.is_encrypted()))
    }

    fn is_encrypted(&self) -> bool {
        let mut rest = self.extra;
        while let Some(length) = integer(&mut rest) {
            let Some((mut record, after)) = usize::try_from(length).ok().and_then(|at| rest.split_at_checked(at))
            else {
                return false;
            };
            if integer(&mut record) == Some(FILE_ENCRYPTION) {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// A number of seven bits an octet, the lowest first.
fn integer(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in 0..10 {
        let (octet, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(octet & 0x7f).checked_shl(7 * shift)?;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Vec<(String, bool)> {
        members(octets).into_iter().map(|member| (member.name, member.is_encrypted)).collect()
    }

    /// A block of an older archive.
    fn old(kind: u8, flags: u16, fields: &[u8], content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(7 + fields.len()).unwrap();
        [&[0, 0, kind][..], &flags.to_le_bytes(), &length.to_le_bytes(), fields, content].concat()
    }

    fn old_file(flags: u16, name: &[u8]) -> Vec<u8> {
        let mut fields = [&3u32.to_le_bytes()[..], &[0; 15]].concat();
        fields.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        fields.extend([0; 4]);
        if flags & IS_LARGE != 0 {
            fields.extend([0; 8]);
        }
        fields.extend(name);
        old(FILE, flags | HAS_CONTENT, &fields, b"abc")
    }

    /// A header of a newer archive.
    fn new(kind: u8, fields: &[u8], extra: &[u8], data: &[u8]) -> Vec<u8> {
        let lengths = [u8::try_from(extra.len()).unwrap(), u8::try_from(data.len()).unwrap()];
        let header = [&[kind, 3][..], &lengths, fields, extra].concat();
        [&[0; 4][..], &[u8::try_from(header.len()).unwrap()], &header, data].concat()
    }

    fn new_file(flags: u8, name: &[u8], extra: &[u8]) -> Vec<u8> {
        let skipped = vec![0; if flags & 4 == 0 { 0 } else { 4 }];
        let length = [u8::try_from(name.len()).unwrap()];
        new(2, &[&[flags, 0x83, 1, 0][..], &skipped[..], &[0, 0], &length, name].concat(), extra, b"abc")
    }

    /// An archive, and the files in it: whether each needs a password.
    type Sample = (Vec<u8>, Vec<(&'static str, bool)>);

    fn samples() -> [Sample; 4] {
        let older = [
            OLDER.to_vec(),
            old(ARCHIVE, 0, &[0; 6], b""),
            old_file(0, b"a.txt"),
            old_file(DIRECTORY, b"x"),
            old_file(IS_LARGE, b"?.exe\0more"),
            old_file(IS_ENCRYPTED, b"b.pdf"),
        ];
        let hidden = [OLDER.to_vec(), old(ARCHIVE, HAS_HIDDEN_HEADERS, &[0; 6], b""), vec![7; 100]];
        let newer = [
            NEWER.to_vec(),
            new(1, &[0], b"", b""),
            new_file(0, b"a.txt", b""),
            new_file(1, b"x", b""),
            new_file(4, b"b.exe", &[2, 3, 0]),
            new_file(0, b"c.pdf", &[2, 3, 0, 4, 1, 0, 0, 0]),
        ];
        let hidden_newer = [NEWER.to_vec(), new(4, &[0; 20], b"", b""), vec![7; 100]];
        [
            (older.concat(), vec![("a.txt", false), ("?.exe", false), ("b.pdf", true)]),
            (hidden.concat(), vec![("", true)]),
            (newer.concat(), vec![("a.txt", false), ("b.exe", false), ("c.pdf", true)]),
            (hidden_newer.concat(), vec![("", true)]),
        ]
    }

    #[test]
    fn files_are_named() {
        for (archive, wanted) in samples() {
            let wanted: Vec<_> = wanted.into_iter().map(|(name, encrypted)| (name.to_owned(), encrypted)).collect();
            assert_eq!(read(&archive), wanted);
            assert_eq!(read(&[&b"MZ something"[..], archive.as_slice()].concat()), wanted);
            assert!(is_archive(&archive));
        }
    }

    #[test]
    fn the_first_signature_counts() {
        let whole = [OLDER.to_vec(), old_file(0, b"a.txt"), old(0x7a, HAS_CONTENT, &[8, 0, 0, 0], NEWER)].concat();
        let whole = [whole, old_file(0, b"b.exe")].concat();
        let names = |octets: &[u8]| read(octets).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&whole), ["a.txt", "b.exe"]);
        assert_eq!(names(&[EITHER, b"\x02", &whole].concat()), ["a.txt", "b.exe"]);
    }

    /// As unrar reads them.
    #[test]
    fn names_in_unicode_count() {
        for (written, name) in [
            (&b"a.txt\0\x00\x00a.ex\x00e"[..], "a.exe"),
            // With the usual upper half, and with both halves.
            (b"???.txt\0\x04\x5a\x33\x43\x3e\x04.\x00", "\u{433}\u{443}\u{43e}."),
            // What is like the other name: two units and others, and three with something added.
            (b"a.txt\0\x00\xc0\x00exe", "a.exe"),
            (b"abc\0\x04\xc0\x81\x01", "\u{462}\u{463}\u{464}"),
            (b"a.txt\0", "a.txt"),
            (b"\xc3\xa4.exe", "\u{e4}.exe"),
        ] {
            let octets = [OLDER.to_vec(), old_file(HAS_UNICODE_NAME, written)].concat();
            assert_eq!(read(&octets), [(name.to_owned(), false)], "{written:?}");
        }
    }

    #[test]
    fn what_is_broken_ends_it() {
        for (archive, wanted) in samples() {
            for end in 0..archive.len() {
                assert!(read(&archive[..end]).len() <= wanted.len());
            }
            for at in 8..archive.len() {
                for octet in [0, 0x7f, 0xff] {
                    let mut broken = archive.clone();
                    broken[at] = octet;
                    assert!(read(&broken).len() <= archive.len());
                }
            }
        }
        // A header without a length is no header.
        assert!(read(&[OLDER, &[0; 1000]].concat()).is_empty());
        assert!(read(&[NEWER, &[0; 1000]].concat()).is_empty());
    }
}
