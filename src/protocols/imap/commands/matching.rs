//! Mailbox names against the patterns of LIST (RFC 9051 §6.3.9).

/// A pattern with its reference in front.
#[derive(Debug, Clone)]
pub struct Pattern {
    pieces: Vec<Piece>,
    literals: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// This character.
    Literal(char),
    /// `*`: anything.
    Any,
    /// `%`: anything within one level.
    Level,
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for c in text.chars() {
            let piece = match c {
                '*' => Piece::Any,
                '%' => Piece::Level,
                c => Piece::Literal(c),
            };
            // Of consecutive wildcards one does the work: the wider one.
            match (pieces.last(), piece) {
                (Some(Piece::Any), Piece::Any | Piece::Level) | (Some(Piece::Level), Piece::Level) => {}
                (Some(Piece::Level), Piece::Any) => _ = pieces.pop().map(|_| pieces.push(Piece::Any)),
                _ => pieces.push(piece),
            }
        }
        let literals = pieces.iter().filter(|piece| matches!(piece, Piece::Literal(_))).count();
        Self { pieces, literals }
    }

    /// Whether a name matches. INBOX is compared ignoring case, in front of a separator too (RFC 9051 §5.1).
    ///
    /// Takes time proportional to the product of both lengths; a pattern with more literal characters than the name is
    /// not looked at.
    pub fn matches(&self, name: &str) -> bool {
        let length = name.chars().count();
        if self.literals > length {
            return false;
        }
        let inbox = name == "INBOX" || name.starts_with("INBOX/");
        // reached[n]: the pieces before n can match the characters so far.
        let mut reached = vec![false; self.pieces.len() + 1];
        reached[0] = true;
        self.close(&mut reached);
        for (at, c) in name.chars().enumerate() {
            let mut next = vec![false; reached.len()];
            let mut alive = false;
            for (n, piece) in self.pieces.iter().enumerate() {
                if !reached[n] {
                    continue;
                }
                match piece {
                    Piece::Literal(want) if *want == c || (inbox && at < 5 && want.eq_ignore_ascii_case(&c)) => {
                        next[n + 1] = true;
                    }
                    Piece::Any => next[n] = true,
                    Piece::Level if c != '/' => next[n] = true,
                    Piece::Literal(_) | Piece::Level => continue,
                }
                alive = true;
            }
            if !alive {
                return false;
            }
            self.close(&mut next);
            reached = next;
        }
        reached[self.pieces.len()]
    }

    /// Wildcards may match nothing.
    fn close(&self, reached: &mut [bool]) {
        for (n, piece) in self.pieces.iter().enumerate() {
            if reached[n] && !matches!(piece, Piece::Literal(_)) {
                reached[n + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, name, want) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/*", "a/b/c", true),
            ("a*c", "a/b/c", true),
            ("a%c", "abbc", true),
            ("%/%", "a/b", true),
            ("%%", "a", true),
            ("%*", "a/b", true),
            ("inbox", "INBOX", true),
            ("In%", "INBOX", true),
            ("inbox/a", "INBOX/a", true),
            ("inbox/A", "INBOX/a", false),
            ("A", "a", false),
            ("", "a", false),
            ("a", "a/b", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = Pattern::new(&"%a*".repeat(20_000));
        assert!(!pattern.matches(&"a".repeat(500)));
        assert!(!Pattern::new(&"*a".repeat(400)).matches(&("a".repeat(500) + "b")));
    }
}
