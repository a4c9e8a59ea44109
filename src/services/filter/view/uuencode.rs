//! Files in the text of a message (IEEE 1003.1, “uuencode”), which Outlook and others take out of it and show as attachments.

/// Octets of a file's name.
const LONGEST_NAME: usize = 300;

/// The name and the content of each file in a text. Takes time linear in it.
pub fn files(text: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut lines = text.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).peekable();
    std::iter::from_fn(move || {
        loop {
            let Some(name) = beginning(lines.next()?) else { continue };
            let mut content = Vec::new();
            while let Some(octets) = lines.next_if(|line| length(line).is_some()).map(decode) {
                content.extend(octets);
            }
            if !content.is_empty() {
                return Some((name, content));
            }
        }
    })
}

/// The name in the line before a file: `begin`, its permissions, and the name.
fn beginning(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"begin ")?;
    let digits = rest.iter().take_while(|octet| matches!(octet, b'0'..=b'7')).count();
    let name = rest.get(digits..)?.strip_prefix(b" ")?.trim_ascii();
    let name = (matches!(digits, 3 | 4) && !name.is_empty() && name.len() <= LONGEST_NAME).then_some(name)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// How many octets a line stands for, at least one; `None` if it is no line of a file. Blanks at its end may be missing.
fn length(line: &[u8]) -> Option<usize> {
    let (first, digits) = line.split_first()?;
    let is_digit = |octet: &u8| matches!(octet, b' '..=b'`');
    let length = usize::from(value(*first));
    // Some programs add a sum.
    let is_line = is_digit(first) && length > 0 && digits.len() <= length.div_ceil(3) * 4 + 2;
    (is_line && digits.iter().all(is_digit)).then_some(length)
}

fn decode(line: &[u8]) -> Vec<u8> {
    let length = length(line).unwrap_or_default();
    let digits = line.iter().skip(1).copied().chain(std::iter::repeat(b' ')).take(length.div_ceil(3) * 4);
    let values: Vec<u8> = digits.map(value).collect();
    let groups = values
        .chunks_exact(4)
        .flat_map(|four| [(four[0] << 2) | (four[1] >> 4), (four[1] << 4) | (four[2] >> 2), (four[2] << 6) | four[3]]);
    groups.take(length).collect()
}

/// What a digit stands for: a blank and a backquote both mean zero.
const fn value(digit: u8) -> u8 {
    digit.wrapping_sub(b' ') & 0x3f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Vec<u8>)> {
        files(text.as_bytes()).collect()
    }

    #[test]
    fn files_are_taken_out_of_a_text() {
        let file = "begin 644 a b.exe\r\n#0V%T\r\n`\r\nend\r\n";
        let wanted = ("a b.exe".to_owned(), b"Cat".to_vec());
        assert_eq!(read(file), std::slice::from_ref(&wanted));
        assert_eq!(read(&format!("Hello\n\n{file}More\n{file}")), [wanted.clone(), wanted]);
        // A line of 45 octets and one of 2, blanks at the ends left out.
        let long = format!("begin 0600 x\nM{}\n\"34D\n \nend\n", "86%A".repeat(15));
        let content = [b"aaa".repeat(15), b"MI".to_vec()].concat();
        assert_eq!(read(&long), [("x".to_owned(), content)]);
        assert_eq!(read("begin 644 x\n$\n"), [("x".to_owned(), vec![0; 4])]);
    }

    #[test]
    fn what_is_no_file_is_none() {
        for text in [
            "",
            "begin 644 x",
            "begin 644 x\n\nend\n",
            "begin 644 x\nThe meeting begins at ten.\n",
            "begin 9 x\n#0V%T\n",
            "begin 644 \n#0V%T\n",
            "begin with the first\n#0V%T\n",
            " begin 644 x\n#0V%T\n",
        ] {
            assert!(read(text).is_empty(), "{text}");
        }
    }
}
