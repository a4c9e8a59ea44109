//! The files in tar archives (IEEE 1003.1, “ustar”). Windows opens them like folders, too.

use std::io::Read;

use super::archive::Member;

/// Octets of a header.
const HEADER: u64 = 512;
/// Most files that are looked at.
const MOST: usize = 65_535;

/// The files of an archive, as far as its headers follow one another. Takes time linear in it.
pub fn members(octets: &[u8]) -> Vec<Member<'_>> {
    members_behind(octets, 0)
}

/// Those whose headers are not all within the first `known` octets.
pub fn members_behind<'a>(archive: impl Read, known: usize) -> Vec<Member<'a>> {
    let mut archive = ::tar::Archive::new(archive);
    let Ok(entries) = archive.entries() else { return Vec::new() };
    let files = entries
        .map_while(Result::ok)
        .filter(|entry| is_file(entry.header().entry_type()) && entry.raw_header_position() + HEADER > known as u64);
    files.take(MOST).map(|file| Member::named(&file.path_bytes(), false)).collect()
}

/// Whether something becomes a file when it is unpacked: also what is of an unknown kind (“ustar”, typeflag), and another name of a file.
fn is_file(kind: ::tar::EntryType) -> bool {
    let is_special = kind.is_character_special() || kind.is_block_special() || kind.is_fifo();
    !(is_special || kind.is_dir() || kind.is_symlink() || kind.is_pax_global_extensions())
}

/// Whether a file begins like such an archive.
pub fn is_archive(octets: &[u8]) -> bool {
    octets.get(257..262) == Some(&b"ustar"[..]) || octets.first_chunk().is_some_and(is_header)
}

/// Whether a block has the sum of a header. In older archives there is nothing else to know it by.
fn is_header(block: &[u8; 512]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let sum: u32 = block.iter().map(|octet| u32::from(*octet)).sum();
    let own: u32 = block[SUM].iter().map(|octet| u32::from(*octet)).sum();
    // It counts as blanks itself.
    let wanted = sum - own + 8 * u32::from(b' ');
    let digits = block[SUM].split(|octet| matches!(octet, 0 | b' ')).find(|digits| !digits.is_empty());
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits.is_some_and(|digits| u32::from_str_radix(digits, 8) == Ok(wanted))
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

/// The header of an empty file.
#[cfg(test)]
pub fn header_sample(name: &str) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An archive of the oldest form, without a mark, with this file.
#[cfg(test)]
pub fn older_sample(name: &str, kind: u8) -> Vec<u8> {
    let mut header = ::tar::Header::new_old();
    header.set_path(name).unwrap();
    header.set_entry_type(::tar::EntryType::new(kind));
    header.set_size(2);
    header.set_cksum();
    [&header.as_bytes()[..], b"MZ", &[0; 510], &[0; 1024]].concat()
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
        let long = "y".repeat(150) + ".exe";
        assert_eq!(read(&sample(&[(&long, b"MZ"), ("a", b"")])), [&long, "a"]);
        let mut archive = ::tar::Builder::new(Vec::new());
        archive.append_pax_extensions([("path", long.as_bytes())]).unwrap();
        let described = archive.into_inner().unwrap();
        assert_eq!(read(&[&described[..described.len() - 1024], &sample(&[("a", b"")])].concat()), [long]);
    }

    /// All of these are unpacked as files.
    #[test]
    fn files_of_any_kind_are_named() {
        for (kind, is_file) in
            [(b'0', true), (0, true), (b'7', true), (b'Z', true), (b'1', true), (b'5', false), (b'2', false)]
        {
            let found = read(&older_sample("b.exe", kind));
            assert_eq!(found.len(), usize::from(is_file), "{kind}");
        }
    }

    #[test]
    fn archives_without_a_mark_are_known_by_their_sum() {
        let mut octets = older_sample("b.exe", b'0');
        assert!(is_archive(&octets) && !is_archive(&octets[..511]));
        assert_ne!(&octets[257..262], b"ustar");
        octets[0] += 1;
        assert!(!is_archive(&octets));
        for octet in [0, b' ', b'0', 0xff] {
            assert!(!is_archive(&[octet; 512]));
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
        let mut header = ::tar::Header::new_ustar();
        header.set_path("endless.txt").unwrap();
        header.set_size(0o7_777_777_777);
        header.set_cksum();
        assert_eq!(read(&[&header.as_bytes()[..], &archive].concat()), ["endless.txt"]);
    }
}
