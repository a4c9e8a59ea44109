//! Reads an mbox one message at a time, however large it is.

use std::io::{self, BufRead, Cursor, Read as _};

use super::{begins, first_line, is_mbox, is_separator};
use crate::foundations::mail::HeaderSection;

/// A message of an mbox with the line before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// As it stands in the file; only its beginning where it is larger than the limit.
    pub octets: Vec<u8>,
    /// Its size in the file, in octets.
    pub size: u64,
}

/// The messages of an mbox.
#[derive(Debug)]
pub struct Messages<R> {
    reader: R,
    most: usize,
    /// Some programs write no dates, and then in no line of a file.
    undated: bool,
    /// Lines already read that belong to what comes next.
    ahead: Vec<u8>,
    /// What stands behind them, where it has been read and given back.
    again: Cursor<Vec<u8>>,
    /// How much more may be given back, in octets.
    patience: usize,
    /// Whether every message so far has a length, as if the program that has made the file wrote them. In other files a length
    /// is only what a sender has written.
    counts: bool,
    ended: bool,
}

/// How many octets of a file may be read twice, for lengths in it that are wrong.
const PATIENCE: usize = 256 << 20;

impl<R: BufRead> Messages<R> {
    /// Keeps at most `most` octets of a message in memory. `None` if it is no mbox; an empty file is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn begin(mut reader: R, most: usize) -> io::Result<Option<Self>> {
        let mut ahead = Vec::new();
        let ended = reader.fill_buf()?.is_empty();
        // Some programs begin a file with empty lines.
        while line(&mut reader, &mut ahead)? > 0 && ahead.trim_ascii().is_empty() {
            ahead.clear();
        }
        // After the line before the first message, the one behind it.
        line(&mut reader, &mut ahead)?;
        if !ended && !is_mbox(&ahead) {
            return Ok(None);
        }
        let undated = !is_separator(&ahead);
        Ok(Some(Self {
            reader,
            most,
            undated,
            ahead,
            again: Cursor::default(),
            patience: PATIENCE,
            counts: true,
            ended,
        }))
    }

    /// The next message.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self) -> io::Result<Option<Wrapped>> {
        let Some(mut message) = self.read_to_separator()? else { return Ok(None) };
        self.counts &= end(&message.octets).is_some();
        if self.counts
            && !self.ended
            && let Some(missing) = message.missing(self.most).filter(|missing| *missing <= self.patience)
        {
            self.extend(&mut message, missing)?;
        }
        Ok(Some(message))
    }

    /// Adds what the message lacks according to its Content-Length, if a message begins or the file ends there. Otherwise the
    /// length is wrong, as in a file that was edited, or is not this file's, and nothing is added. Neither is what is a message
    /// according to its own length: a text that is taken for a message is still there, and a message that is taken for text is not.
    fn extend(&mut self, message: &mut Wrapped, missing: usize) -> io::Result<()> {
        let mut more = std::mem::take(&mut self.ahead);
        let begun = more.len();
        while more.len() < missing && self.line(&mut more)? > 0 {}
        let mut next = more.split_off(missing.min(more.len()));
        let mut is_right = false;
        if more.len() == missing && (next.is_empty() || is_empty_line(&next)) {
            if next.is_empty() {
                self.line(&mut next)?;
            }
            let behind = if is_empty_line(&next) { next.len() } else { 0 };
            if behind > 0 {
                self.line(&mut next)?;
            }
            self.line(&mut next)?;
            self.ended = next.len() == behind;
            let is_end = self.ended || begins(&next[behind..], true, self.undated);
            is_right = is_end && !self.is_message(&more);
            if is_right {
                self.ahead = next.split_off(behind);
                more.append(&mut next);
                message.add(&more, self.most);
            }
        }
        if !is_right {
            self.ended = false;
            more.append(&mut next);
            let mut rest = more.split_off(begun);
            self.ahead = more;
            self.again.read_to_end(&mut rest)?;
            self.patience = self.patience.saturating_sub(rest.len());
            self.again = Cursor::new(rest);
        }
        Ok(())
    }

    /// Whether these octets begin with a message that ends, by its own length, with them or before another one.
    fn is_message(&self, octets: &[u8]) -> bool {
        let Some(rest) = end(octets).and_then(|end| octets.get(end..)) else { return false };
        let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).unwrap_or(rest);
        rest.is_empty() || begins(rest, true, self.undated)
    }

    fn line(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        match line(&mut self.again, out)? {
            0 => line(&mut self.reader, out),
            length => Ok(length),
        }
    }

    /// The next message, up to the next line that looks as if another one began there.
    fn read_to_separator(&mut self) -> io::Result<Option<Wrapped>> {
        if self.ended {
            return Ok(None);
        }
        let octets = std::mem::take(&mut self.ahead);
        let mut message = Wrapped { size: octets.len() as u64, octets };
        let mut behind_empty = message.octets.ends_with(b"\n\n") || message.octets.ends_with(b"\n\r\n");
        // A further piece of a very long line does not count as a line.
        let mut at_line = message.octets.ends_with(b"\n");
        let mut next = Vec::new();
        loop {
            if next.is_empty() && self.line(&mut next)? == 0 {
                self.ended = true;
                break;
            }
            if at_line && next.starts_with(b"From ") {
                let first = next.len();
                self.line(&mut next)?;
                if begins(&next, behind_empty, self.undated) {
                    self.ahead = next;
                    break;
                }
                let second = next.split_off(first);
                message.add(&next, self.most);
                (behind_empty, at_line) = (false, next.ends_with(b"\n"));
                next = second;
                continue;
            }
            behind_empty = at_line && is_empty_line(&next);
            at_line = next.ends_with(b"\n");
            message.add(&next, self.most);
            next.clear();
        }
        Ok(Some(message))
    }
}

impl Wrapped {
    fn add(&mut self, line: &[u8], most: usize) {
        self.size += line.len() as u64;
        let room = most.saturating_sub(self.octets.len()).min(line.len());
        self.octets.extend_from_slice(&line[..room]);
    }

    /// How many octets are missing according to its Content-Length, which programs write that leave `From ` in a text as it is. It
    /// counts if the whole message is in memory.
    fn missing(&self, most: usize) -> Option<usize> {
        let end = end(&self.octets)?;
        let missing = end.checked_sub(usize::try_from(self.size).ok()?)?;
        (end <= most && missing > 0).then_some(missing)
    }
}

/// Where a message, with the line before it, ends according to its Content-Length.
fn end(octets: &[u8]) -> Option<usize> {
    let start = first_line(octets).len() + 1;
    let section = HeaderSection::of(octets.get(start..)?);
    let value = section.first("Content-Length")?.value();
    let length: usize = std::str::from_utf8(&value).ok()?.trim().parse().ok()?;
    (start + section.body_start()).checked_add(length)
}

fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// Adds a line with its end, or a piece of a very long one, and tells its length.
fn line(reader: &mut impl BufRead, out: &mut Vec<u8>) -> io::Result<usize> {
    reader.take(LONGEST_PIECE).read_until(b'\n', out)
}

const LONGEST_PIECE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, most: usize) -> Vec<(String, u64)> {
        let mut messages = Messages::begin(text.as_bytes(), most).unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(Wrapped { octets, size }) = messages.read().unwrap() {
            found.push((String::from_utf8(octets).unwrap(), size));
        }
        found
    }

    #[test]
    fn the_same_is_found_as_in_memory() {
        let dated = "From a@b Mon Nov 23 04:00:00 2026\n";
        for text in [
            String::new(),
            format!("{dated}Subject: 1\n\nx\n"),
            format!("{dated}Subject: 1\n\nx\n\n{dated}Subject: 2\n\ny\n"),
            format!("{dated}Subject: 1\n\n{dated}\n{dated}Subject: 2\n"),
            format!(
                "{dated}Subject: 1\n\nx\n{dated}no line between\n\nFrom here on\n\nFrom there\nA: b\n\n{dated}S: 2\n\n"
            ),
            format!("{dated}S: 1\n\nx\n\n{dated}S: 2\n\ny\n\n").replace('\n', "\r\n"),
            "From a@b\nS: 1\n\nx\n\nFrom here on\n\nFrom c@d\nS: 2\n\ny\n".to_owned(),
            "From a@b\nS: 1\n\nFrom c@d\n\nFrom e@f\nS: 2\n\nFrom g@h\n".to_owned(),
            format!("{dated}\n\n\n{dated}"),
            format!("{dated}{dated}S: 1\n\nx\n{dated}S: 2\n{dated}S: 3\n"),
            format!(
                "{dated}X-Mozilla-Status: 0001\n\nx\n\nFrom \nX-Mozilla-Status: 0001\n\ny\n\nFrom \n\nFrom \nS: 3\n\n"
            )
            .replace('\n', "\r\n"),
        ] {
            let wanted: Vec<_> = super::super::messages(text.as_bytes())
                .into_iter()
                .map(|message| (String::from_utf8(message.to_vec()).unwrap(), message.len() as u64))
                .collect();
            assert_eq!(found(&text, usize::MAX), wanted, "{text:?}");
        }
        for other in ["Subject: no mbox\n\nx\n", "\n\n"] {
            assert!(Messages::begin(other.as_bytes(), 10).unwrap().is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_message_is_as_long_as_its_length_says_where_that_can_be() {
        for end in ["\n", "\r\n"] {
            let lines = |text: &str| text.replace('\n', end);
            let dated = "From a@b Mon Nov 23 04:00:00 2026\n";
            // What a text has in it that looks as if a message began.
            let body = lines(&format!("x\n\n{dated}Subject: pasted\n\n{dated}again\n\ny\n"));
            let message = |length: usize| lines(&format!("{dated}Subject: 1\nContent-Length: {length}\n\n")) + &body;
            let (right, long) = (message(body.len()), message(body.len() + end.len()));
            let other = lines(&format!("{dated}Subject: 2\n\nz\n"));
            for wanted in [
                vec![format!("{right}{end}"), other.clone()],
                vec![format!("{long}{end}"), other.clone()],
                vec![right.clone(), other.clone()],
                vec![format!("{right}{end}"), right.clone()],
                vec![format!("{right}{end}")],
            ] {
                let found = found(&wanted.concat(), usize::MAX);
                assert_eq!(found.into_iter().map(|(octets, _)| octets).collect::<Vec<_>>(), wanted);
            }
            // Lengths that lead nowhere do not count, and neither do those of messages that are too large to be kept.
            let text = |length: usize| format!("{}{end}{other}", message(length));
            for (length, most) in [
                (0, usize::MAX),
                (1, usize::MAX),
                (body.len() - end.len(), usize::MAX),
                (body.len() + 40, usize::MAX),
                (1 << 20, usize::MAX),
                (usize::MAX, usize::MAX),
                (body.len(), 100),
            ] {
                let found = found(&text(length), most);
                assert_eq!(found.len(), 4, "{length}");
                assert_eq!(found.iter().map(|(_, size)| *size).sum::<u64>(), text(length).len() as u64, "{length}");
            }
        }
    }

    /// A length that leads to the end of another message took that one, and those between, for text.
    #[test]
    fn no_length_swallows_messages_that_end_by_their_own() {
        for end in ["\n", "\r\n"] {
            let lines = |text: &str| text.replace('\n', end);
            let dated = "From a@b Mon Nov 23 04:00:00 2026\n";
            let plain = lines(&format!("{dated}Subject: 2\n\nz\n\n"));
            let counted = lines(&format!("{dated}Subject: 2\nContent-Length: "));
            let counted = format!("{counted}{}{}z{end}{end}", 1 + end.len(), end.repeat(2));
            let long = |next: &str| {
                let body = format!("x{end}{end}");
                let length = body.len() + next.len();
                lines(&format!("{dated}Subject: 1\nContent-Length: {length}\n\n")) + &body
            };
            for wanted in [
                // They have lengths of their own.
                vec![long(&counted), counted.clone(), counted.clone()],
                vec![long(&counted.repeat(2)), counted.clone(), counted.clone(), plain.clone()],
                // Whoever has made the file writes none.
                vec![plain.clone(), long(&plain), plain.clone(), plain.clone()],
                vec![counted.clone(), plain.clone(), long(&plain), plain.clone(), plain.clone()],
            ] {
                let found = found(&wanted.concat(), usize::MAX);
                assert_eq!(found.into_iter().map(|(octets, _)| octets).collect::<Vec<_>>(), wanted);
            }
        }
    }

    #[test]
    fn of_a_large_message_the_beginning_is_kept() {
        let text = format!(
            "From a@b Mon Nov 23 04:00:00 2026\nS: 1\n\n{}\n\nFrom a@b Mon Nov 23 04:00:00 2026\nS: 2\n",
            "x".repeat(3 << 20)
        );
        let found = found(&text, 100);
        assert_eq!((found.len(), found[0].0.len()), (2, 100));
        assert_eq!(found[0].1 + found[1].1, text.len() as u64);
    }
}
