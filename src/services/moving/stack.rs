use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::{Error, SeedAccounts, archive};
use crate::foundations::files;
use crate::foundations::hexadecimal::hexadecimal;

/// A backup of the container stack: `mysql_*.sql.gz`, `maildirs_*.tar.gz` and lists of checksums in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackBackup {
    /// The dump of the database, the last one by name.
    pub dump: Option<PathBuf>,
    /// The mail, the last one by name.
    pub mail: Option<PathBuf>,
    /// Files whose checksums were compared.
    pub compared: usize,
}

/// Largest list of checksums.
const LARGEST_LIST: u64 = 1 << 20;

impl StackBackup {
    /// Finds the newest of each, and compares both with the available checksums. Blocks.
    ///
    /// # Errors
    /// Neither exists, one is damaged, or the directory cannot be read.
    pub fn find(directory: &Path) -> Result<Self, Error> {
        let failed = |source| files::Error { verb: "read", path: directory.to_owned(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string().ok());
        }
        // The time is at the end of the name, so that the last name is the newest.
        let last = |begin: &str, end: &str| {
            let those = names.iter().filter(|name| name.starts_with(begin) && name.ends_with(end));
            those.max_by_key(|name| stamp(name)).map(|name| directory.join(name))
        };
        let mut found = Self { dump: last("mysql_", ".sql.gz"), mail: last("maildirs_", ".tar.gz"), compared: 0 };
        if found.dump.is_none() && found.mail.is_none() {
            return Err(Error::NoBackup(directory.to_owned()));
        }
        for list in names.iter().filter(|name| name.ends_with(".sha256") || name.as_str() == "SHA256SUMS") {
            found.compare(&directory.join(list))?;
        }
        Ok(found)
    }

    /// Compares a `sha256sum` list with the files.
    fn compare(&mut self, list: &Path) -> Result<(), Error> {
        let text = String::from_utf8_lossy(&files::read_bounded(list, LARGEST_LIST)?).into_owned();
        for line in text.lines() {
            let Some((sum, name)) = line.split_once(char::is_whitespace) else { continue };
            // Written where the backup was made, with or without that directory in front.
            let name = Path::new(name.trim_start_matches([' ', '*'])).file_name();
            for path in [&self.dump, &self.mail].into_iter().flatten() {
                if path.file_name() != name {
                    continue;
                }
                if !sum.eq_ignore_ascii_case(&sha256(path)?) {
                    return Err(Error::Damaged { path: path.clone(), list: list.to_owned() });
                }
                self.compared += 1;
            }
        }
        Ok(())
    }

    /// The accounts; `None` without a dump. Blocks.
    ///
    /// # Errors
    /// The dump cannot be read or is not understood.
    pub fn accounts(&self) -> Result<Option<SeedAccounts>, Error> {
        let Some(path) = &self.dump else { return Ok(None) };
        let file = File::open(path).map_err(|source| files::Error { verb: "read", path: path.clone(), source })?;
        let unpacked = flate2::read::MultiGzDecoder::new(BufReader::with_capacity(1 << 18, file));
        SeedAccounts::from_dump(BufReader::with_capacity(1 << 18, unpacked)).map(Some)
    }

    /// Unpacks the mail below a directory, and returns the users' directories in it; none without an archive. Blocks.
    ///
    /// # Errors
    /// The archive cannot be read, or the disk fails.
    pub fn unpack(&self, into: &Path) -> Result<Vec<PathBuf>, Error> {
        let Some(path) = &self.mail else { return Ok(Vec::new()) };
        archive::unpack(path, into)?;
        archive::homes(into)
    }
}

/// The digits of a name, which are its time: `maildirs_full_20260131_020000.tar.gz`.
fn stamp(name: &str) -> String {
    name.chars().filter(char::is_ascii_digit).collect()
}

fn sha256(path: &Path) -> Result<String, Error> {
    let failed = |source| files::Error { verb: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            length => digest.update(&buffer[..length]),
        }
    }
    Ok(hexadecimal(digest.finish().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_found_and_compared() {
        let place = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &str| fs::write(place.path().join(name), content).unwrap();
        assert!(matches!(StackBackup::find(place.path()), Err(Error::NoBackup(_))));
        put("mysql_20260130_020000.sql.gz", "old");
        put("mysql_20260131_020000.sql.gz", "abc");
        put("maildirs_full_20260131_020000.tar.gz", "x");
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        put("checksums.sha256", &format!("{sum}  /backups/mysql_20260131_020000.sql.gz\n{sum} *other\n"));
        let found = StackBackup::find(place.path()).unwrap();
        assert_eq!(found.dump.unwrap(), place.path().join("mysql_20260131_020000.sql.gz"));
        assert_eq!(found.compared, 1);
        put("mysql_20260131_020000.sql.gz", "abd");
        assert!(matches!(StackBackup::find(place.path()), Err(Error::Damaged { .. })));
    }
}
