//! The tokens of a message for the classifier: hashes of words, pairs of words, links and header fields.

use unicode_normalization::UnicodeNormalization;

use crate::services::filter::signs::registered;
use crate::services::filter::view::{Field, View};

/// The hash of a token. Its lowest bit says where the token comes from: see [`is_of_header`].
pub type Token = u64;

/// Whether a token comes from the header. The header is written by programs and says how a message came; the
/// rest is what its author wanted to say.
pub const fn is_of_header(token: Token) -> bool {
    token & 1 == 1
}

/// Most words of a text that are read.
const MAX_WORDS: usize = 6000;
/// Longest word in octets; a longer one is represented by its beginning and its length.
const MAX_WORD: usize = 30;

/// The tokens of a message, each once, ascending.
pub fn tokens(view: &View<'_>) -> Vec<Token> {
    let mut sink = Sink { found: Vec::with_capacity(2048), folded: String::new() };
    header(view, &mut sink);
    for token in &mut sink.found {
        *token |= 1;
    }
    let of_header = sink.found.len();
    attachments(view, &mut sink);
    links(view, &mut sink);
    let body = view.body.split_once('\n').map_or("", |(_, rest)| rest);
    sink.words("", body, MAX_WORDS);
    if !view.hidden.is_empty() {
        sink.words("x:", &view.hidden, 200);
    }
    for token in &mut sink.found[of_header..] {
        *token &= !1;
    }
    sink.found.sort_unstable();
    sink.found.dedup();
    sink.found
}

struct Sink {
    found: Vec<Token>,
    folded: String,
}

impl Sink {
    fn add(&mut self, kind: &str, text: &str) {
        if !text.is_empty() {
            self.found.push(finish(feed(feed(SEED, kind.as_bytes()), text.as_bytes())));
        }
    }

    /// Words, and pairs of neighbouring words.
    fn words(&mut self, kind: &str, text: &str, most: usize) {
        // Two encodings of a letter count as one; ASCII has only one.
        let mut folded = std::mem::take(&mut self.folded);
        folded.clear();
        if text.is_ascii() {
            folded.push_str(text);
        } else {
            folded.extend(text.nfkc().filter(|c| !super::super::signs::scripts::is_invisible(*c)));
        }
        let seed = feed(SEED, kind.as_bytes());
        let mut before = 0u64;
        for word in split(&folded).take(most) {
            let hash = word_hash(seed, word);
            self.found.push(finish(hash));
            if word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase()) {
                self.found.push(finish(feed(hash, b"^")));
            }
            if before != 0 {
                self.found.push(finish(hash ^ before.rotate_left(17)));
            }
            before = hash;
        }
        self.folded = folded;
    }
}

/// Words as people see them; prices and percentages are kept together, numbers are shortened.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '$' | '%' | '\'' | '-' | '!' | '€' | '£' | '@' | '.')))
        .map(|w| w.trim_matches(['\'', '-', '.', '@']))
        .filter(|w| w.len() > 1 && (w.len() > 2 || !w.is_ascii()))
}

fn word_hash(seed: u64, word: &str) -> u64 {
    let mut hash = seed;
    let cut = word.len() > MAX_WORD;
    let bytes = &word.as_bytes()[..word.len().min(MAX_WORD)];
    for byte in bytes {
        hash = (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(PRIME);
    }
    if cut { feed(hash, &[255, u8::try_from(word.len().ilog2()).unwrap_or(0)]) } else { hash }
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a: the stored hashes must mean the same forever and on every machine.
fn feed(mut hash: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    }
    hash
}

/// Spreads the bits, so that tables may use any of them.
const fn finish(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 29)
}

/// Fields whose words count.
const READ: &[(&str, &str)] = &[
    ("Subject", "s:"),
    ("X-Mailer", "m:"),
    ("User-Agent", "m:"),
    ("Organization", "o:"),
    ("List-Id", "l:"),
    ("Reply-To", "r:"),
    ("From", "f:"),
    ("To", "t:"),
    ("Cc", "t:"),
    ("Return-Path", "p:"),
    ("Content-Language", "e:"),
    ("X-Priority", "y:"),
    ("Precedence", "y:"),
    ("List-Unsubscribe", "u:"),
];

fn header(view: &View<'_>, sink: &mut Sink) {
    for field in view.fields.iter().take(200) {
        let Some((name, kind)) = READ.iter().find(|(name, _)| field.is(name)) else {
            names(field, sink);
            continue;
        };
        sink.words(kind, field.decoded(), 200);
        if matches!(*name, "From" | "Reply-To" | "Return-Path") {
            let address = field.address();
            sink.add(kind, address);
            sink.add(kind, address.rsplit_once('@').map_or("", |(_, d)| registered(d)));
        }
    }
    // Only the hop that handed the message to us says something reliable about the sender; the sender may have forged the others.
    for received in view.all("Received").take(6) {
        for word in received.decoded().split(|c: char| c.is_whitespace() || "()[]=".contains(c)).take(30) {
            if let Ok(address) = word.parse::<std::net::Ipv4Addr>() {
                let [a, b, c, _] = address.octets();
                sink.add("i:", &format!("{a}.{b}"));
                sink.add("i:", &format!("{a}.{b}.{c}"));
            } else if word.contains('.') && !word.contains('@') && word.len() < 100 {
                sink.add("h:", registered(&word.to_ascii_lowercase()));
            }
        }
    }
    let id = view.value("Message-ID");
    sink.add("d:", &shape(id));
    sink.add("d:", registered(&id.rsplit_once('@').map_or("", |(_, h)| h).trim_end_matches('>').to_ascii_lowercase()));
}

/// Fields whose names say how a message got here, not what it is.
const UNREAD: &[&str] = &[
    "delivered-to",
    "received",
    "date",
    "message-id",
    "x-spam-",
    "x-original-to",
    "in-reply-to",
    "references",
    "x-uidl",
    "x-mozilla-",
    "status",
    "x-status",
    "x-keywords",
    "authentication-results",
    "dkim-signature",
    "arc-",
    "received-spf",
    "content-",
    "mime-version",
    "envelope-to",
];

/// The presence of a field says something about the program that wrote it.
fn names(field: &Field<'_>, sink: &mut Sink) {
    let name = String::from_utf8_lossy(&field.name).to_ascii_lowercase();
    if name == "in-reply-to" || name == "references" || !UNREAD.iter().any(|u| name.starts_with(u)) {
        sink.add("n:", &name);
    }
}

/// The pattern of letters and digits of an identifier, runs shortened.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for c in text.chars().take_while(|c| *c != '@').take(60) {
        let kind = match c {
            '0'..='9' => '9',
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            c => c,
        };
        if !shape.ends_with(kind) {
            shape.push(kind);
        }
    }
    shape
}

/// Kinds of attachments. Whether a message is HTML, and what its markup looks like, is left to the rules: in most people's
/// mail it distinguishes newsletters from letters, not unwanted mail from wanted.
fn attachments(view: &View<'_>, sink: &mut Sink) {
    for part in view.parts.iter().take(100) {
        if let Some((_, extension)) = part.file_name.as_deref().and_then(|n| n.rsplit_once('.')) {
            sink.add("a:", &extension.to_ascii_lowercase());
        }
    }
}

fn links(view: &View<'_>, sink: &mut Sink) {
    for link in view.likeliest_links().take(200) {
        sink.add("u:", &link.host);
        sink.add("u:", registered(&link.host));
        let rest = link.url.split_once("://").map_or(link.url.as_str(), |(_, r)| r);
        for piece in rest.split(['/', '?', '&', '=', '#']).skip(1).take(8) {
            if piece.len() <= 40 {
                sink.add("v:", piece);
            }
        }
    }
}
