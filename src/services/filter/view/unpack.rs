//! What is in attached archives.

use std::io::Read as _;

use flate2::bufread::GzDecoder;

use super::archive::{self, Contents, Member};
use super::parts::{Page, Part, extension, saved_name};
use super::{HtmlFacts, Limit, View, decode, html, rar, seven, tar};

/// Most octets of pages in an archive that are unpacked.
const MAX_PACKED: usize = 4 << 20;
/// Most pages in archives that are read.
pub const MAX_PAGES: usize = 100;
/// An archive of more files is a site, or its documentation, which may well ask for passwords.
const MAX_ENCLOSED: usize = 10;
/// Deepest archives in archives that are looked into.
const DEEPEST: u32 = 3;
/// Most octets of archives in the archives of a message that are unpacked.
const MAX_INSIDE: usize = 8 << 20;

/// An archive in another hardly becomes smaller by that. One that becomes smaller by this factor is there to be large.
const HOLLOW: usize = 50;

/// Most files in the archives of a message that are looked at.
const MAX_FILES: usize = 300_000;

/// What may still be read of a message.
struct Left<'r> {
    /// Files in archives.
    files: usize,
    /// Octets of text.
    room: &'r mut usize,
    pages: usize,
    /// Octets of archives in archives.
    inside: usize,
    /// Parts of gzip files.
    gzip_parts: usize,
}

/// What was found in an attached archive.
#[derive(Default)]
struct Found {
    /// How many files there are.
    files: usize,
    /// What they are.
    contents: Contents,
}

/// Whether a file with this extension, in lower case, is an archive that is looked into.
pub fn is_archive_name(extension: &str) -> bool {
    matches!(extension, "zip" | "rar" | "7z" | "tar" | "gz" | "tgz")
}

/// Most parts of the gzip files of a message that are read. An empty one has twenty octets.
const MAX_GZIP_PARTS: usize = 100_000;

/// Most octets of a tar archive in a gzip file that are unpacked only for its headers.
const MAX_HEADERS: u64 = 32 << 20;

/// Octets by which an archive is known.
pub const HEAD: usize = 512;
/// RFC 1952 §2.3.1, with the only method there is.
const GZIP: &[u8] = b"\x1f\x8b\x08";

/// Whether something that begins with these octets is such an archive.
pub fn is_archive(head: &[u8]) -> bool {
    head.starts_with(GZIP) || is_packed(head)
}

/// The same, of several files.
fn is_packed(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || rar::is_archive(head) || seven::is_archive(head) || tar::is_archive(head)
}

/// The files of an archive of any kind: programs look at more than its name.
fn members(octets: &[u8]) -> impl Iterator<Item = Member<'_>> {
    let others = rar::members(octets).into_iter().chain(seven::members(octets)).chain(tar::members(octets));
    archive::members(octets).chain(others)
}

/// The name of the file in a gzip file, if it is told, and its content if that is an archive, as far as there is room.
fn unzipped(octets: &[u8], left: &mut Left<'_>) -> (String, Vec<u8>) {
    let mut first = GzDecoder::new(octets);
    // The header is there as soon as something has been read.
    let _damage = first.by_ref().take(1).read_to_end(&mut Vec::new());
    let name = first.header().and_then(|header| header.filename()).unwrap_or_default();
    let head = gunzip(octets, HEAD.min(left.inside), &mut left.gzip_parts);
    let content = if is_packed(&head) { gunzip(octets, left.inside, &mut left.gzip_parts) } else { Vec::new() };
    left.inside = left.inside.saturating_sub(content.len());
    (String::from_utf8_lossy(name).into_owned(), content)
}

/// The content of a gzip file, of one part after the other (RFC 1952 §2.2), and at most `room` octets of it.
fn gunzip(octets: &[u8], room: usize, parts: &mut usize) -> Vec<u8> {
    let (mut content, mut rest) = (Vec::new(), octets);
    while *parts > 0 {
        *parts -= 1;
        let mut decoder = GzDecoder::new(rest);
        let left = room - content.len();
        // What comes before any damage counts.
        let is_damaged = decoder.by_ref().take(left as u64).read_to_end(&mut content).is_err();
        rest = decoder.into_inner();
        if is_damaged || rest.is_empty() || content.len() >= room {
            break;
        }
    }
    content
}

/// Those files of a tar archive in a gzip file for which there was no room. This happens at most once in a message.
fn behind<'a>(octets: &[u8], inside: &[u8], left: &Left<'_>) -> Vec<Member<'a>> {
    if left.inside > 0 || !tar::is_archive(inside) {
        return Vec::new();
    }
    tar::members_behind(GzDecoder::new(octets).take(MAX_HEADERS), inside.len())
}

/// Notes the name of a file.
fn note(name: &str, contents: &mut Contents) {
    contents.note(&extension(name), &Member::named(name.as_bytes(), false));
}

/// Notes the name of the file in a gzip file: without another one, it gets that of the gzip file.
fn note_gzip(name: &str, octets: &[u8], contents: &mut Contents) {
    let name = saved_name(name);
    if octets.starts_with(GZIP) && extension(&name) == "gz" {
        note(&name[..name.len() - ".gz".len()], contents);
    }
}

impl View<'_> {
    /// Notes what is in archives, and reads the pages in them as far as there is room.
    pub(super) fn unpack(&mut self, parts: &[Part<'_>], room: &mut usize) {
        let mut left =
            Left { files: MAX_FILES, room, pages: MAX_PAGES, inside: MAX_INSIDE, gzip_parts: MAX_GZIP_PARTS };
        for part in parts.iter().filter(|part| part.is_archive()) {
            let octets = part.octets(archive::ROOM);
            let facts: HtmlFacts = self.attached_html.clone();
            let mut found = Found::default();
            self.look_into(&octets, 0, &mut left, &mut found);
            note_gzip(part.file_name.as_deref().unwrap_or_default(), &octets, &mut found.contents);
            let has_many = found.files > MAX_ENCLOSED;
            if has_many {
                self.attached_html = facts;
            }
            self.archived.add(found.contents, has_many);
        }
        if self.archived.is_full() {
            self.reach(Limit::Parts);
        }
    }

    fn look_into(&mut self, octets: &[u8], depth: u32, left: &mut Left<'_>, found: &mut Found) {
        // For what the headers say, and what the list says.
        let mut packed = 2 * octets.len().min(MAX_PACKED);
        let mut packed_inside = 2 * octets.len();
        if octets.starts_with(GZIP) && depth < DEEPEST {
            let (name, inside) = unzipped(octets, left);
            note(&name, &mut found.contents);
            if left.gzip_parts == 0 {
                self.reach(Limit::Parts);
            }
            let behind = behind(octets, &inside, left);
            self.look_into(&inside, depth + 1, left, found);
            found.files += behind.len();
            for member in behind {
                found.contents.note(&extension(&member.name), &member);
            }
        }
        let mut looked_at = 0;
        for member in members(octets) {
            if left.files == 0 {
                self.reach(Limit::Parts);
                return;
            }
            left.files -= 1;
            looked_at += 1;
            let extension = extension(&member.name);
            found.contents.note(&extension, &member);
            found.files += usize::from(!member.name.ends_with('/'));
            if is_archive_name(&extension) {
                let is_read = depth >= DEEPEST || (extension == "zip" && member.is_stored());
                let (room, before) = (left.inside, packed_inside);
                if !is_read && let Some(inside) = member.unpack(room, &mut packed_inside) {
                    let is_hollow = inside.len() / HOLLOW > before - packed_inside;
                    if is_hollow && inside.len() >= room && extension != "tar" {
                        self.reach(Limit::Parts);
                    }
                    left.inside = left.inside.saturating_sub(inside.len());
                    note_gzip(&member.name, &inside, &mut found.contents);
                    self.look_into(&inside, depth + 1, left, found);
                }
                continue;
            }
            let Some(page) = Page::of(&extension) else { continue };
            found.contents.page.get_or_insert_with(|| member.name.clone());
            if *left.room == 0 || left.pages == 0 || packed == 0 {
                self.reach(Limit::Decoded);
                continue;
            }
            left.pages -= 1;
            if let Some(content) = member.unpack(*left.room, &mut packed) {
                let text = decode::file(&content, None);
                *left.room = left.room.saturating_sub(text.len());
                html::render_file(&text, page, self);
            }
        }
        // There may be more.
        if looked_at >= archive::MOST {
            self.reach(Limit::Parts);
        }
    }

    fn reach(&mut self, limit: Limit) {
        self.reached.push(limit);
        self.reached.dedup();
    }
}
