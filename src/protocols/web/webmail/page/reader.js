// One message.

import { address, addressedAt, get, post } from "./api.js";
import { confirm, menu } from "./dialogs.js";
import { avatar, button, h, icon, toast } from "./elements.js";
import { imported } from "./contacts.js";
import { eventOf, Invitation } from "./invitation.js";
import { sayCut } from "./markup.js";
import { displayName, forgetPeople, parseMailto } from "./addresses.js";
import { labelled, longDate, shortDate, size, spamReason, t } from "./texts.js";

/** Most lines of a conversation before or after the open message; of more, those beside it and the outermost one are shown. */
const MOST_STRIPS = 4;
/** How long a message waits for the others of its conversation, in milliseconds: folders may have to be read for them. */
const PATIENCE = 400;
const pause = (time) => new Promise((resolve) => { setTimeout(resolve, time); });

/** `act` has what can be done with a message: `reply`, `move`, `remove`, `mark`, `flag`, `edit`, `back`, `forward`. */
export class Reader {
  constructor(act) {
    this.act = act;
    this.message = null;
    /** Where the message lies that is being fetched, and that which could not be had. */
    this.coming = null;
    this.missing = null;
    this.element = h("section", { id: "reader", tabIndex: -1, "aria-label": t("message") });
    this.clear();
  }

  clear() {
    this.message = null;
    this.coming = null;
    this.missing = null;
    this.lost = false;
    this.element.removeAttribute("aria-labelledby");
    this.element.removeAttribute("aria-busy");
    this.element.replaceChildren(h("p", { class: "pick" }, icon("mail"), t("pick")));
  }

  /** Resolves to the message, or to `null` if it cannot be had or is no longer wanted. */
  open(folder, uid, within = "") {
    this.opening = this.fetch({ folder, uid, within });
    return this.opening;
  }

  async fetch(wanted) {
    const { folder, uid, within } = wanted;
    this.coming = wanted;
    this.missing = null;
    this.lost = false;
    this.element.setAttribute("aria-busy", "true");
    try {
      const conversation = within ? Promise.resolve(this.others ?? []) : this.conversation(folder, uid);
      const message = await get("message", wanted);
      const others = await Promise.race([conversation, pause(PATIENCE)]);
      if (this.coming !== wanted) return null;
      this.message = message;
      this.others = others ?? [];
      if (!others) conversation.then((late) => { if (this.message === message) this.surround(late); });
      // Nothing proves who wrote an attached message.
      this.images = !within && this.act.trusts(message.from[0]?.address);
      this.asText = !message.html || this.act.prefersText();
      this.draw();
      this.element.scrollTop = 0;
      return message;
    } catch (error) {
      if (this.coming === wanted) {
        this.message = null;
        this.missing = wanted;
        // Without an answer it is asked again once there is one.
        this.lost = error.status === 0;
        this.element.removeAttribute("aria-labelledby");
        this.element.replaceChildren(this.head([]), h("p", { class: "banner", role: "alert" }, icon("warn"), h("span", {}, error.message),
          this.lost && h("button", { type: "button", on: { click: () => this.act.again() } }, t("retry"))));
      }
      return null;
    } finally {
      if (this.coming === wanted) {
        this.coming = null;
        this.element.removeAttribute("aria-busy");
      }
    }
  }

  /** The messages of its conversation, when lists are of conversations. */
  async conversation(folder, uid) {
    if (!this.act.grouped()) return [];
    const known = this.others ?? [];
    // A message of another folder belongs to the conversation it was opened from.
    if (folder !== this.act.listed() && known.some((one) => one.folder === folder && one.uid === uid)) return known;
    return get("conversation", { folder, uid }).then(({ messages, whole }) => Object.assign(messages, { whole }), () => []);
  }

  head(buttons) {
    return h("div", { class: "bar actions", role: "toolbar", "aria-label": t("message") },
      button(t("back"), "back", () => this.act.back(), { kind: "onlyNarrow" }), buttons);
  }

  actions() {
    const { message, act } = this;
    if (message.within) return this.actionsWithin();
    const role = act.role();
    const has = (flag) => message.flags.includes(flag);
    const more = button(t("more"), "more", () => menu(more, [
      message.list_post && [t("replyList"), () => act.write("replyList", message)],
      [t("forwardFile"), () => act.write("forwardFile", message)],
      !["drafts", "sent"].includes(role) && [t("editAsNew"), () => act.write("asNew", message)],
      [t(has("seen") ? "markUnread" : "markRead"), () => act.mark("seen", !has("seen"))],
      message.html && [t(this.asText ? "showHtml" : "showText"), () => { this.asText = !this.asText; this.draw(); }],
      message.from[0] && !["drafts", "sent"].includes(role) && [t("addContact"), () => act.addContact(message.from[0])],
      ...this.kept(),
    ]));
    return this.head([
      role === "drafts" && button(t("edit"), "compose", () => act.edit(message), { text: true, kind: "main" }),
      button(t("reply"), "reply", () => act.write("reply", message), { key: "r" }),
      this.act.others(message) && button(t("replyAll"), "replyAll", () => act.write("replyAll", message), { key: "a" }),
      button(t("forward"), "forward", () => act.write("forward", message), { key: "f" }),
      role === "sent" && button(t("editAsNew"), "compose", () => act.write("asNew", message), { key: "E", kind: "asNew" }),
      h("span", { class: "gap" }),
      !["archive", "drafts"].includes(role) && button(t("archiveIt"), "archive", () => act.move({ role: "archive" }), { key: "e" }),
      role === "junk" ? button(t("notJunk"), "ok", () => act.move({ role: "inbox" }), { key: "!", text: true })
        : !["drafts", "sent"].includes(role) && button(t("junkIt"), "junk", () => act.move({ role: "junk" }), { key: "!" }),
      button(t(role === "trash" ? "deleteForGood" : "deleteIt"), "trash", () => act.remove(), { key: "#" }),
      button(t("moveTo"), "move", () => act.choose(), { key: "m" }),
      button(t(has("flagged") ? "unflag" : "flag"), "flag", () => act.mark("flagged", !has("flagged")), { key: "s", kind: has("flagged") ? "on" : "", pressed: has("flagged") }),
      more,
    ]);
  }

  /** The ways to keep a message outside of the mailbox. */
  kept() {
    return [
      [t("print"), () => this.print()],
      [t("source"), () => window.open(this.address("source"), "_blank", "noopener")],
      [t("download"), () => { location.href = this.address("source", { file: 1 }); }],
    ];
  }

  /** Prints the message and nothing else. Formatted text is a page by itself, so that no line of it is cut in two where paper ends. */
  print() {
    const frame = this.element.querySelector("iframe.page"), inside = frame?.contentDocument;
    if (!inside?.body) {
      window.print();
      return;
    }
    inside.querySelector("body > .printed")?.remove();
    inside.body.prepend(this.printed());
    frame.contentWindow.print();
  }

  /** The header of a printed message. */
  printed() {
    const { message } = this;
    const people = ["from", "to", "cc", "bcc"].filter((name) => message[name].length > 0).map((name) => [name, message[name].map(shown).join(", ")]);
    const files = message.attachments.filter((file) => !file.inline).map((file) => file.name).join(", ");
    const rows = [...people, ["date", longDate(message.sent ?? message.arrived)], ...(files ? [["attachments", files]] : [])];
    return h("header", { class: "printed" }, h("h2", {}, message.subject || t("noSubject")), h("dl", {}, rows.map(([name, text]) => [h("dt", {}, t(name)), h("dd", {}, text)]).flat()));
  }

  /** What can be done with a message that is attached to another. */
  actionsWithin() {
    const { message, act } = this;
    const more = button(t("more"), "more", () => menu(more, [
      [t("editAsNew"), () => act.write("asNew", message)],
      message.html && [t(this.asText ? "showHtml" : "showText"), () => { this.asText = !this.asText; this.draw(); }],
      ...this.kept(),
    ]));
    return h("div", { class: "bar actions", role: "toolbar", "aria-label": t("message") },
      button(t("backToOuter"), "back", () => act.back(), { text: true, key: "Esc", kind: "outer" }),
      button(t("reply"), "reply", () => act.write("reply", message), { key: "r" }),
      this.act.others(message) && button(t("replyAll"), "replyAll", () => act.write("replyAll", message), { key: "a" }),
      button(t("forward"), "forward", () => act.write("forward", message), { key: "f" }),
      h("span", { class: "gap" }), more);
  }

  address(what, more = {}) {
    return address(what, { ...addressedAt(this.message), ...more });
  }

  draw() {
    const held = document.activeElement;
    const place = [...(held?.closest("#reader .actions")?.children ?? [])].indexOf(held);
    this.redraw();
    if (place >= 0) this.hold(held.getAttribute("aria-label"), place);
  }

  /** Gives the focus to the button that took the place of an earlier one, by its name or else where it stood. */
  hold(name, place) {
    const all = [...this.element.querySelector(".actions").children];
    (all.find((one) => one.getAttribute("aria-label") === name) ?? all.slice(0, place + 1).findLast((one) => one.matches("button")))?.focus();
  }

  /** Draws the actions anew, and leaves the message as it is: its page is loaded again with its frame. */
  drawActions() {
    const bar = this.element.querySelector(".actions"), held = document.activeElement, place = [...bar.children].indexOf(held);
    bar.replaceWith(this.actions());
    if (place >= 0) this.hold(held.getAttribute("aria-label"), place);
  }

  redraw() {
    const { message } = this;
    const subject = h("h1", { id: "subject" }, message.subject || t("noSubject"));
    this.element.setAttribute("aria-labelledby", "subject");
    const article = h("article", {}, ...[subject, this.people(), this.printed(), ...this.banners(), this.invited(), this.body(), this.files()].filter(Boolean));
    this.element.replaceChildren(this.actions(), article);
    this.surround(this.others ?? []);
  }

  /** Puts the other messages of the conversation around the shown one, which stays in place: moving a frame reloads it. */
  surround(others) {
    this.others = others;
    const { message } = this;
    const at = others.findIndex((one) => one.folder === message.folder && one.uid === message.uid);
    if (at < 0 || others.length < 2 || message.within) return;
    const strips = (some, name) => some.length > 0 && h("ol", { class: "strips", "aria-label": t(name) }, this.strips(some, name));
    const article = this.element.querySelector("article");
    article.before(...[strips(others.slice(0, at), "earlierMessages")].filter(Boolean));
    article.after(...[strips(others.slice(at + 1), "laterMessages"), !others.whole && h("p", { class: "partly" }, t("conversationPart"))].filter(Boolean));
  }

  /** Lines for messages of the conversation. In a long one, those between the outermost and the ones beside the open message wait behind a button. */
  strips(some, name) {
    const all = some.map((one) => this.strip(one));
    if (all.length <= MOST_STRIPS) return all;
    const between = name === "earlierMessages" ? all.slice(1, -2) : all.slice(2, -1);
    const more = h("li", {}, h("button", { type: "button", class: "quiet moreStrips", on: { click: () => {
      more.replaceWith(...between);
      between[0].firstChild.focus();
    } } }, t("moreMessages", { count: between.length })));
    return all.toSpliced(all.indexOf(between[0]), between.length, more);
  }

  /** Another message of the conversation, on one line. */
  strip(one) {
    const unread = !one.flags.includes("seen");
    const name = one.from[0] ? displayName(one.from[0]) : t("noSender");
    const place = one.folder !== this.act.listed() && this.act.folderName(one.folder);
    const label = [name, shortDate(one.arrived), unread && t("unreadMail"), place, one.preview].filter(Boolean).join(", ");
    return h("li", {}, h("button", { type: "button", class: unread ? "strip unread" : "strip", "aria-label": label, on: { click: () => this.act.show(one.folder, one.uid) } },
      avatar(one.from[0]), h("span", { class: "who" }, name), h("span", { class: "preview" }, one.preview), place && h("small", {}, place), h("time", { title: longDate(one.arrived) }, shortDate(one.arrived))));
  }

  people() {
    const { message } = this;
    const from = message.from[0];
    const names = [...message.to, ...message.cc].map(displayName);
    const list = (name, people) => people.length > 0 && [h("dt", {}, t(name)), h("dd", {}, people.map(person).flatMap((one, n) => n ? [", ", one] : [one]))];
    const differs = (people) => people.some((one) => !message.from.some((known) => known.address.toLowerCase() === one.address.toLowerCase())) ? people : [];
    return h("div", { class: "people" },
      avatar(from),
      h("div", { class: "lines" },
        h("div", { class: "sender" },
          h("strong", {}, from?.name || from?.address || t("noSender")),
          from?.name && h("span", { class: "address" }, `<${from.address}>`),
          this.verified(),
          this.unsubscribing(),
          h("time", { title: longDate(message.sent ?? message.arrived), dateTime: new Date(message.arrived).toISOString() }, shortDate(message.arrived))),
        h("details", {},
          h("summary", {}, t("toPrefix") + (names.slice(0, 3).join(", ") || t("nobody")) + (names.length > 3 ? ` +${names.length - 3}` : "")),
          h("dl", {}, list("from", message.from), list("sender", differs(message.sender)), list("replyTo", differs(message.reply_to)),
            list("to", message.to), list("cc", message.cc), list("bcc", message.bcc),
            h("dt", {}, t("date")), h("dd", {}, longDate(message.sent ?? message.arrived)),
            message.authentication.length > 0 && [h("dt", {}, t("details")), h("dd", {}, message.authentication.map((one) => h("code", {}, one)))]))));
  }

  /** The sender's verification, in one unobtrusive sign. */
  verified() {
    const results = this.message.authentication;
    if (results.length === 0) return null;
    const dmarc = results.find((one) => one.startsWith("dmarc="));
    // A signature alone may be of anybody; only DMARC says whose the address is.
    const good = dmarc?.startsWith("dmarc=pass");
    const bad = dmarc?.startsWith("dmarc=fail");
    if (!good && !bad) return null;
    const text = t(good ? "authGood" : "authBad");
    return h("span", { class: good ? "seal good" : "seal bad", role: "img", title: text, "aria-label": text }, icon(good ? "ok" : "warn"));
  }

  /** The part of it that is an event. One that is attached to another message invites nobody. */
  eventOf() {
    return this.message.within ? undefined : eventOf(this.message);
  }

  /** The event that a message is about. Its element stays while the rest is redrawn. */
  invited() {
    if (!this.eventOf()) return null;
    if (this.event?.message !== this.message) this.event = new Invitation(this.message, this.act);
    return this.event.element;
  }

  /** Of letters to many: how to get no more of them. Who sends junk would only learn that somebody reads it. */
  unsubscribing() {
    const { unsubscribe, authentication } = this.message;
    if (!unsubscribe || this.act.role() === "junk" || authentication.some((one) => one.startsWith("dmarc=fail"))) return null;
    return h("button", { type: "button", class: "quiet unsubscribe", on: { click: () => this.unsubscribe(unsubscribe) } }, t("unsubscribeList"));
  }

  async unsubscribe({ mail, page, one_click: oneClick }) {
    // It may be gone from the page while the question is open.
    const { message } = this;
    if (oneClick) {
      const { host } = new URL(page);
      const { folder, uid } = message;
      if (await confirm(t("oneClickSure", { host }), t("unsubscribeList"), false)) await post("message/unsubscribe", { folder, uid }).then(() => toast(t("oneClickDone", { host })), (error) => toast(error.message, { problem: true }));
    } else if (mail) {
      if (await confirm(t("unsubscribeMailSure", { address: parseMailto(mail).to }), t("unsubscribeList"), false) && await this.act.sendTo(mail, message)) toast(t("unsubscribeSent"));
    } else if (await confirm(t("unsubscribePageSure", { host: new URL(page).host }), t("unsubscribeList"), false)) window.open(page, "_blank", "noopener,noreferrer");
  }

  banners() {
    const { message } = this;
    const banners = [];
    if (message.within) banners.push(h("p", { class: "banner within" }, icon("attach"), h("span", {}, t("attachedNote"))));
    if (message.priority) banners.push(h("p", { class: `banner priority ${message.priority}` }, icon(message.priority === "high" ? "warn" : "down"), h("span", {}, t(message.priority === "high" ? "isUrgent" : "isNotUrgent"))));
    if (message.spam?.flagged) {
      const score = parseFloat(message.spam.score), { reasons } = message.spam;
      const values = { score: Number.isNaN(score) ? message.spam.score : score, reason: reasons.map(spamReason).join("; ") };
      banners.push(h("p", { class: "banner" }, icon("junk"), h("span", {}, t(reasons.length > 0 ? "spamBecause" : "spamFlag", values))));
    }
    if (!this.asText && message.remote_images > 0 && !this.images) {
      const from = message.from[0]?.address;
      banners.push(h("p", { class: "banner images" }, icon("warn"), h("span", {}, t("imagesBlocked", { count: message.remote_images })),
        h("button", { type: "button", on: { click: () => this.showImages(false) } }, t("showImages")),
        from && !message.within && this.act.role() !== "junk" && h("button", { type: "button", class: "quiet", on: { click: () => this.showImages(true) } }, t("alwaysImages", { address: from }))));
    }
    if (message.receipt && !["drafts", "sent", "junk", "trash"].includes(this.act.role()) && !message.spam?.flagged) {
      banners.push(h("p", { class: "banner receipt" }, icon("sent"), h("span", {}, t("receiptWanted", { address: message.receipt })),
        h("button", { type: "button", on: { click: () => this.decide(true) } }, t("receiptSend")),
        h("button", { type: "button", class: "quiet", on: { click: () => this.decide(false) } }, t("receiptRefuse"))));
    }
    if (!message.text.trim() && message.attachments.some((file) => SEALED.includes(file.type))) banners.push(h("p", { class: "banner sealed" }, icon("warn"), t("sealed")));
    if (this.asText ? message.cut : message.html_cut) banners.push(h("p", { class: "banner" }, icon("warn"), t("cut")));
    return banners;
  }

  /** Sends the receipt that the message asks for, or never. */
  async decide(sends) {
    const { message } = this;
    const { folder, uid } = message;
    const values = { subject: message.subject || t("noSubject"), date: longDate(message.sent ?? message.arrived) };
    const receipt = sends ? { from: this.act.writer(message), subject: t("receiptSubject", values), text: `${t("receiptText", values)}\n` } : null;
    try {
      await post("message/receipt", { folder, uid, receipt });
      if (sends) toast(t("receiptSent"));
      message.receipt = null;
      if (this.message === message) this.draw();
    } catch (error) {
      toast(error.message, { problem: true });
    }
  }

  showImages(always) {
    this.images = true;
    if (always) this.act.trust(this.message.from[0].address);
    this.draw();
  }

  body() {
    if (this.asText) return h("div", { class: "text" }, lines(this.message.text, this.act.compose));
    const frame = h("iframe", { class: "page", title: t("message"), sandbox: "allow-same-origin allow-modals allow-popups allow-popups-to-escape-sandbox", referrerPolicy: "no-referrer", src: this.address("page", { images: this.images ? 1 : 0 }) });
    frame.addEventListener("load", () => this.settle(frame));
    return frame;
  }

  /** The frame is as high as its content, keys pressed in it are keys of the page, and links tell where they lead. */
  settle(frame) {
    const inside = frame.contentDocument;
    if (!inside?.body) return;
    sayCut(inside);
    // Content wider than the frame has a scroll bar below it.
    const fit = () => {
      const { scrollWidth, clientWidth, scrollHeight } = inside.documentElement;
      frame.style.height = `${Math.min(scrollHeight + (scrollWidth > clientWidth ? 20 : 2), 60_000)}px`;
    };
    fit();
    new ResizeObserver(fit).observe(inside.body);
    for (const image of inside.images) image.addEventListener("load", fit);
    inside.addEventListener("keydown", (event) => {
      const copy = new KeyboardEvent("keydown", { key: event.key, ctrlKey: event.ctrlKey, metaKey: event.metaKey, altKey: event.altKey, shiftKey: event.shiftKey, bubbles: true, cancelable: true });
      if (!document.dispatchEvent(copy)) event.preventDefault();
    });
    for (const link of inside.links) warn(link, inside);
    inside.addEventListener("click", (event) => {
      const link = event.target.closest?.("a[href^='mailto:' i]");
      if (!link) return;
      event.preventDefault();
      this.act.compose(link.getAttribute("href"));
    });
  }

  files() {
    const event = this.eventOf();
    // The part that is shown as an event is one more time a file as a rule.
    const files = this.message.attachments.filter((file) => (!file.inline || this.asText) && !(file === event && this.message.attachments.some((other) => other !== file && other.name.endsWith(".ics"))));
    if (files.length === 0) return null;
    return h("section", { class: "files", "aria-label": t("attachments") },
      h("h2", {}, t("attachments"), files.length > 1 && h("a", { class: "all", href: this.address("attachments"), download: "" }, t("downloadAll"))),
      h("ul", {}, files.map((file) => MESSAGES.includes(file.type) ? this.letter(file) : h("li", {},
        h("a", { href: this.address("part", { part: file.part }), download: file.name },
          picture(file) ? h("img", { src: this.address("part", { part: file.part, inline: 1 }), alt: "", loading: "lazy" }) : icon("attach"),
          h("span", { class: "name" }, file.name), h("span", { class: "size" }, size(file.size))),
        CARDS.includes(file.type) && !this.message.within && button(t("importContacts"), "plus", () => this.importContacts(file), { text: true, kind: "quiet importContacts" })))));
  }

  /** A message among the files: it is opened as one, and can be kept as a file. */
  letter(file) {
    const within = [this.message.within, file.part].filter((one) => one !== "").join(".");
    return h("li", {},
      h("a", { class: "letter", href: this.act.linkTo(this.message, within), data: { within } }, icon("mail"), h("span", { class: "name" }, file.name), h("span", { class: "size" }, size(file.size))),
      h("a", { class: "keep", href: this.address("part", { part: file.part }), download: file.name, title: t("download"), "aria-label": labelled(t("download"), file.name) }, icon("download")));
  }

  async importContacts({ part }) {
    const { folder, uid } = this.message;
    try {
      imported(await post("contacts/import", { folder, uid, part }));
      forgetPeople();
    } catch (error) {
      toast(error.message, { problem: true });
    }
  }
}

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
/** What only a program with the reader's key opens (RFC 8551, RFC 3156). */
const SEALED = ["application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted"];
/** Types opened as a message; the last one is Outlook's TNEF. */
const MESSAGES = ["message/rfc822", "message/global", "application/ms-tnef"];
const CARDS = ["text/vcard", "text/x-vcard", "text/directory"];
const picture = (file) => PICTURES.includes(file.type) && file.size < 4 << 20;
const shown = (one) => (one.name ? `${one.name} <${one.address}>` : one.address);
const person = (one) => h("span", { class: "person" }, shown(one));

/** A link whose text names another host than it leads to says so; every link shows its target. */
function warn(link, inside) {
  let url;
  try { url = new URL(link.href); } catch { return; }
  link.title = link.href;
  const named = /^\s*(?:https?:\/\/)?((?:[\w-]+\.)+[a-z]{2,})(?:[/?#:]|\s*$)/i.exec(link.textContent)?.[1];
  const bare = (host) => host.toLowerCase().replace(/^www\./, "");
  if (!named || !url.host || bare(url.hostname) === bare(named) || bare(url.hostname).endsWith(`.${bare(named)}`)) return;
  const note = inside.createElement("small");
  note.textContent = ` [${t("linkElsewhere", { host: url.hostname })}]`;
  note.style.cssText = "color:#b3261e;font-weight:bold";
  link.after(note);
}

/** Plain text with links and quoted lines told apart by their depth. */
export function lines(text, compose) {
  return text.trimEnd().split("\n").map((line) => {
    const quoted = /^((?:>\s?)+)/.exec(line)?.[1];
    const depth = quoted ? Math.min(quoted.replace(/\s/g, "").length, 4) : 0;
    return h("div", { class: depth ? `quote${depth}` : "" }, linked(line, compose), "\n");
  });
}

/** The addresses of pages, and of people, whose local part begins where such a word does: a search from each of its characters would
 * take as many steps as the square of its length. */
const LINKS = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]|(?<![\w.+-])[.+-]*(\w[\w.+-]*@[\w-]+(?:\.[\w-]+)+)/g;

function linked(line, compose) {
  const pieces = [];
  let from = 0;
  for (const match of line.matchAll(LINKS)) {
    const [page, person] = match, end = match.index + page.length, address = person ?? page;
    pieces.push(line.slice(from, end - address.length));
    from = end;
    if (!person) pieces.push(h("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, page));
    else pieces.push(h("a", { href: `mailto:${person}`, on: { click: (event) => { event.preventDefault(); compose?.(`mailto:${person}`); } } }, person));
  }
  pieces.push(line.slice(from));
  return pieces;
}
