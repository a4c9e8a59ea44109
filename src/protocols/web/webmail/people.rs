//! Account data besides mail: addresses it may use, preferences, and people it has written to.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Problem, Wish, no_address};
use super::door::Reader;
use super::holding::LONGEST_HOLD;
use super::reasons;
use super::signatures::{Canned, Signature};
use crate::foundations::address::Address;
use crate::services::dav::Forgotten;
use crate::services::routing::Identity;

/// Fields of a version after this one, which went back to it. They stay stored; no page gets them or may set them.
pub(super) type Later = serde_json::Map<String, serde_json::Value>;

/// What a user prefers. Unknown fields of a newer page are refused rather than lost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Preferences {
    /// The name beside an address in From, and the text at the end of messages, by address.
    pub(super) identities: BTreeMap<String, Signature>,
    /// The address that new messages come from; the account's own when unset.
    default_identity: Option<String>,
    /// How dates, lists and messages look; the page's affair.
    theme: String,
    /// A language of the page; the browser's when empty.
    language: String,
    density: String,
    prefer_text: bool,
    confirm_delete: bool,
    reply_below: bool,
    /// Whether messages are written with formatting.
    formatted: bool,
    /// Whether lists are of conversations.
    conversations: bool,
    /// How many seconds a letter that was sent can be taken back; the page's own mind when unset.
    hold: Option<u32>,
    /// Addresses whose messages show images of others at once.
    trusted_images: Vec<String>,
    /// Texts that are put into messages, in their order.
    pub(super) responses: Vec<Canned>,
    #[serde(flatten)]
    later: Later,
}

impl Preferences {
    fn later_fields(&mut self) -> Vec<&mut Later> {
        let mut all = vec![&mut self.later];
        all.extend(self.identities.values_mut().flat_map(Signature::later_fields));
        all.extend(self.responses.iter_mut().map(|canned| &mut canned.later));
        all
    }

    /// Takes over what a later version has stored of what is still there.
    fn keep_later(&mut self, before: &Self) {
        self.later.clone_from(&before.later);
        for (address, signature) in &mut self.identities {
            if let Some(known) = before.identities.get(address) {
                signature.keep_later(known);
            }
        }
        for canned in &mut self.responses {
            if let Some(known) = before.responses.iter().find(|known| known.name == canned.name) {
                canned.later.clone_from(&known.later);
            }
        }
    }
}

/// Largest preferences, in octets of JSON, beside the pictures of signatures.
const LARGEST: usize = 256 << 10;

/// Everything about the account that the page needs from the start.
pub(super) async fn account(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    let mut preferences = preferences(&room, &reader).await?;
    leave_out_lost(&room, &reader, &mut preferences, None).await?;
    preferences.identities.values_mut().for_each(Signature::without_content);
    preferences.later_fields().into_iter().for_each(Later::clear);
    let settings = room.needs.settings.get();
    let answer = serde_json::json!({
        "address": reader.account.address.to_string(),
        "name": reader.account.display_name,
        "identities": identities(&room, &reader).await?,
        "tag_separator": room.needs.routing.tag_separator(),
        "preferences": preferences,
        "limits": {
            "attachment": settings.attachment.get(),
            "message": settings.message.get(),
            "page": settings.page,
            "password": settings.password,
        },
        "version": env!("CARGO_PKG_VERSION"),
    });
    Ok(Json(answer).into_response())
}

/// What is preferred. Of what a newer version has stored, unknown fields are kept. What cannot be read at all counts as not
/// there; it is kept until replaced.
pub(super) async fn preferences(room: &Room, reader: &Reader) -> Answer<Preferences> {
    let stored = room.needs.personal.preferences(&reader.account.address).await?;
    Ok(stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Replaces the preferences.
pub(super) async fn prefer(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(mut wish): Wish<Preferences>,
) -> Answer<StatusCode> {
    if let Some(field) = wish.later_fields().into_iter().find_map(|later| later.keys().next().cloned()) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("The field `{field}` is unknown.")));
    }
    if wish.hold.is_some_and(|seconds| seconds > LONGEST_HOLD) {
        return Err(Problem::bad(format!("`hold` may be at most {LONGEST_HOLD} seconds.")));
    }
    if wish.responses.iter().any(|canned| canned.name.trim().is_empty()) {
        return Err(Problem::of(&reasons::RESPONSE_NAMELESS));
    }
    wish.identities.values_mut().for_each(Signature::clean);
    wish.responses.iter_mut().for_each(Canned::clean);
    let written = |wish: &Preferences| serde_json::to_string(wish).map_err(|error| Problem::ours(&error));
    if written(&wish)?.len() > LARGEST {
        return Err(Problem::of(&reasons::PREFERENCES_TOO_LARGE));
    }
    // Each address is looked up: so only as many as may be kept.
    let before = preferences(&room, &reader).await?;
    leave_out_lost(&room, &reader, &mut wish, Some(&before)).await?;
    let mut octets = 0;
    for (address, signature) in &mut wish.identities {
        octets += signature.fill(before.identities.get(address), &room, &reader)?;
    }
    let most = room.needs.settings.get().signature_pictures;
    if octets as u64 > most.get() {
        return Err(Problem::of(&reasons::SIGNATURE_PICTURES_TOO_LARGE).with("most", most));
    }
    wish.keep_later(&before);
    let text = written(&wish)?;
    room.needs.personal.set_preferences(&reader.account.address, &text, room.needs.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Leaves out what was kept for addresses that are not the account's any more, such as an alias that was removed: whoever changes
/// something else cannot help it. Refuses others that are not the account's. Without `before` all was kept.
async fn leave_out_lost(
    room: &Room,
    reader: &Reader,
    wish: &mut Preferences,
    before: Option<&Preferences>,
) -> Answer<()> {
    let mut lost = Vec::new();
    for address in wish.identities.keys().chain(&wish.default_identity) {
        let was_kept = before.is_none_or(|before| {
            before.identities.contains_key(address) || before.default_identity.as_ref() == Some(address)
        });
        let is_own = match address.parse::<Address>() {
            Ok(parsed) if was_kept => is_own(room, reader, &parsed).await?,
            Ok(parsed) => may_use(room, reader, &parsed).await.map(|()| true)?,
            Err(_) if was_kept => false,
            Err(error) => return Err(no_address(address, &error)),
        };
        if !is_own {
            lost.push(address.clone());
        }
    }
    wish.identities.retain(|address, _| !lost.contains(address));
    wish.default_identity.take_if(|address| lost.contains(address));
    Ok(())
}

/// Refuses addresses that are not the account's.
pub(super) async fn may_use(room: &Room, reader: &Reader, address: &Address) -> Answer<()> {
    match is_own(room, reader, address).await? {
        true => Ok(()),
        false => Err(Problem::of(&reasons::NOT_YOURS).with("address", address)),
    }
}

/// Whether an account may write from an address.
async fn is_own(room: &Room, reader: &Reader, address: &Address) -> Answer<bool> {
    match room.needs.routing.may_send_as(&reader.account.address, address).await {
        Ok(Identity::Own | Identity::Alias) => Ok(true),
        Ok(Identity::Foreign) => Ok(false),
        Err(error) => Err(Problem::ours(&error)),
    }
}

/// The addresses an account may write from: its own, and aliases that lead to it alone by name.
pub(super) async fn identities(room: &Room, reader: &Reader) -> Answer<Vec<String>> {
    let own = &reader.account.address;
    let mut found = vec![own.to_string()];
    for source in room.needs.directory.sources_to(own, MOST_IDENTITIES).await? {
        if found.iter().all(|known| !known.eq_ignore_ascii_case(&source.to_string()))
            && may_use(room, reader, &source).await.is_ok()
        {
            found.push(source.to_string());
        }
    }
    Ok(found)
}

/// Most aliases that are offered; others can be typed.
const MOST_IDENTITIES: u32 = 100;

/// The people written to, the most likely first.
pub(super) async fn people(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    let most = room.needs.settings.get().people;
    let people = room.needs.contacts.people(&reader.account.address, most).await?;
    Ok(Json(serde_json::json!({ "people": people })).into_response())
}

/// Whom to forget.
#[derive(Deserialize)]
pub(super) struct Forgetting {
    address: Address,
}

pub(super) async fn forget(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Forgetting>,
) -> Answer<StatusCode> {
    let limits = room.needs.dav.get().limits();
    match room.needs.contacts.forget(&reader.account.address, &wish.address, &limits).await? {
        Forgotten::Entirely => Ok(StatusCode::NO_CONTENT),
        Forgotten::IsContact => Err(Problem::of(&reasons::IS_CONTACT).with("address", &wish.address)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> Preferences {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn what_a_later_version_has_stored_stays_where_it_belongs() {
        let stored = |later: bool| {
            let of = |mut value: Value, number: u32| {
                if later {
                    value["of_later"] = number.into();
                }
                value
            };
            let picture = of(json!({ "cid": "a@webmail" }), 3);
            let ann = of(json!({ "name": "Ann", "signature": "Ann", "pictures": [picture] }), 2);
            let bob = json!({ "name": "Bob", "signature": "" });
            let response = of(json!({ "name": "Thanks", "text": "Thank you." }), 4);
            let identities = json!({ "ann@example.test": ann, "bob@example.test": bob });
            of(json!({ "theme": "dark", "identities": identities, "responses": [response] }), 1)
        };
        let before = read(&stored(true));
        assert_eq!(before.theme, "dark");
        let mut shown = before.clone();
        shown.later_fields().into_iter().for_each(Later::clear);
        let shown = serde_json::to_value(&shown).unwrap();
        assert!(!shown.to_string().contains("of_later"), "no page gets it: {shown}");
        let mut wish = read(&shown);
        wish.keep_later(&before);
        let kept = serde_json::to_value(&wish).unwrap();
        for (place, value) in [
            ("/of_later", 1),
            ("/identities/ann@example.test/of_later", 2),
            ("/identities/ann@example.test/pictures/0/of_later", 3),
            ("/responses/0/of_later", 4),
        ] {
            assert_eq!(kept.pointer(place), Some(&value.into()), "{place}: {kept}");
        }
        // What is gone takes it along.
        let mut wish = read(&json!({ "theme": "light" }));
        wish.keep_later(&before);
        let kept = serde_json::to_value(&wish).unwrap();
        assert_eq!((&kept["of_later"], kept.to_string().matches("of_later").count()), (&1.into(), 1), "{kept}");
    }

    #[test]
    fn a_page_may_not_set_what_is_unknown() {
        for unknown in [
            json!({ "x": 1 }),
            json!({ "identities": { "ann@example.test": { "x": 1 } } }),
            json!({ "identities": { "ann@example.test": { "pictures": [{ "cid": "a@webmail", "x": 1 }] } } }),
            json!({ "responses": [{ "name": "a", "text": "b", "x": 1 }] }),
        ] {
            let mut wish = read(&unknown);
            assert!(wish.later_fields().iter().any(|later| later.contains_key("x")), "{unknown}");
        }
    }
}
