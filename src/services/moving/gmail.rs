//! The labels that Gmail gives by itself, in the languages in which it is known how archives of Google Takeout or folders of
//! IMAP call them. In any other they look like labels of the user's.

/// What such a label says.
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
    /// Nothing that has a place here.
    Other,
}

impl Label {
    /// `None` for a label that the user has made.
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
