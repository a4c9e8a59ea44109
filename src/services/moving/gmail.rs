//! The labels that Gmail sets itself, in the languages for which their names in Google Takeout archives or IMAP folders
//! are known. In other languages they look like the user's own labels.

/// What such a label means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Drafts,
    Important,
    Inbox,
    Sent,
    Spam,
    Starred,
    Trash,
    Unread,
    /// Nothing that exists here.
    Other,
}

impl Label {
    /// `None` for one of the user's own labels.
    pub(super) fn of(label: &str) -> Option<Self> {
        let label = label.to_lowercase();
        let is_category = CATEGORIES.iter().any(|beginning| label.starts_with(beginning));
        let known = || LABELS.iter().find(|(_, names)| names.contains(&label.as_str())).map(|(label, _)| *label);
        if is_category { Some(Self::Other) } else { known() }
    }
}

/// English, German, French, Spanish, Italian, Dutch, as far as each is known; in lower case.
const LABELS: [(Label, &[&str]); 9] = [
    (Label::Drafts, &["draft", "drafts", "entwürfe", "brouillons", "borradores", "bozze", "concepten"]),
    (Label::Important, &["important", "wichtig", "importante"]),
    (Label::Inbox, &["inbox", "posteingang", "boîte de réception", "recibidos", "posta in arrivo"]),
    (
        Label::Sent,
        &[
            "sent",
            "gesendet",
            "envoyé",
            "messages envoyés",
            "mails envoyés",
            "enviados",
            "posta inviata",
            "verzonden berichten",
        ],
    ),
    (Label::Spam, &["spam"]),
    (Label::Starred, &["starred", "markiert", "favoris", "suivis", "destacados"]),
    (Label::Trash, &["trash", "papierkorb", "corbeille", "papelera", "cestino", "prullenbak"]),
    (Label::Unread, &["unread", "ungelesen", "non lus"]),
    (
        Label::Other,
        &[
            "archived",
            "archiviert",
            "archivés",
            "messages archivés",
            "chat",
            "muted",
            "opened",
            "geöffnet",
            "ouvert",
            "scheduled",
            "snoozed",
        ],
    ),
];

/// How the labels of tabs begin.
const CATEGORIES: [&str; 3] = ["category ", "kategorie: ", "catégorie\u{a0}: "];
