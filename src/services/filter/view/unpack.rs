//! What is in attached archives.

use super::archive::{self, Contents, Member};
use super::parts::{Page, Part, extension};
use super::{HtmlFacts, Limit, View, decode, html, rar, seven};

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

/// What may still be read of a message.
struct Left<'r> {
    /// Octets of text.
    room: &'r mut usize,
    pages: usize,
    /// Octets of archives in archives.
    inside: usize,
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
    matches!(extension, "zip" | "rar" | "7z")
}

/// Whether something that begins with these octets is such an archive.
pub fn is_archive(octets: &[u8]) -> bool {
    octets.starts_with(b"PK\x03\x04") || rar::is_archive(octets) || seven::is_archive(octets)
}

/// The files of an archive of any kind: programs look at more than its name.
fn members(octets: &[u8]) -> impl Iterator<Item = Member<'_>> {
    archive::members(octets).chain(rar::members(octets)).chain(seven::members(octets))
}

impl View<'_> {
    /// Notes what is in archives, and reads the pages in them as far as there is room.
    pub(super) fn unpack(&mut self, parts: &[Part<'_>], room: &mut usize) {
        let mut left = Left { room, pages: MAX_PAGES, inside: MAX_INSIDE };
        for part in parts.iter().filter(|part| part.is_archive()) {
            let octets = part.octets(archive::ROOM);
            let facts: HtmlFacts = self.attached_html.clone();
            let mut found = Found::default();
            self.look_into(&octets, 0, &mut left, &mut found);
            let has_many = found.files > MAX_ENCLOSED;
            if has_many {
                self.attached_html = facts;
            }
            self.archived.add(found.contents, has_many);
        }
    }

    fn look_into(&mut self, octets: &[u8], depth: u32, left: &mut Left<'_>, found: &mut Found) {
        // For what the headers say, and what the list says.
        let mut packed = 2 * octets.len().min(MAX_PACKED);
        let mut packed_inside = 2 * octets.len();
        for member in members(octets) {
            let extension = extension(&member.name);
            found.contents.note(&extension, &member);
            found.files += usize::from(!member.name.ends_with('/'));
            if is_archive_name(&extension) {
                let is_read = depth >= DEEPEST || (extension == "zip" && member.is_stored());
                if !is_read && let Some(inside) = member.unpack(left.inside, &mut packed_inside) {
                    left.inside = left.inside.saturating_sub(inside.len());
                    self.look_into(&inside, depth + 1, left, found);
                }
                continue;
            }
            let Some(page) = Page::of(&extension) else { continue };
            found.contents.page.get_or_insert_with(|| member.name.clone());
            if *left.room == 0 || left.pages == 0 || packed == 0 {
                self.reached.push(Limit::Decoded);
                self.reached.dedup();
                continue;
            }
            left.pages -= 1;
            if let Some(content) = member.unpack(*left.room, &mut packed) {
                let text = decode::file(&content, None);
                *left.room = left.room.saturating_sub(text.len());
                html::render_file(&text, page, self);
            }
        }
    }
}
