use std::io::Read;
use std::path::Path;

use super::Error;

/// A message file as it was before Dovecot's `zlib` plugin compressed it. At most `largest` octets.
///
/// # Errors
/// It is damaged, too large, encrypted, or compressed in a way that is not understood.
pub(super) fn message(path: &Path, octets: Vec<u8>, largest: u64) -> Result<Vec<u8>, Error> {
    let failed =
        |how| move |error: std::io::Error| Error::Compressed { path: path.to_owned(), how, reason: error.to_string() };
    let unknown = |how| Err(Error::Compressed { path: path.to_owned(), how, reason: "uncompress it first".to_owned() });
    let read = |reader: &mut dyn Read, how| {
        let mut out = Vec::new();
        reader.take(largest.saturating_add(1)).read_to_end(&mut out).map_err(failed(how))?;
        if out.len() as u64 > largest {
            return Err(Error::TooLarge { what: path.display().to_string(), largest });
        }
        Ok(out)
    };
    // No header of a message begins like any of these.
    let octets = match octets.as_slice() {
        [0x1f, 0x8b, ..] => read(&mut flate2::read::MultiGzDecoder::new(octets.as_slice()), "gzip")?,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            read(&mut zstd::Decoder::new(octets.as_slice()).map_err(failed("zstd"))?, "zstd")?
        }
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, ..] => return unknown("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => return unknown("xz"),
        _ if octets.starts_with(b"Dovecot-LZ4\x0d\x2a\x9b\xc5") => return unknown("lz4"),
        _ => octets,
    };
    if octets.starts_with(b"CRYPTED\x03\x07") {
        return Err(Error::Encrypted(path.to_owned()));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_dovecot_compressed_is_read() {
        let (path, text) = (Path::new("m"), b"Subject: 1\n\nx\n".to_vec());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        let zstd = zstd::encode_all(text.as_slice(), 3).unwrap();
        for octets in [gzip.finish().unwrap(), zstd, text.clone()] {
            assert_eq!(message(path, octets.clone(), 100).unwrap(), text);
            if octets != text {
                assert!(matches!(message(path, octets.clone(), 10), Err(Error::TooLarge { .. })));
                assert!(matches!(
                    message(path, octets[..octets.len() - 1].to_vec(), 100),
                    Err(Error::Compressed { .. })
                ));
            }
        }
        assert!(matches!(message(path, b"BZh91AY".to_vec(), 100), Err(Error::Compressed { .. })));
        let encrypted = zstd::encode_all(&b"CRYPTED\x03\x07\x02"[..], 3).unwrap();
        assert!(matches!(message(path, encrypted, 100), Err(Error::Encrypted(_))));
    }
}
