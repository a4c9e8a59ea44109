//! The archives of the earlier container stack.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::{Exported, content, each_folder};
use crate::services::backup::create::read_record;
use crate::services::backup::error::at;
use crate::services::backup::repository::{FileContent, FileRecord, Repository, Snapshot, TableRecord, hash_file};
use crate::services::backup::{Error, Progress, Selection, rows};
use crate::storage::database::{Val, mysql_tables};

type Archive = Builder<GzEncoder<BufWriter<File>>>;

/// Writes the three archives and their checksums.
pub fn write(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    directory: &Path,
    progress: &Progress,
) -> Result<Exported, Error> {
    // The stack's names contain the time as 20260131_020000.
    let stamp = snapshot.id.to_string().replace('T', "_").replace('Z', "");
    let path = |name: &str, ending: &str| directory.join(format!("{name}_{stamp}.{ending}"));
    let mut exported = Exported::default();
    let maildirs = path("maildirs", "tar.gz");
    write_maildirs(repository, snapshot, selection, &maildirs, progress, &mut exported)?;
    exported.files.push(maildirs);
    if selection.is_everything() {
        let configs = path("configs", "tar.gz");
        write_configs(repository, snapshot, &configs)?;
        let dump = path("mysql", "sql.gz");
        write_dump(repository, snapshot, &dump)?;
        exported.files.extend([configs, dump]);
    }
    let mut sums = String::new();
    for file in &exported.files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Writing into a String cannot fail.
        let _ = writeln!(sums, "{}  {name}", hash_file(file)?);
    }
    let checksums = path("checksums", "sha256");
    super::write(&checksums, sums.as_bytes())?;
    exported.files.push(checksums);
    Ok(exported)
}

fn create(path: &Path) -> Result<GzEncoder<BufWriter<File>>, Error> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(GzEncoder::new(BufWriter::with_capacity(1 << 18, file.map_err(at("create", path))?), Compression::fast()))
}

fn finish(writer: GzEncoder<BufWriter<File>>, path: &Path) -> Result<(), Error> {
    let finished = writer.finish().and_then(|buffer| buffer.into_inner().map_err(std::io::Error::from));
    finished.and_then(|file| file.sync_all()).map_err(at("write", path))
}

fn put(archive: &mut Archive, name: &Path, mode: u32, seconds: i64, content: &[u8]) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_mode(mode & 0o7777);
    header.set_mtime(u64::try_from(seconds).unwrap_or(0));
    archive.append_data(&mut header, name, content)
}

fn put_directory(archive: &mut Archive, name: &Path) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o700);
    archive.append_data(&mut header, name, std::io::empty())
}

fn write_maildirs(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    path: &Path,
    progress: &Progress,
    exported: &mut Exported,
) -> Result<(), Error> {
    let mut archive = Builder::new(create(path)?);
    each_folder(repository, snapshot, selection, &mut |domain, local, folder, messages, _| {
        let place = Path::new(domain).join(local).join(folder);
        // Also for a folder without messages: its directories make it a folder.
        for directory in ["cur", "new", "tmp"] {
            put_directory(&mut archive, &place.join(directory)).map_err(at("write", path))?;
        }
        for message in &messages {
            let Some(content) = content(repository, selection, message)? else { continue };
            progress.add(1, content.len() as u64);
            exported.messages += 1;
            exported.octets += content.len() as u64;
            let name = place.join(message.place.directory()).join(std::ffi::OsStr::from_bytes(&message.name));
            put(&mut archive, &name, 0o600, message.date, &content).map_err(at("write", path))?;
        }
        Ok(())
    })?;
    for user in snapshot.users.iter().filter(|user| selection.whole_users() && selection.takes(user)) {
        let record = read_record(repository, &user.record)?;
        let place = Path::new(&user.domain).join(&user.local);
        put_files(repository, &record.files, &place, &mut archive, path)?;
    }
    finish(archive.into_inner().map_err(at("write", path))?, path)
}

fn put_files(
    repository: &Repository,
    files: &[FileRecord],
    place: &Path,
    archive: &mut Archive,
    path: &Path,
) -> Result<(), Error> {
    for file in files {
        let mut name = place.join(file.path.trim_start_matches('/')).into_os_string();
        if file.sealed.is_some() {
            name.push(".age");
        }
        match &file.content {
            FileContent::Objects(objects) => {
                let content = repository.read_all(objects)?;
                let seconds = file.changed.div_euclid(1_000_000_000);
                put(archive, Path::new(&name), file.mode, seconds, &content).map_err(at("write", path))?;
            }
            FileContent::Link(target) => {
                let mut header = Header::new_gnu();
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, Path::new(&name), target).map_err(at("write", path))?;
            }
        }
    }
    Ok(())
}

fn write_configs(repository: &Repository, snapshot: &Snapshot, path: &Path) -> Result<(), Error> {
    let mut archive = Builder::new(create(path)?);
    put_files(repository, &snapshot.files, Path::new(""), &mut archive, path)?;
    finish(archive.into_inner().map_err(at("write", path))?, path)
}

/// The tables as statements for MariaDB and MySQL.
fn write_dump(repository: &Repository, snapshot: &Snapshot, path: &Path) -> Result<(), Error> {
    let mut out = create(path)?;
    let mut say = |text: &str| out.write_all(text.as_bytes()).map_err(at("write", path));
    say("SET NAMES utf8mb4;\nSET FOREIGN_KEY_CHECKS = 0;\n")?;
    for statement in mysql_tables() {
        say(&format!("{};\n", statement.trim_end().trim_end_matches(';')))?;
    }
    for table in &snapshot.database.tables {
        for object in &table.objects {
            let mut statements = String::new();
            rows::each_row(&repository.read(object)?, &table.table, &mut |values| {
                insert(&mut statements, table, values);
            })?;
            say(&statements)?;
        }
    }
    say("SET FOREIGN_KEY_CHECKS = 1;\n")?;
    finish(out, path)
}

fn insert(out: &mut String, table: &TableRecord, values: &[Val]) {
    let columns: Vec<String> = table.table.columns.iter().map(|column| format!("`{}`", column.name)).collect();
    let values: Vec<String> = values.iter().map(literal).collect();
    // Writing into a String cannot fail.
    let _ =
        writeln!(out, "INSERT INTO `{}` ({}) VALUES ({});", table.table.name, columns.join(", "), values.join(", "));
}

fn literal(value: &Val) -> String {
    match value {
        Val::Null(_) => "NULL".to_owned(),
        Val::Int(number) => number.to_string(),
        Val::Real(number) => number.to_string(),
        Val::Blob(octets) if octets.is_empty() => "''".to_owned(),
        Val::Blob(octets) => octets.iter().fold("0x".to_owned(), |hex, octet| hex + &format!("{octet:02x}")),
        Val::Text(text) => {
            let mut quoted = String::with_capacity(text.len() + 2);
            quoted.push('\'');
            for c in text.chars() {
                match c {
                    '\'' => quoted.push_str("''"),
                    '\\' => quoted.push_str("\\\\"),
                    '\n' => quoted.push_str("\\n"),
                    '\r' => quoted.push_str("\\r"),
                    '\0' => quoted.push_str("\\0"),
                    c => quoted.push(c),
                }
            }
            quoted.push('\'');
            quoted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_end_early() {
        assert_eq!(literal(&Val::from("a'b\\c\nd")), "'a''b\\\\c\\nd'");
        assert_eq!(literal(&Val::from(vec![0u8, 255])), "0x00ff");
        assert_eq!(literal(&Val::from(Some(-1i64))), "-1");
        assert_eq!(literal(&Val::from(None::<&str>)), "NULL");
    }
}
