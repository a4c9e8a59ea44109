//! The files in tar archives (IEEE 1003.1, “ustar”), by their headers. Windows opens them like folders, too.

use super::archive::Member;

const BLOCK: usize = 512;
/// Most headers that are looked at.
const MOST: usize = 65_535;
/// Types of entries: files, and those whose content is or has the name of the next one, if it is long.
const FILE: u8 = b'0';
const OLDER_FILE: u8 = 0;
const LONG_NAME: u8 = b'L';
const FIELDS: u8 = b'x';

/// The files of an archive, as far as its headers follow one another. Takes time linear in it.
pub fn members(octets: &[u8]) -> Vec<Member<'_>> {
    let (mut found, mut rest) = (Vec::new(), octets);
    for _ in 0..MOST {
        let Some((header, after)) = rest.split_at_checked(BLOCK).filter(|(header, _)| is_archive(header)) else {
            break;
        };
        let Some(length) = octal(&header[124..136]) else { break };
        let content = &after[..after.len().min(length)];
        match header[156] {
            FILE | OLDER_FILE => found.push(Member::named(until_zero(&header[..100]), false)),
            LONG_NAME => found.push(Member::named(until_zero(content), false)),
            FIELDS => found.extend(path(content).map(|name| Member::named(name, false))),
            _ => {}
        }
        let Some(next) = after.get(length.div_ceil(BLOCK) * BLOCK..) else { break };
        rest = next;
    }
    found
}

/// Whether a file begins like such an archive.
pub fn is_archive(octets: &[u8]) -> bool {
    octets.get(257..262) == Some(&b"ustar"[..])
}

/// The name among further fields of an entry.
fn path(fields: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(fields, b" path=")?;
    fields[at + b" path=".len()..].split(|octet| *octet == b'\n').next()
}

fn until_zero(octets: &[u8]) -> &[u8] {
    octets.split(|octet| *octet == 0).next().unwrap_or_default()
}

fn octal(field: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(until_zero(field)).ok()?.trim();
    usize::from_str_radix(if digits.is_empty() { "0" } else { digits }, 8).ok()
}

/// An archive with these files.
#[cfg(test)]
pub fn sample(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Vec<String> {
        members(octets).into_iter().map(|member| member.name).collect()
    }

    #[test]
    fn files_are_named() {
        let archive = sample(&[("x/a.txt", &[b'a'; 600]), ("b.exe", b"MZ"), ("empty", b"")]);
        assert!(is_archive(&archive));
        assert_eq!(read(&archive), ["x/a.txt", "b.exe", "empty"]);
        let entry = |kind: u8, content: &[u8]| {
            let mut block = sample(&[("n", content)]);
            block[156] = kind;
            block.truncate(2 * BLOCK);
            block
        };
        let long = "y".repeat(150) + ".exe";
        for (kind, content) in [(LONG_NAME, format!("{long}\0")), (FIELDS, format!("164 path={long}\n"))] {
            assert_eq!(
                read(&[entry(kind, content.as_bytes()), archive.clone()].concat())[..2],
                [long.as_str(), "x/a.txt"]
            );
        }
    }

    #[test]
    fn what_is_broken_ends_it() {
        let archive = sample(&[("a.txt", b"a"), ("b.txt", b"b")]);
        for end in 0..archive.len() {
            assert!(read(&archive[..end]).len() <= 2);
        }
        for at in 0..archive.len() {
            for octet in [0, b'7', 0xff] {
                let mut broken = archive.clone();
                broken[at] = octet;
                assert!(read(&broken).len() <= 2);
            }
        }
        let mut endless = archive;
        endless[124..136].copy_from_slice(b"777777777777");
        assert_eq!(read(&endless), ["a.txt"]);
    }
}
