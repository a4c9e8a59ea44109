//! The files in ZIP archives. Programs find them by the list at the end or by the header before each file, and the two may differ: here
//! both are read, and neither is relied upon for sizes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;

use flate2::bufread::DeflateDecoder;

use super::parts::extension;

/// Most octets of an archive that are looked at: as large as mail may be nearly everywhere.
pub const ROOM: usize = 32 << 20;
/// Most headers, and most entries of the list, that are looked at. As many files as the list of a plain archive can count.
pub const MOST: usize = 65_535;
/// Most octets of a name that are kept, those at its end.
const LONGEST_NAME: usize = 256;

/// APPNOTE §4.3.7, §4.3.12.
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
const CENTRAL: &[u8] = b"PK\x01\x02";
const CENTRAL_LENGTH: usize = 46;
/// APPNOTE §4.3.16.
const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
/// APPNOTE §4.4.5.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// “Info-ZIP Unicode Path Extra Field” (APPNOTE §4.6.9): a version, and a sum of the other name.
const UNICODE_PATH: usize = 0x7075;
const UNICODE_PATH_START: usize = 5;
/// Most records behind a name that are looked at, and the longest name of which another is looked for: no program makes a longer file.
const MOST_RECORDS: usize = 100;
const LONGEST_PATH: usize = 4096;
/// No method of theirs.
const UNREAD: u16 = u16::MAX;

/// Most kinds of files that are noted, and most characters of an extension and of a name that is noted.
const MOST_KINDS: usize = 10_000;
const LONGEST_EXTENSION: usize = 20;
const LONGEST_NOTE: usize = 60;
/// Where newer programs of Office keep the macros of a document (MS-OFFMACRO2 §2.2.1).
const MACROS: &str = "vbaProject.bin";

/// What is in the archives of a message: of each kind of file, the first.
#[derive(Debug, Default)]
pub struct Contents {
    /// Names by extension, whether a password is needed, and whether they are in folders.
    kinds: BTreeMap<(String, bool, bool), String>,
    /// A page that is not one of many files.
    pub page: Option<String>,
    /// Where macros of a document are.
    pub macros: Option<String>,
}

/// A kind of files in archives.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind<'k> {
    /// In lower case.
    pub extension: &'k str,
    /// Whether a password is needed.
    pub is_encrypted: bool,
    /// Whether it is in the folders of an archive of many files, as sources and sites are.
    pub is_of_many: bool,
    /// The name of the first such file.
    pub name: &'k str,
}

impl Contents {
    /// Notes a file with this extension.
    pub fn note(&mut self, extension: &str, member: &Member<'_>) {
        let note = || member.name.chars().take(LONGEST_NOTE).collect::<String>();
        let (folder, name) = member.name.rsplit_once(['/', '\\']).unwrap_or(("", &member.name));
        if name.eq_ignore_ascii_case(MACROS) {
            self.macros.get_or_insert_with(note);
        }
        if !self.is_full() {
            // No program has a longer one.
            let extension = if extension.len() > LONGEST_EXTENSION { "" } else { extension };
            let key = (extension.to_owned(), member.is_encrypted, !folder.is_empty());
            self.kinds.entry(key).or_insert_with(note);
        }
    }

    /// Adds what is in another archive, and whether it has many files.
    pub fn add(&mut self, other: Self, has_many: bool) {
        for ((extension, is_encrypted, is_in_folder), name) in other.kinds {
            if !self.is_full() {
                self.kinds.entry((extension, is_encrypted, is_in_folder && has_many)).or_insert(name);
            }
        }
        self.page = self.page.take().or(other.page.filter(|_| !has_many));
        self.macros = self.macros.take().or(other.macros);
    }

    /// Whether there may be more kinds of files than are noted.
    pub fn is_full(&self) -> bool {
        self.kinds.len() >= MOST_KINDS
    }

    /// Each kind of file.
    pub fn kinds(&self) -> impl Iterator<Item = Kind<'_>> {
        self.kinds.iter().map(|((extension, is_encrypted, is_of_many), name)| Kind {
            extension,
            is_encrypted: *is_encrypted,
            is_of_many: *is_of_many,
            name,
        })
    }
}

/// A file in an archive.
#[derive(Debug, Clone)]
pub struct Member<'z> {
    /// The name with its path.
    pub name: String,
    /// By what other name, of another kind, some programs call it.
    other_name: Option<String>,
    /// Whether a password is needed.
    pub is_encrypted: bool,
    method: u16,
    /// How long the packed content is said to be; it may be longer.
    length: usize,
    /// Where it begins.
    content: &'z [u8],
}

/// The files of an archive, and of archives that it holds without compressing them: first by the headers before them, then those of
/// which the list says something else. Takes time linear in the archive; nothing is unpacked.
pub fn members(zip: &[u8]) -> impl Iterator<Item = Member<'_>> {
    let (begin, Range { start, end }) = begin(zip);
    let reach = memchr::memmem::find_iter(zip, LOCAL).nth(MOST).unwrap_or(zip.len());
    let headers = memchr::memmem::find_iter(zip, LOCAL).take(MOST).filter_map(move |at| by_header(zip, at));
    // The content of a file may have any number of signatures, but it is no part of the list.
    let places = move || listed(zip, start).take_while(move |at| *at < end).take(MOST);
    let known = places().last().map_or(0..0, |last| start..last + 1);
    let others = memchr::memmem::find_iter(zip, CENTRAL).filter(move |at| !known.contains(at)).take(MOST);
    headers
        .chain(places().chain(others).filter_map(move |at| by_entry(zip, at, begin, reach)))
        .flat_map(Member::by_each_name)
}

/// Where the archive begins, from which places in the list are counted, and where its list is: by the record at its end, as programs
/// find it. Else it begins with the first header, and its list may be anywhere. Something with the same signature may come before it.
fn begin(zip: &[u8]) -> (usize, Range<usize>) {
    let by_end = || {
        let at = memchr::memmem::rfind(zip, END)?;
        let end = zip[at..].get(..END_LENGTH)?;
        let list = at.checked_sub(large(end, 12))?;
        let begin = list.checked_sub(large(end, 16))?;
        zip[begin..].starts_with(LOCAL).then_some((begin, list..at))
    };
    by_end().unwrap_or_else(|| (memchr::memmem::find(zip, LOCAL).unwrap_or(0), 0..0))
}

/// The places of entries, each right behind the one before it, from this place.
fn listed(zip: &[u8], at: usize) -> impl Iterator<Item = usize> {
    let length = move |at: usize| {
        let entry = zip.get(at..)?.get(..CENTRAL_LENGTH)?;
        entry.starts_with(CENTRAL).then(|| CENTRAL_LENGTH + size(entry, 28) + size(entry, 30) + size(entry, 32))
    };
    let is_entry = move |at: usize| length(at).is_some();
    let first = Some(at).filter(|at| is_entry(*at));
    std::iter::successors(first, move |at| Some(at + length(*at)?).filter(|next| is_entry(*next)))
}

/// The file whose header is at this place.
fn by_header(zip: &[u8], at: usize) -> Option<Member<'_>> {
    let header = zip.get(at..)?.get(..LOCAL_LENGTH)?;
    let (name_at, name_length) = (at + LOCAL_LENGTH, size(header, 26));
    let name = zip.get(name_at..name_at + name_length)?;
    Some(Member {
        name: text(name),
        other_name: other_name(name, &zip[name_at + name_length..], size(header, 28)),
        is_encrypted: number(header, 6) & 1 == 1,
        method: number(header, 8),
        length: large(header, 18),
        content: zip.get(name_at + name_length + size(header, 28)..).unwrap_or_default(),
    })
}

/// The file that an entry of the list is about, unless the file's header says the same. `begin` is where the archive begins, `reach` how
/// far headers are looked at.
fn by_entry(zip: &[u8], at: usize, begin: usize, reach: usize) -> Option<Member<'_>> {
    let entry = zip.get(at..)?.get(..CENTRAL_LENGTH)?;
    let name_at = at + CENTRAL_LENGTH;
    let there = begin.saturating_add(large(entry, 42));
    let header = zip.get(there..).filter(|rest| rest.starts_with(LOCAL)).and_then(|_| by_header(zip, there));
    let name = zip.get(name_at..name_at + size(entry, 28))?;
    let listed = Member {
        name: text(name),
        other_name: other_name(name, &zip[name_at + name.len()..], size(entry, 30)),
        is_encrypted: number(entry, 8) & 1 == 1,
        method: number(entry, 10),
        length: large(entry, 20),
        content: header.as_ref().map(|header| header.content).unwrap_or_default(),
    };
    let is_known = header.is_some_and(|header| {
        there < reach
            && (&header.name, &header.other_name) == (&listed.name, &listed.other_name)
            && header.is_encrypted == listed.is_encrypted
            && header.method == listed.method
            // Only stored content needs its length.
            && (header.method != STORED || header.length >= listed.length)
    });
    (!is_known).then_some(listed)
}

impl Member<'_> {
    /// A file in another kind of archive, of which the content is not read.
    pub fn named(name: &[u8], is_encrypted: bool) -> Self {
        Self { name: text(name), other_name: None, is_encrypted, method: UNREAD, length: 0, content: &[] }
    }

    fn by_each_name(mut self) -> impl Iterator<Item = Self> {
        let other = self.other_name.take().map(|name| Self { name, ..self.clone() });
        std::iter::once(self).chain(other)
    }

    /// Whether the content is in the archive as it is. Another ZIP archive in it is read with the archive.
    pub const fn is_stored(&self) -> bool {
        self.method == STORED
    }

    /// The content, as far as it can be unpacked, and at most `room` octets of it; `None` if it is encrypted or packed in an unusual way.
    /// At most `packed` octets are read, less those that are: files may overlap, and much that is packed may be nothing.
    pub fn unpack(&self, room: usize, packed: &mut usize) -> Option<Vec<u8>> {
        let given = &self.content[..self.content.len().min(*packed)];
        match self.method {
            _ if self.is_encrypted => None,
            STORED => {
                let given = &given[..given.len().min(room)];
                // If the length is given only after the content, a signature follows. What is read beyond the end does no harm.
                let end = memchr::memmem::find(given, b"PK").unwrap_or(given.len());
                let content = given[..end.max(self.length).min(given.len())].to_vec();
                *packed -= content.len();
                Some(content)
            }
            DEFLATED => {
                let mut content = Vec::new();
                let mut decoder = DeflateDecoder::new(given).take(room as u64);
                // What comes before any damage counts. The content itself says where it ends.
                let _damage = decoder.read_to_end(&mut content);
                let read = usize::try_from(decoder.get_ref().total_in()).unwrap_or(usize::MAX);
                *packed = packed.saturating_sub(read);
                Some(content)
            }
            _ => None,
        }
    }
}

/// Another name of a file, if it is of another kind by that: in Unicode, from a record in what follows the name, as 7-Zip, WinRAR and
/// Info-ZIP read it, or what is before a zero, at which many programs end it.
fn other_name(name: &[u8], behind: &[u8], length: usize) -> Option<String> {
    if name.len() > LONGEST_PATH {
        return None;
    }
    let records = &behind[..behind.len().min(length)];
    let other = match unicode_path(name, records) {
        Some(other) => other,
        None => &name[..memchr::memchr(0, name)?],
    };
    let other = text(other);
    (extension(&other) != extension(&text(name))).then_some(other)
}

/// The name in Unicode, if it belongs to this one: else somebody has changed that later.
fn unicode_path<'z>(name: &[u8], records: &'z [u8]) -> Option<&'z [u8]> {
    let mut rest = records;
    for _ in 0..MOST_RECORDS {
        let (head, after) = rest.split_first_chunk::<4>()?;
        let (record, next) = after.split_at_checked(size(head, 2))?;
        if size(head, 0) == UNICODE_PATH && record.len() > UNICODE_PATH_START {
            let sum = u32::try_from(large(record, 1)).ok()?;
            return (sum == crc32fast::hash(name)).then_some(&record[UNICODE_PATH_START..]);
        }
        rest = next;
    }
    None
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[name.len().saturating_sub(LONGEST_NAME)..]).into_owned()
}

fn number(header: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([header[at], header[at + 1]])
}

fn size(header: &[u8], at: usize) -> usize {
    usize::from(number(header, at))
}

fn large(header: &[u8], at: usize) -> usize {
    size(header, at) | (size(header, at + 2) << 16)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::CompressionMethod;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn zipped(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, octets) in files {
            archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            archive.write_all(octets).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn read(zip: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
        members(zip).map(|member| (member.name.clone(), member.unpack(1000, &mut { usize::MAX }))).collect()
    }

    /// Replaces the octets so far behind the first occurrence of a signature.
    fn patched(mut zip: Vec<u8>, signature: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
        let at = memchr::memmem::find(&zip, signature).unwrap() + at;
        zip[at..at + octets.len()].copy_from_slice(octets);
        zip
    }

    #[test]
    fn each_file_is_found_once() {
        let files: [(&str, &[u8]); 2] = [("a/one.txt", b"one one one one one"), ("two.html", b"<p>two")];
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let zip = zipped(&files, method);
            let wanted = files.map(|(name, content)| (name.to_owned(), Some(content.to_vec())));
            assert_eq!(read(&zip), wanted, "{method:?}");
            // Without the list, and with something before the archive.
            let end = memchr::memmem::find(&zip, CENTRAL).unwrap();
            assert_eq!(read(&zip[..end]), wanted, "{method:?}");
            assert_eq!(read(&[b"GIF89a", zip.as_slice()].concat()), wanted, "{method:?}");
        }
    }

    #[test]
    fn what_the_list_says_differently_is_read_too() {
        let zip = zipped(&[("a.txt", &b"<p>PK page"[..])], CompressionMethod::Stored);
        let renamed = patched(zip.clone(), CENTRAL, CENTRAL_LENGTH, b"a.htm");
        let content = Some(b"<p>PK page".to_vec());
        assert_eq!(read(&renamed), [("a.txt".to_owned(), content.clone()), ("a.htm".to_owned(), content.clone())]);
        let behind = [LOCAL, &[0; 40], &renamed].concat();
        assert_eq!(read(&behind).last(), Some(&("a.htm".to_owned(), content.clone())));
        // Where the record at the end is wrong about the length of the list, and thus about its beginning.
        let end = memchr::memmem::rfind(&renamed, END).unwrap();
        let mut misplaced = renamed.clone();
        misplaced[end + 12] += 1;
        misplaced[end + 16] -= 1;
        assert_eq!(read(&misplaced).last(), Some(&("a.htm".to_owned(), content.clone())));
        let shortened = patched(zip.clone(), LOCAL, 18, &[0; 4]);
        assert_eq!(read(&shortened)[1], ("a.txt".to_owned(), content));
        for (signature, at) in [(LOCAL, 6), (CENTRAL, 8)] {
            let encrypted = patched(zip.clone(), signature, at, &[1]);
            let found: Vec<_> = members(&encrypted).filter(|member| member.is_encrypted).collect();
            assert!(found.len() == 1 && found[0].unpack(1000, &mut { usize::MAX }).is_none());
        }
    }

    #[test]
    fn every_name_of_a_file_counts() {
        let zip = zipped(&[("a.exe#.txt", b"MZ")], CompressionMethod::Stored);
        let names = |zip: &[u8]| members(zip).map(|member| member.name).collect::<Vec<_>>();
        let cut = patched(patched(zip, LOCAL, LOCAL_LENGTH + 5, &[0]), CENTRAL, CENTRAL_LENGTH + 5, &[0]);
        assert_eq!(names(&cut), ["a.exe\0.txt", "a.exe"]);
        let header = |name: &[u8], sum: u32, other: &[u8]| {
            let of = |length: usize| u16::try_from(length).unwrap().to_le_bytes();
            let path = [&[0x75, 0x70][..], &of(5 + other.len()), &[1], &sum.to_le_bytes(), other].concat();
            let records = [&[0x55, 0x54, 1, 0, 7][..], &path].concat();
            [LOCAL, &[0; 22], &of(name.len()), &of(records.len()), name, &records, b"MZ"].concat()
        };
        let sum = crc32fast::hash(b"a.txt");
        assert_eq!(names(&header(b"a.txt", sum, b"a.exe")), ["a.txt", "a.exe"]);
        // The same with other letters, and the record of a name that has been changed since.
        assert_eq!(names(&header(b"a.txt", sum, "ä.txt".as_bytes())), ["a.txt"]);
        assert_eq!(names(&header(b"a.txt", sum ^ 1, b"a.exe")), ["a.txt"]);
        let whole = header(b"a.txt", sum, b"a.exe");
        for end in 0..whole.len() {
            assert!(names(&whole[..end]).len() <= 2);
        }
    }

    #[test]
    fn signatures_in_a_file_hide_none_behind_it() {
        let signatures = [LOCAL.repeat(MOST + 1), CENTRAL.repeat(MOST + 1)].concat();
        let zip = zipped(&[("a.bin", signatures.as_slice()), ("b.exe", &b"MZ"[..])], CompressionMethod::Stored);
        let found = members(&zip).find(|member| member.name == "b.exe");
        assert_eq!(found.and_then(|member| member.unpack(2, &mut { usize::MAX })), Some(b"MZ".to_vec()));
    }

    #[test]
    fn bombs_and_damage_are_bounded() {
        let bomb = zipped(&[("a.html", vec![b' '; 8 << 20].as_slice())], CompressionMethod::Deflated);
        let mut packed = bomb.len();
        let unpacked: Vec<usize> =
            members(&bomb).filter_map(|member| Some(member.unpack(1000, &mut packed)?.len())).collect();
        assert!(unpacked == [1000] && packed < bomb.len());
        // Blocks without content (RFC 1951 §3.2.4).
        let header = [LOCAL, &[0; 4], &[8, 0], &[0; 16], &[6, 0, 0, 0], b"a.html"].concat();
        let nothing = [header, b"\0\0\0\xff\xff".repeat(10_000)].concat();
        let mut packed = 20_000;
        let file = members(&nothing).next().unwrap();
        assert!(file.unpack(1000, &mut packed).unwrap().is_empty() && packed < 1000);
        assert!(file.unpack(1000, &mut packed).unwrap().is_empty());
        let header = [LOCAL, &[0; 22], &[0xff, 0xff, 0, 0]].concat();
        let many = header.repeat(50_000);
        let found = members(&many).map(|member| member.name.len()).collect::<Vec<_>>();
        assert!(found.len() <= MOST && found.iter().all(|length| *length <= 3 * LONGEST_NAME));
        for cut in (0..bomb.len()).step_by(37) {
            assert!(read(&bomb[..cut]).len() <= 1);
        }
    }
}
