//! The calendars of accounts, for everything except CalDAV.

use super::contacts::DEFAULT_CALENDAR;
use super::scheduling::SCHEDULE_INBOX;
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::dav::{Collection, CollectionKind, Collections, Condition, Draft, Error, Limits, Object, Stored};

/// What a calendar may hold unless its creator restricts it.
pub const CALENDAR_COMPONENTS: &str = "VEVENT,VTODO,VJOURNAL";

/// Calendars. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Calendars {
    collections: Collections,
}

impl Calendars {
    /// Calendars in this store.
    pub const fn new(collections: Collections) -> Self {
        Self { collections }
    }

    /// The account's calendars. Everybody has one, created on first use.
    ///
    /// # Errors
    /// The database fails.
    pub async fn all(&self, account: &Address, limits: &Limits, now: Timestamp) -> Result<Vec<Collection>, Error> {
        let kind = CollectionKind::Calendar;
        let all = self.collections.all(account, kind).await?;
        if !all.is_empty() {
            return Ok(all);
        }
        match self.collections.create(account, (kind, DEFAULT_CALENDAR, CALENDAR_COMPONENTS), &[], limits, now).await {
            // Or another request was faster.
            Ok(_) | Err(Error::Exists) => self.collections.all(account, kind).await,
            Err(error) => Err(error),
        }
    }

    /// The account's inbox for messages about events, created on first use (RFC 6638 §2.2).
    ///
    /// # Errors
    /// The database fails.
    pub async fn inbox(&self, account: &Address, limits: &Limits, now: Timestamp) -> Result<(), Error> {
        let kind = CollectionKind::ScheduleInbox;
        if self.collections.find(account, kind, SCHEDULE_INBOX).await?.is_some() {
            return Ok(());
        }
        match self.collections.create(account, (kind, SCHEDULE_INBOX, "VEVENT"), &[], limits, now).await {
            // Or another request was faster.
            Ok(_) | Err(Error::Exists) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The event with a UID, and the calendar that has it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn about(&self, calendars: &[Collection], uid: &str) -> Result<Option<(Collection, Object)>, Error> {
        for calendar in calendars {
            if let Some(object) = self.collections.about(calendar, uid).await? {
                return Ok(Some((calendar.clone(), object)));
            }
        }
        Ok(None)
    }

    /// Where a new event goes: the calendar that everybody has, or else the first one for events.
    pub fn for_events(calendars: &[Collection]) -> Option<&Collection> {
        let mut holding = calendars.iter().filter(|one| one.components.split(',').any(|held| held == "VEVENT"));
        let first = holding.clone().next();
        holding.find(|one| one.name == DEFAULT_CALENDAR).or(first)
    }

    /// Stores an event.
    ///
    /// # Errors
    /// The condition or a limit is not met, or the database fails.
    pub async fn store(
        &self,
        account: &Address,
        calendar: &Collection,
        draft: &Draft,
        condition: &Condition,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Stored, Error> {
        self.collections.put(account, calendar, std::slice::from_ref(draft), condition, limits, now).await
    }

    /// Removes an event.
    ///
    /// # Errors
    /// The condition is not met, the event is gone, or the database fails.
    pub async fn remove(
        &self,
        account: &Address,
        calendar: &Collection,
        name: &str,
        condition: &Condition,
        limits: &Limits,
    ) -> Result<(), Error> {
        self.collections.remove_object(account, calendar, name, condition, limits).await.map(|_| ())
    }
}
