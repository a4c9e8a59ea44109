//! What people read in letters about events, in the languages of the webmail.

use chrono::{Datelike as _, NaiveDate};
use serde::Deserialize;

/// A language of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    French,
    German,
    Spanish,
}

/// The part of the webmail's preferences that says so.
#[derive(Deserialize)]
struct Preferences {
    #[serde(default)]
    language: Option<String>,
}

/// The words of a language. In sentences, `{who}` stands for the sender.
pub(super) struct Words {
    /// For subjects, with the mark that separates them from the title.
    pub(super) invitation: &'static str,
    pub(super) cancelled: &'static str,
    pub(super) accepted: &'static str,
    pub(super) tentative: &'static str,
    pub(super) declined: &'static str,
    /// First sentences.
    pub(super) invites: &'static str,
    pub(super) cancels: &'static str,
    pub(super) accepts: &'static str,
    pub(super) may_come: &'static str,
    pub(super) declines: &'static str,
    /// Before a time or a place.
    pub(super) from: &'static str,
    pub(super) until: &'static str,
    pub(super) place: &'static str,
    pub(super) comment: &'static str,
    pub(super) repeats: &'static str,
    days: [&'static str; 7],
    months: [&'static str; 12],
}

const ENGLISH: Words = Words {
    invitation: "Invitation:",
    cancelled: "Cancelled:",
    accepted: "Accepted:",
    tentative: "Tentative:",
    declined: "Declined:",
    invites: "{who} invites you:",
    cancels: "{who} has cancelled this event or your invitation:",
    accepts: "{who} has accepted the invitation:",
    may_come: "{who} may attend:",
    declines: "{who} has declined the invitation:",
    from: "From:",
    until: "Until:",
    place: "Where:",
    comment: "Comment:",
    repeats: "This event repeats.",
    days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
};

const FRENCH: Words = Words {
    invitation: "Invitation :",
    cancelled: "Annulé :",
    accepted: "Accepté :",
    tentative: "Peut-être :",
    declined: "Refusé :",
    invites: "{who} vous invite :",
    cancels: "{who} a annulé cet événement ou votre invitation :",
    accepts: "{who} a accepté l’invitation :",
    may_come: "{who} viendra peut-être :",
    declines: "{who} a décliné l’invitation :",
    from: "Début :",
    until: "Fin :",
    place: "Lieu :",
    comment: "Commentaire :",
    repeats: "Cet événement se répète.",
    days: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
};

const GERMAN: Words = Words {
    invitation: "Einladung:",
    cancelled: "Fällt aus:",
    accepted: "Zugesagt:",
    tentative: "Vielleicht:",
    declined: "Abgesagt:",
    invites: "{who} lädt Sie ein:",
    cancels: "{who} hat diesen Termin oder Ihre Einladung abgesagt:",
    accepts: "{who} hat zugesagt:",
    may_come: "{who} kommt vielleicht:",
    declines: "{who} hat abgesagt:",
    from: "Beginn:",
    until: "Ende:",
    place: "Ort:",
    comment: "Kommentar:",
    repeats: "Dieser Termin wiederholt sich.",
    days: ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
};

const SPANISH: Words = Words {
    invitation: "Invitación:",
    cancelled: "Cancelado:",
    accepted: "Aceptado:",
    tentative: "Quizás:",
    declined: "Rechazado:",
    invites: "{who} le invita:",
    cancels: "{who} ha cancelado este evento o su invitación:",
    accepts: "{who} ha aceptado la invitación:",
    may_come: "{who} quizás vaya:",
    declines: "{who} ha rechazado la invitación:",
    from: "Inicio:",
    until: "Fin:",
    place: "Lugar:",
    comment: "Comentario:",
    repeats: "Este evento se repite.",
    days: ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
    months: [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
};

impl Language {
    /// The language that somebody has chosen in the webmail, whose preferences these are; English if none is known. "As in the
    /// browser" says nothing here.
    pub(super) fn preferred(preferences: &str) -> Self {
        let chosen = serde_json::from_str::<Preferences>(preferences).ok().and_then(|chosen| chosen.language);
        match chosen.as_deref() {
            Some("de") => Self::German,
            Some("es") => Self::Spanish,
            Some("fr") => Self::French,
            _ => Self::English,
        }
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
            Self::German => &GERMAN,
            Self::Spanish => &SPANISH,
        }
    }

    /// A day with its weekday.
    pub(super) fn day(self, day: NaiveDate) -> String {
        let words = self.words();
        let named = |names: &[&'static str], at: u32| {
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
        };
        let weekday = named(&words.days, day.weekday().num_days_from_monday());
        let (number, month, year) = (day.day(), named(&words.months, day.month0()), day.year());
        match self {
            Self::English => format!("{weekday}, {number} {month} {year}"),
            Self::French if number == 1 => format!("{weekday} 1er {month} {year}"),
            Self::French => format!("{weekday} {number} {month} {year}"),
            Self::German => format!("{weekday}, {number}. {month} {year}"),
            Self::Spanish => format!("{weekday}, {number} de {month} de {year}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_way_to_name_a_day() {
        let day = NaiveDate::from_ymd_opt(2027, 3, 1).unwrap();
        for (preferences, wanted) in [
            (r#"{"language":"de","hold":5}"#, "Montag, 1. März 2027"),
            (r#"{"language":"fr"}"#, "lundi 1er mars 2027"),
            (r#"{"language":"es"}"#, "lunes, 1 de marzo de 2027"),
            (r#"{"language":"en"}"#, "Monday, 1 March 2027"),
            (r#"{"language":""}"#, "Monday, 1 March 2027"),
            (r#"{"language":null}"#, "Monday, 1 March 2027"),
            ("{}", "Monday, 1 March 2027"),
            ("", "Monday, 1 March 2027"),
        ] {
            assert_eq!(Language::preferred(preferences).day(day), wanted, "{preferences}");
        }
        assert_eq!(Language::French.day(NaiveDate::from_ymd_opt(2027, 8, 2).unwrap()), "lundi 2 août 2027");
    }
}
