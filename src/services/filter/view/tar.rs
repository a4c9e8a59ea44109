//! The files in tar archives (IEEE 1003.1, “ustar”). Windows opens them like folders, too.

use super::archive::Member;

/// Most files that are looked at.
const MOST: usize = 65_535;

/// The files of an archive, as far as its headers follow one another. Takes time linear in it.
pub fn members(octets: &[u8]) -> Vec<Member<'_>> {
    let mut archive = ::tar::Archive::new(octets);
    let Ok(entries) = archive.entries() else { return Vec::new() };
    let files = entries.map_while(Result::ok).filter(|entry| entry.header().entry_type().is_file());
    files.take(MOST).map(|file| Member::named(&file.path_bytes(), false)).collect()
}

/// Whether a file begins like such an archive.
pub fn is_archive(octets: &[u8]) -> bool {
    octets.get(257..262) == Some(&b"ustar"[..])
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
        let long = "y".repeat(150) + ".exe";
        assert_eq!(read(&sample(&[(&long, b"MZ"), ("a", b"")])), [&long, "a"]);
        let mut archive = ::tar::Builder::new(Vec::new());
        archive.append_pax_extensions([("path", long.as_bytes())]).unwrap();
        let described = archive.into_inner().unwrap();
        assert_eq!(read(&[&described[..described.len() - 1024], &sample(&[("a", b"")])].concat()), [long]);
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
