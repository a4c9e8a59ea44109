use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;

use crate::foundations::files;

/// Largest file or mailbox that is read.
const LARGEST: u64 = 2 << 30;

/// A file, or standard input for `-`.
pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LARGEST).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    let failed = |source| files::Error { verb: "read", path: path.to_owned(), source };
    std::fs::File::open(path).map_err(failed)?.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The message files that a path stands for: itself, those in a Maildir's `cur` and `new`, or those in a directory.
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

/// Does something with every item, on all processors; the results stand in the order of the items.
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
    fn results_keep_their_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(on_all_cores(&items, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
    }
}
