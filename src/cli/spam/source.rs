use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;

use crate::foundations::files;

/// The largest file or mailbox that is read.
const LARGEST: u64 = 2 << 30;

/// A file, or standard input for `-`; decompressed if it is compressed with gzip or zstd.
pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = |source| files::Error { verb: "read", path: path.to_owned(), source };
    let bytes = if path.as_os_str() == "-" {
        whole(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| whole(&mut file))
    };
    Ok(bytes.and_then(unpacked).map_err(failed)?)
}

/// Reads everything, or fails: a truncated text would go unnoticed.
fn whole(reader: &mut dyn std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "more than 2 GiB, compressed or decompressed",
        ));
    }
    Ok(bytes)
}

/// Detects compression by the first octets (RFC 1952 §2.3.1, RFC 8878 §3.1.1). No message begins with them.
fn unpacked(bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        whole(&mut flate2::read::MultiGzDecoder::new(&*bytes))
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        whole(&mut zstd::Decoder::new(&*bytes)?)
    } else {
        Ok(bytes)
    }
}

/// The message files at a path: the file itself, those in a Maildir's `cur` and `new`, or those in a directory.
pub(super) fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.as_os_str() == "-" || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let inner: Vec<PathBuf> = ["cur", "new"].iter().map(|d| path.join(d)).filter(|d| d.is_dir()).collect();
    let folders = if inner.is_empty() { vec![path.to_owned()] } else { inner };
    let mut found = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("`{}` cannot be read", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !hidden && entry.file_type()?.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Processes all items on all processors; the results are in the order of the items.
pub(super) fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(items.len().max(1));
    let next = AtomicUsize::new(0);
    let (work, next) = (&work, &next);
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(move || {
                    let mut done = Vec::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(at) else { return done };
                        done.push((at, work(item)));
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|w| w.join().unwrap_or_default()).collect()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        use std::io::Write as _;
        let plain = b"Subject: x\n\nx\n".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&*plain, 0).unwrap();
        assert_eq!(unpacked(gzip.clone()).unwrap(), plain);
        assert_eq!(unpacked([gzip.clone(), gzip.clone()].concat()).unwrap(), plain.repeat(2));
        assert_eq!(unpacked(zstd.clone()).unwrap(), plain);
        assert_eq!(unpacked(plain.clone()).unwrap(), plain);
        for broken in [&gzip[..gzip.len() / 2], &zstd[..zstd.len() / 2]] {
            assert!(unpacked(broken.to_vec()).is_err());
        }
    }

    #[test]
    fn results_keep_their_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(on_all_cores(&items, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
    }
}
