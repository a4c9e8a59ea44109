//! Reading a message's file from any position, with CRLF line ends.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use crate::storage::mailbox::maildir::small::read_at;

/// A file and how it is read.
pub(super) enum Reader {
    /// Unchanged.
    Plain(File),
    /// With a CR before each bare LF.
    Translated(Translator),
}

impl Reader {
    /// Of a message's file; `is_plain` if all its lines end with CRLF.
    pub fn new(file: File, is_plain: bool) -> Self {
        if is_plain { Self::Plain(file) } else { Self::Translated(Translator::new(file)) }
    }

    /// At most `length` octets of the message from `offset`; fewer only at the end.
    pub fn read(&mut self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(file) => read_at(file.as_fd(), offset, length),
            Self::Translated(translator) => translator.read(offset, length),
        }
    }
}

/// Reads a file with bare LFs as if they were CRLF. Continuing where the last read ended costs nothing extra; going
/// back starts over at the beginning of the file.
pub(super) struct Translator {
    file: File,
    /// Position in the file of the next octet.
    at: u64,
    /// Its position in the message.
    offset: u64,
    /// The octet before it in the file.
    before: u8,
    /// Whether its CR has already been produced and the LF is due.
    due: bool,
}

impl Translator {
    const BUFFER: usize = 64 << 10;

    fn new(file: File) -> Self {
        Self { file, at: 0, offset: 0, before: 0, due: false }
    }

    fn read(&mut self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        if offset < self.offset {
            (self.at, self.offset, self.before, self.due) = (0, 0, 0, false);
        }
        let mut out = Vec::new();
        while out.len() < length {
            let chunk = read_at(self.file.as_fd(), self.at, Self::BUFFER)?;
            if chunk.is_empty() {
                break;
            }
            for byte in chunk {
                let bare = byte == b'\n' && self.before != b'\r' && !self.due;
                if bare {
                    self.put(b'\r', offset, &mut out);
                    if out.len() == length {
                        self.due = true;
                        break;
                    }
                }
                self.put(byte, offset, &mut out);
                self.before = byte;
                self.due = false;
                self.at += 1;
                if out.len() == length {
                    break;
                }
            }
        }
        Ok(out)
    }

    fn put(&mut self, byte: u8, from: u64, out: &mut Vec<u8>) {
        if self.offset >= from {
            out.push(byte);
        }
        self.offset += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::mail::crlf;

    #[test]
    fn line_ends_are_translated_wherever_reading_begins() {
        let text = b"\na\n\r\nb\r\n\n\rc\nd";
        let whole = crlf(text);
        assert_eq!(*whole, *b"\r\na\r\n\r\nb\r\n\r\n\rc\r\nd");
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), text).unwrap();
        let mut translator = Translator::new(File::open(path.path()).unwrap());
        for length in 1..=whole.len() + 1 {
            for offset in (0..=whole.len()).chain([3, 0, 7]) {
                let end = (offset + length).min(whole.len());
                assert_eq!(translator.read(offset as u64, length).unwrap(), whole[offset..end], "{offset} {length}");
            }
        }
    }
}
