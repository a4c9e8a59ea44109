//! The mboxes in a file, an archive or a directory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::stored_message::folder;
use super::{Error, Sorting};
use crate::foundations::files;
use crate::foundations::mail::mbox;
use crate::storage::mailbox::FolderName;

/// An mbox that is being read.
pub type Reading<'r> = mbox::Messages<Box<dyn BufRead + 'r>>;

/// What of a directory is not read.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Mboxes whose names no folder can have.
    pub unnamed: Vec<PathBuf>,
    /// Links to mboxes and directories: somebody else may own these.
    pub links: Vec<PathBuf>,
}

/// Reads every mbox of a path, one after the other: those in a directory (of Thunderbird, Apple Mail and others) into a
/// folder each, below `into` if that is given; those in an archive (as from Google) and a single file into that folder,
/// or as Gmail's labels say. Files compressed with gzip or zstd are unpacked on the way. Returns what was not read. Blocks.
///
/// # Errors
/// There is no mbox, one cannot be read, or `take` fails.
pub fn mboxes(
    path: &Path,
    into: Option<&FolderName>,
    largest: u64,
    mut take: impl FnMut(&Path, Reading<'_>, Sorting) -> Result<(), Error>,
) -> Result<LeftOut, Error> {
    let sorting = || into.map_or(Sorting::ByLabels, |folder| Sorting::Into(folder.clone()));
    if path.is_dir() {
        let (mut found, mut left_out) = (Vec::new(), LeftOut::default());
        walk(path, into.map(ToString::to_string).as_deref(), &mut found, &mut left_out)?;
        for (file, folder) in &found {
            if let Some(reading) = begin(file, open(file)?, largest)? {
                take(file, reading, Sorting::Into(folder.clone()))?;
            }
        }
        let is_empty = found.is_empty() && left_out.unnamed.is_empty() && left_out.links.is_empty();
        return if is_empty { Err(Error::NoMboxes(path.to_owned())) } else { Ok(left_out) };
    }
    let mut reader = open(path)?;
    if !reader.fill_buf().map_err(failed(path))?.starts_with(b"PK\x03\x04") {
        let reading = begin(path, reader, largest)?.ok_or_else(|| Error::NoMbox(path.to_owned()))?;
        take(path, reading, sorting())?;
        return Ok(LeftOut::default());
    }
    let broken = |error: zip::result::ZipError| Error::Archive { path: path.to_owned(), because: error.to_string() };
    let mut archive = zip::ZipArchive::new(reader).map_err(broken)?;
    let mut count = 0;
    for n in 0..archive.len() {
        let file = archive.by_index(n).map_err(broken)?;
        let within = path.join(file.name());
        if within.extension().is_some_and(|ending| ending == "mbox")
            && let Some(reading) = begin(&within, BufReader::new(file), largest)?
        {
            count += 1;
            take(&within, reading, sorting())?;
        }
    }
    if count == 0 { Err(Error::NoMboxes(path.to_owned())) } else { Ok(LeftOut::default()) }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| files::Error { verb: "read", path: path.clone(), source }.into()
}

fn open(path: &Path) -> Result<BufReader<File>, Error> {
    File::open(path).map(|file| BufReader::with_capacity(1 << 18, file)).map_err(failed(path))
}

/// `None` if it is not an mbox.
fn begin<'r>(path: &Path, mut reader: impl BufRead + 'r, largest: u64) -> Result<Option<Reading<'r>>, Error> {
    let failed = failed(path);
    let reader: Box<dyn BufRead + 'r> = match reader.fill_buf().map_err(&failed)? {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(reader))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::new(zstd::Decoder::with_buffer(reader).map_err(&failed)?)),
        _ => Box::new(reader),
    };
    // Fields that are removed from a message do not count.
    let most = usize::try_from(largest).unwrap_or(usize::MAX).saturating_add(MOST_KEPT_BESIDE);
    mbox::Messages::begin(reader, most).map_err(failed)
}

/// Finds mboxes and the folder for each. `Work.sbd` (Thunderbird) has the folders within `Work`, and so may `Work.mbox` (Apple
/// Mail), whose own messages are in a file `mbox`. Files that are not mboxes are indexes or settings of those programs.
fn walk(
    directory: &Path,
    above: Option<&str>,
    found: &mut Vec<(PathBuf, FolderName)>,
    left_out: &mut LeftOut,
) -> Result<(), Error> {
    let entries = std::fs::read_dir(directory).map_err(failed(directory))?;
    let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(failed(directory))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().map_err(failed(&path))?;
        if name.starts_with('.') {
            continue;
        }
        if kind.is_symlink() {
            if path.is_dir() || path.is_file() && holds_messages(&path).unwrap_or(true) {
                left_out.links.push(path);
            }
            continue;
        }
        let own = [".sbd", ".mbox"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        let is_of_directory = name == "mbox" && directory.extension().is_some_and(|ending| ending == "mbox");
        let named = match above {
            Some(above) if is_of_directory => above.to_owned(),
            Some(above) => format!("{above}/{own}"),
            // The given path is such a directory itself.
            None if is_of_directory => directory.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            None => own.to_owned(),
        };
        if kind.is_dir() {
            walk(&path, Some(&named), found, left_out)?;
        } else if kind.is_file() && holds_messages(&path)? {
            match folder(&named) {
                Some(folder) => found.push((path, folder)),
                None => left_out.unnamed.push(path),
            }
        }
    }
    Ok(())
}

fn holds_messages(path: &Path) -> Result<bool, Error> {
    let mut first = [0];
    let is_empty = File::open(path).and_then(|mut file| file.read(&mut first)).map_err(failed(path))? == 0;
    // A file that only looks compressed is not an mbox either.
    Ok(!is_empty && begin(path, open(path)?, 0).is_ok_and(|reading| reading.is_some()))
}

const MOST_KEPT_BESIDE: usize = 64 << 10;
