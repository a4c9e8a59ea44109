//! Cautious learning without a person: which messages teach, and how many.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::AutolearnSettings;
use super::classifier::{Class, Token};
use super::reputation::{Claims, Standing};
use super::rules::Points;
use crate::foundations::clock::Timestamp;

/// What decides about learning a message.
pub struct Case<'c> {
    /// Its score without classifier and reputation.
    pub points: Points,
    /// What the classifier thinks.
    pub probability: Option<f64>,
    /// The sender's reputation.
    pub standing: &'c Standing,
}

/// The class that a message undoubtedly belongs to, without the classifier; if that contradicts, there is doubt.
pub fn class(settings: &AutolearnSettings, case: &Case<'_>) -> Option<Class> {
    let Points { total, header, body } = case.points;
    let is_thought = |range: std::ops::RangeInclusive<f64>| case.probability.is_none_or(|p| range.contains(&p));
    if total >= settings.unwanted && header >= settings.each_side && body >= settings.each_side {
        return is_thought(SURE..=1.0).then_some(Class::Spam);
    }
    // Anybody can write a message without faults. That one of us has written to its author cannot be faked.
    let is_wanted = total <= settings.wanted && case.standing.is_correspondent;
    (is_wanted && is_thought(0.0..=1.0 - SURE)).then_some(Class::Ham)
}

/// A probability below this contradicts that a message is unwanted; one above the counterpart, that it is wanted.
const SURE: f64 = 0.2;
/// Most lessons waiting to be learned; further ones are left out.
const MOST_WAITING: usize = 200;
/// Most senders counted in a day; mail from further ones teaches nothing that day.
const MOST_SENDERS: usize = 10_000;

/// A lesson: a digest and tokens, as [`super::lesson`] makes them.
pub type Lesson = (String, Vec<Token>);

/// How much was learned today, and what is waiting to be learned.
#[derive(Debug, Default)]
pub struct Autolearner(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    day: i64,
    classes: HashMap<Class, u32>,
    senders: HashMap<(Class, String), u32>,
    waiting: Vec<(Class, Lesson)>,
}

impl Autolearner {
    /// Takes one of today's places for a class and a sender, and returns whether there was one left.
    pub fn take_place(&self, settings: &AutolearnSettings, class: Class, claims: &Claims, now: Timestamp) -> bool {
        let mut state = self.0.lock();
        let day = now.unix_seconds().div_euclid(86_400);
        if state.day != day {
            state.day = day;
            state.classes.clear();
            state.senders.clear();
        }
        let network = claims.network().map(|network| network.to_string());
        let domain = Some(claims.domain().to_owned()).filter(|domain| !domain.is_empty());
        let names: Vec<(Class, String)> = network.into_iter().chain(domain).map(|name| (class, name)).collect();
        let count = |counts: Option<&u32>| counts.copied().unwrap_or(0);
        let full = names.is_empty()
            || state.waiting.len() >= MOST_WAITING
            || state.senders.len() + names.len() > MOST_SENDERS
            || count(state.classes.get(&class)) >= settings.per_day
            || names.iter().any(|name| count(state.senders.get(name)) >= settings.per_sender);
        if full {
            return false;
        }
        *state.classes.entry(class).or_default() += 1;
        for name in names {
            *state.senders.entry(name).or_default() += 1;
        }
        true
    }

    /// Queues a lesson to be learned.
    pub fn put(&self, class: Class, lesson: Lesson) {
        self.0.lock().waiting.push((class, lesson));
    }

    /// Waiting lessons, by class.
    pub fn waiting(&self) -> [(Class, Vec<Lesson>); 2] {
        let all = std::mem::take(&mut self.0.lock().waiting);
        let (ham, spam): (Vec<_>, Vec<_>) = all.into_iter().partition(|(class, _)| *class == Class::Ham);
        let lessons = |list: Vec<(Class, Lesson)>| list.into_iter().map(|(_, lesson)| lesson).collect();
        [(Class::Ham, lessons(ham)), (Class::Spam, lessons(spam))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn claims(client: &str, author: &str) -> Claims {
        Claims { author: author.to_owned(), client: Some(client.parse().unwrap()), ..Claims::default() }
    }

    #[test]
    fn only_what_is_beyond_doubt_teaches() {
        let settings = AutolearnSettings::default();
        let known = Standing { is_correspondent: true, ..Standing::default() };
        let case = |total, header, body, probability, standing| {
            class(&settings, &Case { points: Points { total, header, body }, probability, standing })
        };
        let stranger = Standing::default();
        assert_eq!(case(13.0, 5.0, 5.0, None, &stranger), Some(Class::Spam));
        assert_eq!(case(13.0, 5.0, 5.0, Some(0.99), &stranger), Some(Class::Spam));
        assert_eq!(case(13.0, 13.0, 0.0, None, &stranger), None);
        assert_eq!(case(13.0, 0.0, 13.0, None, &stranger), None);
        assert_eq!(case(11.0, 5.0, 5.0, Some(1.0), &stranger), None);
        assert_eq!(case(13.0, 5.0, 5.0, Some(0.01), &stranger), None);
        assert_eq!(case(-3.0, -3.0, 0.0, Some(0.0), &stranger), None);
        assert_eq!(case(-0.5, -0.5, 0.0, Some(0.0), &known), Some(Class::Ham));
        assert_eq!(case(-0.5, -0.5, 0.0, Some(0.99), &known), None);
        assert_eq!(case(3.0, 3.0, 0.0, None, &known), None);
    }

    #[test]
    fn a_stream_of_one_sender_teaches_little() {
        let settings = AutolearnSettings::default();
        let learner = Autolearner::default();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let taken = |client: &dyn Fn(u32) -> String, author: &dyn Fn(u32) -> String, at| {
            (0..1000)
                .filter(|n| learner.take_place(&settings, Class::Spam, &claims(&client(*n), &author(*n)), at))
                .count()
        };
        // One network with many names, one name from many networks.
        assert_eq!(taken(&|n| format!("198.51.100.{}", n % 250), &|n| format!("a@b{n}.test"), now), 3);
        assert_eq!(taken(&|n| format!("10.{}.{}.1", n / 250, n % 250), &|_| "a@one.test".to_owned(), now), 3);
        // Many of both: the day has its limit.
        assert_eq!(taken(&|n| format!("11.{}.{}.1", n / 250, n % 250), &|n| format!("a@c{n}.test"), now), 194);
        assert!(learner.take_place(&settings, Class::Ham, &claims("11.0.0.1", "a@b.test"), now));
        let tomorrow = now + Duration::from_secs(86_400);
        assert_eq!(taken(&|_| "198.51.100.7".to_owned(), &|_| "a@b.test".to_owned(), tomorrow), 3);
        assert!(!learner.take_place(&settings, Class::Spam, &Claims::default(), tomorrow));
    }

    #[test]
    fn what_waits_is_bounded() {
        let learner = Autolearner::default();
        let settings = AutolearnSettings { per_day: 10_000, ..AutolearnSettings::default() };
        let mut put = 0;
        for n in 0..500 {
            let claims = claims(&format!("11.{}.{}.1", n / 250, n % 250), &format!("a@b{n}.test"));
            if learner.take_place(&settings, Class::Ham, &claims, Timestamp::EPOCH) {
                learner.put(Class::Ham, (n.to_string(), Vec::new()));
                put += 1;
            }
        }
        assert_eq!((put, learner.waiting()[0].1.len(), learner.waiting()[0].1.len()), (200, 200, 0));
    }
}
