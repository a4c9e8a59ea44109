// Invitations: when and where something is, who comes, and the answer.

import { errorText, get, key, post } from "./api.js";
import { h, icon, toast } from "./elements.js";
import { labelled, leaf, span, t } from "./texts.js";

const TYPES = ["text/calendar", "application/ics"];
const ACTS = { accept: "accepted", tentative: "tentative", decline: "declined" };
const shown = (person) => person.name || person.address;

/** The part of a message that is an invitation. */
export const eventOf = (message) => TYPES.map((type) => message.attachments.find((file) => file.type === type)).find(Boolean);

/** What a message says of an event. `act` has `identities`, `from` (the name and address that answer) and `answered`. */
export class Invitation {
  constructor(message, act) {
    this.message = message;
    this.act = act;
    this.place = { folder: message.folder, uid: message.uid, part: eventOf(message).part };
    this.element = h("section", { class: "event", "aria-label": t("invitation"), hidden: true });
    this.state = h("p", { class: "stands", role: "status" });
    this.load();
  }

  async load() {
    try {
      this.event = await get("invitation", this.place);
    } catch {
      // What cannot be read stays a file.
      return;
    }
    this.draw();
  }

  isOwn(person) {
    return this.act.identities().some((address) => address.toLowerCase() === person?.address.toLowerCase());
  }

  draw() {
    const { event } = this;
    const line = (name, ...value) => [h("dt", {}, t(name)), h("dd", {}, value)];
    const repeats = event.repeats && ` (${t(`repeats_${event.repeats}`)})`;
    this.state.textContent = this.stands();
    this.buttons = this.acts();
    this.element.replaceChildren(
      event.start && h("div", { class: "leaf", "aria-hidden": "true" }, leaf(event.start).map((one) => h("span", {}, one))),
      h("div", { class: "about" },
        h("h2", {}, event.summary || t("noTitle")),
        h("dl", {},
          event.start && line("eventWhen", span(event.start, event.end), repeats),
          event.location && line("eventWhere", event.location),
          event.organiser && line("eventBy", shown(event.organiser)),
          event.attendees.length > 0 && event.method !== "reply" && line("eventGuests", this.guests())),
        event.comment && h("p", { class: "description" }, labelled(t("eventComment"), event.comment)),
        event.description && h("p", { class: "description" }, event.description),
        this.state,
        this.buttons.length > 0 && h("div", { class: "actionRow", role: "group", "aria-label": t("invitation") }, this.buttons)));
    this.element.hidden = false;
  }

  guests() {
    const people = this.event.attendees;
    // The calendar knows later answers.
    const status = (one) => one.address === this.event.me ? (this.declined && "declined") || this.event.calendar.status || one.status : one.status;
    const list = h("ul", {}, people.map((one) => h("li", {}, shown(one), " ", h("small", {}, t(`status_${status(one)}`)))));
    if (people.length <= 4) return list;
    return h("details", {}, h("summary", {}, `${people.slice(0, 3).map(shown).join(", ")} +${people.length - 3}`), list);
  }

  /** One sentence about where things stand. */
  stands() {
    const { event } = this, { calendar } = event;
    if (event.method === "reply") {
      const [who] = event.attendees;
      const known = Object.values(ACTS).includes(who?.status) ? who.status : "other";
      const said = who ? t(`theirs_${known}`, { name: shown(who) }) : "";
      return calendar.reply === "yes" ? `${said} ${t("answerNoted")}` : said;
    }
    if (calendar.foreign) return t("eventForeign");
    if (calendar.newer) return t("eventNewer");
    if (event.method === "cancel") return t("eventCancelled");
    if (this.declined) return t("mine_declined");
    if (calendar.outdated) return t(event.method === "other" ? "eventProposed" : "eventOutdated");
    if (this.isOwn(event.organiser)) return t("eventOwn");
    if (Object.values(ACTS).includes(calendar.status)) return t(`mine_${calendar.status}`);
    return calendar.kept ? t("eventKept") : "";
  }

  acts() {
    const { event } = this, { calendar } = event;
    const one = (act, name, kind = "", pressed = null) => h("button", { type: "button", class: kind, "aria-pressed": pressed === null ? null : String(pressed), on: { click: () => this.do(act) } }, pressed && icon("check"), t(name));
    if (event.method === "reply" && calendar.reply === "no" && !calendar.foreign && !calendar.newer) return [one("note", "noteAnswer", "main")];
    if (calendar.foreign || calendar.newer || ["reply", "other"].includes(event.method)) return [];
    if (event.method === "cancel") return calendar.kept ? [one("remove", "eventRemove", "main")] : [];
    if (event.method === "request" && event.organiser && !this.isOwn(event.organiser)) {
      const now = this.declined ? "declined" : calendar.status;
      return [["accept", "eventAccept"], ["tentative", "eventTentative"], ["decline", "eventDecline"]].map(([act, name]) => one(act, name, now === ACTS[act] ? "main" : "", now === ACTS[act]));
    }
    return [calendar.kept && !calendar.outdated ? one("remove", "eventRemove") : one("keep", "eventAdd", "main")];
  }

  async do(act) {
    const { event } = this;
    const status = ACTS[act];
    for (const button of this.buttons) button.disabled = true;
    const wish = { ...this.place, act };
    if (status) {
      const from = this.act.from(event.me);
      const values = { summary: event.summary || t("noTitle"), name: shown(from) };
      wish.answer = { key: key(), from, subject: t(`replySubject_${status}`, values), text: `${t(`replyText_${status}`, values)}\n` };
    }
    try {
      const { notes } = await post("invitation", wish);
      this.declined = status === "declined";
      toast(t(status ? "answerSent" : { keep: "eventAdded", remove: "eventRemoved", note: "answerNoted" }[act]));
      for (const note of notes) toast(errorText(note), { problem: true });
      await this.load();
      this.buttons[Object.keys(ACTS).indexOf(act)]?.focus();
      this.act.answered();
    } catch (error) {
      toast(error.message, { problem: true });
      for (const button of this.buttons) button.disabled = false;
    }
  }
}
