//! What mail programs store about a message in its header fields: flags, keywords, labels. Pure.

use super::gmail::Label;
use crate::foundations::mail::{HeaderSection, encoded_words};
use crate::storage::mailbox::{Flags, FolderName, Keyword, MailboxSettings};

/// Fields of the file, not of the message: those of mbox since the days of `mail(1)`, of UW-IMAP and Dovecot, and of Thunderbird.
const FIELDS: [&str; 10] = [
    "Status",
    "X-Status",
    "X-Keywords",
    "X-UID",
    "X-IMAP",
    "X-IMAPbase",
    "Content-Length",
    "X-Mozilla-Status",
    "X-Mozilla-Status2",
    "X-Mozilla-Keys",
];

/// A message as it was sent, and what was stored about it.
#[derive(Debug)]
pub(super) struct StoredMessage {
    pub(super) flags: Flags,
    pub(super) keywords: Vec<Keyword>,
    /// The number of labels that cannot be keywords here.
    pub(super) lost: u64,
    /// Its folder according to Gmail, if the message comes from there.
    pub(super) folder: Option<FolderName>,
    pub(super) content: Vec<u8>,
    /// Whether it is not a message but the internal data that UW-IMAP keeps at the beginning of a file.
    pub(super) is_internal: bool,
}

/// The folders for which other programs have their own names.
#[derive(Debug, Clone)]
pub struct SpecialFolders {
    /// For archived mail.
    pub archive: FolderName,
    /// For drafts.
    pub drafts: FolderName,
    /// For spam.
    pub junk: FolderName,
    /// For sent mail.
    pub sent: FolderName,
    /// For mail to be deleted.
    pub trash: FolderName,
}

impl SpecialFolders {
    /// The names announced to clients.
    pub fn of(settings: &MailboxSettings) -> Self {
        let named = |name: &str| name.parse().unwrap_or_else(|_| FolderName::inbox());
        Self {
            archive: named(&settings.archive),
            drafts: named(&settings.drafts),
            junk: named(&settings.junk),
            sent: named(&settings.sent),
            trash: named(&settings.trash),
        }
    }
}

impl StoredMessage {
    pub(super) fn of(content: Vec<u8>, special_folders: &SpecialFolders) -> Self {
        let header = HeaderSection::of(&content);
        let text = |name: &str| header.first(name).map(|field| field.text()).unwrap_or_default();
        let mut kept = Self {
            flags: flags(&(text("Status") + &text("X-Status")), &text("X-Mozilla-Status")),
            keywords: Vec::new(),
            lost: 0,
            folder: None,
            content: Vec::new(),
            is_internal: header.first("X-IMAP").is_some() && text("Subject").starts_with("DON'T DELETE THIS MESSAGE"),
        };
        for word in text("X-Keywords").split_whitespace().chain(text("X-Mozilla-Keys").split_whitespace()) {
            kept.keyword(word);
        }
        if let Some(labels) = header.first("X-Gmail-Labels") {
            kept.take_labels(&encoded_words::decode(&labels.value()), special_folders);
        }
        let has_any = FIELDS.iter().any(|name| header.first(name).is_some());
        kept.content = if has_any { without_fields(&content) } else { content };
        kept
    }

    fn keyword(&mut self, word: &str) {
        match Keyword::parse(word) {
            Ok(keyword) if self.keywords.contains(&keyword) => {}
            Ok(keyword) => self.keywords.push(keyword),
            Err(_) => self.lost += 1,
        }
    }

    /// A message may have many labels but is in one folder: that of the most specific label. The user's own labels that do not
    /// name the folder become keywords.
    fn take_labels(&mut self, labels: &str, special_folders: &SpecialFolders) {
        let labels = split(labels);
        let has = |wanted| labels.iter().any(|label| Label::of(label) == Some(wanted));
        if !has(Label::Unread) {
            self.flags |= Flags::SEEN;
        }
        for (label, flag) in [(Label::Starred, Flags::FLAGGED), (Label::Drafts, Flags::DRAFT)] {
            if has(label) {
                self.flags |= flag;
            }
        }
        // RFC 8457
        if has(Label::Important) {
            self.keyword("$Important");
        }
        let by_gmail = [
            (Label::Trash, &special_folders.trash),
            (Label::Spam, &special_folders.junk),
            (Label::Drafts, &special_folders.drafts),
            (Label::Inbox, &FolderName::inbox()),
            (Label::Sent, &special_folders.sent),
        ];
        let found = by_gmail.into_iter().find(|(label, _)| has(*label)).map(|(_, folder)| folder.clone());
        let mut own = labels.iter().filter(|label| Label::of(label).is_none());
        self.folder =
            found.or_else(|| own.next().map(|label| folder(label).unwrap_or_else(|| special_folders.archive.clone())));
        for label in own {
            self.keyword(&label.replace(char::is_whitespace, "_"));
        }
        self.folder.get_or_insert_with(|| special_folders.archive.clone());
    }
}

/// The name of a folder, with characters replaced that no folder name here may contain.
pub(super) fn folder(name: &str) -> Option<FolderName> {
    name.replace(['%', '*'], "_").parse().ok()
}

/// Labels are separated by commas; one that contains a comma is in quotes.
fn split(labels: &str) -> Vec<String> {
    let (mut found, mut label, mut quoted) = (Vec::new(), String::new(), false);
    for c in labels.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut label)),
            c => label.push(c),
        }
    }
    found.push(label);
    found.into_iter().map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect()
}

/// Flags by letters, and by Thunderbird's bits in hexadecimal. Those of `X-Mozilla-Status2` are no flags here.
fn flags(letters: &str, bits: &str) -> Flags {
    let mut flags = Flags::NONE;
    for letter in letters.chars() {
        flags |= match letter {
            'R' => Flags::SEEN,
            'A' => Flags::ANSWERED,
            'F' => Flags::FLAGGED,
            'D' => Flags::DELETED,
            'T' => Flags::DRAFT,
            _ => Flags::NONE,
        };
    }
    let bits = u32::from_str_radix(bits.trim(), 16).unwrap_or(0);
    for (bit, flag) in [
        (0x1, Flags::SEEN),
        (0x2, Flags::ANSWERED),
        (0x4, Flags::FLAGGED),
        (0x8, Flags::DELETED),
        (0x1000, Flags::FORWARDED),
    ] {
        if bits & bit != 0 {
            flags |= flag;
        }
    }
    flags
}

fn without_fields(content: &[u8]) -> Vec<u8> {
    let header = HeaderSection::of(content);
    let mut kept = Vec::with_capacity(content.len());
    for field in header.fields().filter(|field| !FIELDS.iter().any(|name| field.is(name))) {
        kept.extend_from_slice(field.raw);
    }
    kept.extend_from_slice(&content[header.lines().len()..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(content: &str) -> StoredMessage {
        StoredMessage::of(content.as_bytes().to_vec(), &SpecialFolders::of(&MailboxSettings::default()))
    }

    fn words(kept: &StoredMessage) -> Vec<&str> {
        kept.keywords.iter().map(Keyword::as_str).collect()
    }

    #[test]
    fn flags_of_an_mbox_are_understood() {
        let both = kept("Subject: 1\nStatus: RO\nX-Status: AF\n\nStatus: x\n");
        assert_eq!(both.flags, Flags::SEEN | Flags::ANSWERED | Flags::FLAGGED);
        assert_eq!(both.content, b"Subject: 1\n\nStatus: x\n");
        let thunderbird = "X-Mozilla-Status: 0005\r\nX-Mozilla-Status2: 00800000\r\nX-Mozilla-Keys: $label1 NonJunk       \r\nSubject: 1\r\n\r\nx\r\n";
        let thunderbird = kept(thunderbird);
        assert_eq!(thunderbird.flags, Flags::SEEN | Flags::FLAGGED);
        assert_eq!(words(&thunderbird), ["$label1", "NonJunk"]);
        assert_eq!(thunderbird.content, b"Subject: 1\r\n\r\nx\r\n");
        // Messages that are marked as deleted there stay marked.
        assert_eq!(kept("X-Mozilla-Status: 0009\n\nx\n").flags, Flags::SEEN | Flags::DELETED);
        assert_eq!(kept("X-Mozilla-Status: 1003\n\nx\n").flags, Flags::SEEN | Flags::ANSWERED | Flags::FORWARDED);
        let dovecot =
            kept("X-UID: 7\nContent-Length: 0\nX-IMAPbase: 1 7 a\n b\nStatus: O\nX-Keywords: $Forwarded a \nTo: x\n\n");
        assert_eq!((words(&dovecot), dovecot.flags), (vec!["$Forwarded", "a"], Flags::NONE));
        assert_eq!(dovecot.content, b"To: x\n\n");
        let internal = "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\nStatus: RO\n\nThis text is part\n";
        assert!(kept(internal).is_internal && !dovecot.is_internal);
    }

    #[test]
    fn labels_of_gmail_name_a_folder() {
        for (labels, folder, flags, keywords) in [
            ("Inbox,Unread,Important,Category Updates", "INBOX", Flags::NONE, vec!["$Important"]),
            ("Archived,Starred,Opened", "Archive", Flags::SEEN | Flags::FLAGGED, vec![]),
            ("Sent", "Sent", Flags::SEEN, vec![]),
            ("Sent,Inbox,Work", "INBOX", Flags::SEEN, vec!["Work"]),
            ("Opened,Work/Clients,My taxes", "Work/Clients", Flags::SEEN, vec!["My_taxes"]),
            ("Spam,Unread", "Junk", Flags::NONE, vec![]),
            ("Drafts", "Drafts", Flags::SEEN | Flags::DRAFT, vec![]),
            ("Trash,Inbox", "Trash", Flags::SEEN, vec![]),
            ("\"a, b\",Unread", "a, b", Flags::NONE, vec![]),
            ("100%", "100_", Flags::SEEN, vec![]),
            ("a//b", "Archive", Flags::SEEN, vec![]),
            ("Posteingang,Wichtig,Ungelesen,Rechnungen", "INBOX", Flags::NONE, vec!["$Important", "Rechnungen"]),
            (
                "=?UTF-8?Q?Archiviert,Wichtig,Ge=C3=B6ffnet,Kategorie:_=22=22Pers=C3=B6nlich=22=22?=",
                "Archive",
                Flags::SEEN,
                vec!["$Important"],
            ),
            ("=?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,Non_lus?=", "INBOX", Flags::NONE, vec![]),
            (
                "=?UTF-8?Q?Messages_archiv=C3=A9s,Ouvert,Cat=C3=A9gorie=C2=A0:_Promotions?=",
                "Archive",
                Flags::SEEN,
                vec![],
            ),
            ("=?UTF-8?Q?Archiv=C3=A9s,Envoy=C3=A9?=", "Sent", Flags::SEEN, vec![]),
            ("Papelera,Destacados", "Trash", Flags::SEEN | Flags::FLAGGED, vec![]),
            ("=?UTF-8?Q?Opened,Gesch=C3=A4ft/B=C3=BCro?=", "Geschäft/Büro", Flags::SEEN, vec![]),
            ("", "Archive", Flags::SEEN, vec![]),
        ] {
            let kept = kept(&format!("X-Gmail-Labels: {labels}\nSubject: 1\n\nx\n"));
            assert_eq!(kept.folder.as_ref().map(ToString::to_string).as_deref(), Some(folder), "{labels}");
            assert_eq!((kept.flags, words(&kept)), (flags, keywords), "{labels}");
        }
        let folded = kept("X-Gmail-Labels: =?UTF-8?Q?Inbox,Gesch?=\n =?UTF-8?Q?=C3=A4ft?=\n\nx\n");
        assert_eq!((folded.folder.unwrap().to_string().as_str(), folded.lost), ("INBOX", 1));
        assert!(kept("Subject: 1\n\nx\n").folder.is_none());
    }
}
