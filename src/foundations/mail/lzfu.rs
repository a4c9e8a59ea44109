//! Compressed RTF (MS-OXRTFCP), Outlook's format for formatted text.

/// Size of the dictionary in octets; it is a ring buffer.
const DICTIONARY: usize = 4096;
/// Largest text in octets: nobody writes more by hand, and pictures are files.
const LONGEST: usize = 16 << 20;
/// What the dictionary begins with (MS-OXRTFCP §2.1.2.1).
const BEGINNING: &[u8; 207] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

/// The text; `None` when the compression is unknown. Truncated input gives the part that is there.
pub(super) fn decompress(octets: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = octets.split_at_checked(16)?;
    match &header[8..12] {
        b"LZFu" => Some(unpacked(rest)),
        b"MELA" => Some(rest[..rest.len().min(LONGEST)].to_vec()),
        _ => None,
    }
}

/// MS-OXRTFCP §2.2.2: eight items, each a literal octet or a reference into the dictionary, as the bits of the control
/// octet say.
fn unpacked(octets: &[u8]) -> Vec<u8> {
    let mut dictionary = [b' '; DICTIONARY];
    dictionary[..BEGINNING.len()].copy_from_slice(BEGINNING);
    let mut at = BEGINNING.len();
    let mut text = Vec::with_capacity(octets.len());
    let mut write = |octet: u8, dictionary: &mut [u8; DICTIONARY], at: &mut usize| {
        text.push(octet);
        dictionary[*at] = octet;
        *at = (*at + 1) % DICTIONARY;
        text.len() < LONGEST
    };
    let mut rest = octets.iter().copied();
    'text: while let Some(kinds) = rest.next() {
        for bit in 0..8 {
            let Some(first) = rest.next() else { break 'text };
            if (kinds >> bit) & 1 == 0 {
                if !write(first, &mut dictionary, &mut at) {
                    break 'text;
                }
                continue;
            }
            let Some(second) = rest.next() else { break 'text };
            let place = (usize::from(first) << 4) | usize::from(second >> 4);
            // A reference to the current write position marks the end.
            if place == at {
                break 'text;
            }
            for n in 0..usize::from(second & 0x0f) + 2 {
                if !write(dictionary[(place + n) % DICTIONARY], &mut dictionary, &mut at) {
                    break 'text;
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MS-OXRTFCP §4.
    #[test]
    fn the_examples_of_the_standard() {
        let first = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
        assert_eq!(decompress(first).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        let second = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4\x4b\x51\x41\0\x04\x20WXYZ\x0d\x6e\x7d\x01\x0e\xb0";
        assert_eq!(decompress(second).unwrap(), b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(decompress(b"\x10\0\0\0\x04\0\0\0MELA\0\0\0\0text").unwrap(), b"text");
        assert_eq!(decompress(b"\x10\0\0\0\x04\0\0\0ZIP!\0\0\0\0text"), None);
        for end in 0..first.len() {
            assert_eq!(decompress(&first[..end]).is_some(), end >= 16);
        }
    }
}
