// What letters begin with: new messages, answers, drafts.

import { errorText, get, key, placeOf, post } from "./api.js";
import { h, toast } from "./elements.js";
import { Letter } from "./letter.js";
import { lines, signed } from "./markup.js";
import { bare, forgetPeople, parse, parseMailto, write } from "./addresses.js";
import { labelled, longDate, t } from "./texts.js";

/** Seconds during which sending can be undone, unless the account prefers another time. */
export const HOLD = 5;

/** Whether a letter covers the whole page. */
const covers = () => matchMedia("(max-width: 760px)").matches;

/** The files of a message, to go along with another. */
const filesOf = (message) => message.attachments.map((file) => ({ name: file.name, size: file.size, inline: file.inline, source: { ...placeOf(message), part: file.part } }));

/** Whether part of the text or of the recipients is missing. */
const isPart = (message) => (message.html ? message.html_cut : message.cut) || message.people_cut;

/** Begins letters; `account` is the server's account data, `act` has `changed` and `drafts`. */
export class Composer {
  constructor(account, act) {
    this.account = account;
    this.act = act;
    this.open = null;
    /** The letters that can still be taken back, the last one last. */
    this.waiting = [];
    this.wentBack = () => this.returned();
    addEventListener("popstate", this.wentBack);
  }

  /** Seconds during which sending can be undone. */
  get holds() {
    return this.account.preferences.hold ?? HOLD;
  }

  /** What follows once a letter is on its way. */
  sent({ notes }) {
    toast(t("messageSent"));
    for (const note of notes) toast(errorText(note), { problem: true });
    forgetPeople();
    this.act.changed();
  }

  /** A letter waits at the server, which sends it by itself if nobody asks for it any more. */
  wait(wish, seconds) {
    const one = { wish };
    one.toast = toast(t("sendingSoon"), { action: t("undo"), act: () => this.undo(one), last: (seconds + 1) * 1_000 });
    one.timer = setTimeout(() => this.sendNow(one), seconds * 1_000);
    this.waiting.push(one);
  }

  async sendNow(one) {
    this.forget(one);
    try {
      this.sent(await post("send", one.wish));
    } catch (error) {
      // Without an answer the server continues by itself.
      toast(error.status === 0 ? t("sendingLater") : error.message, { problem: true, action: t("openDraft"), act: error.status === 0 ? undefined : () => this.resumeDraft(one) });
      this.act.changed();
    }
  }

  /** Takes back a letter and reopens it for writing. */
  async undo(one = this.waiting.at(-1)) {
    if (!one) return;
    this.forget(one);
    try {
      await post("send/undo", { key: one.wish.key });
    } catch (error) {
      toast(error.message, { problem: true });
      this.act.changed();
      return;
    }
    toast(t("notSent"));
    await this.resumeDraft(one);
  }

  async resumeDraft({ wish }) {
    try {
      await this.resume(await get("message", { folder: this.act.drafts(), uid: wish.draft }));
    } catch (error) {
      toast(error.message, { problem: true });
    }
  }

  /** Nothing is done about a letter here any more. */
  forget(one) {
    clearTimeout(one.timer);
    one.toast.remove();
    this.waiting = this.waiting.filter((other) => other !== one);
  }

  /** The login has ended; the server sends what waits. */
  end() {
    removeEventListener("popstate", this.wentBack);
    for (const one of this.waiting) this.forget(one);
  }

  /** A new letter, from the fields of a mailto address if there is one. */
  begin(mailto = "") {
    const letter = { to: "", cc: "", bcc: "", subject: "", text: "" };
    if (mailto) Object.assign(letter, parseMailto(mailto));
    letter.from = this.account.preferences.default_identity ?? this.account.address;
    letter.text += this.signature(letter.from);
    return this.show(letter, letter.to ? "text" : "to");
  }

  /** The address that answers a message, with its name. */
  from(wanted) {
    const address = this.account.identities.find((one) => one.toLowerCase() === wanted?.toLowerCase()) ?? this.account.preferences.default_identity ?? this.account.address;
    return { name: this.account.preferences.identities[address.toLowerCase()]?.name || (address === this.account.address ? this.account.name : "") || "", address };
  }

  /** Whether an address is one of one's own, with or without a tag. */
  isOwn({ address }) {
    const meant = bare(address, this.account.tag_separator);
    return this.account.identities.some((one) => [address.toLowerCase(), meant].includes(one.toLowerCase()));
  }

  /** Who answers a message: the address that it came to, or from. */
  writer(message) {
    const address = [...message.to, ...message.cc, ...message.from].find((person) => this.isOwn(person))?.address;
    const is = (one, other) => one.toLowerCase() === other;
    const known = address && (this.account.identities.find((one) => is(one, address.toLowerCase())) ?? this.account.identities.find((one) => is(one, bare(address, this.account.tag_separator))));
    return this.from(known);
  }

  /** Sends a letter as a mailto address has it, from the address that a message came to; whether it is on its way. */
  async sendTo(mailto, message) {
    const { to, subject, text } = parseMailto(mailto);
    const letter = { from: this.writer(message), to: parse(to), subject: subject || "unsubscribe", text: text || "unsubscribe" };
    try {
      await post("send", { key: key(), letter });
      return true;
    } catch (error) {
      toast(error.message, { problem: true });
      return false;
    }
  }

  signature(from) {
    const signature = this.account.preferences.identities[from.toLowerCase()]?.signature;
    return signature ? `\n\n-- \n${signature}` : "";
  }

  /** The signature for formatted text, or `null`. */
  async formattedSignature(from, picture) {
    const text = this.signature(from).replace(/^\n+/, "");
    const has = this.account.preferences.identities[from.toLowerCase()]?.html;
    if (!text && !has) return null;
    const content = has ? await signed(from, picture).then((own) => [h("div", {}, "-- "), own], () => toast(t("formattingNotLoaded"), { problem: true }) && null) : null;
    return h("div", { data: { signature: "" } }, ...(content ?? [lines(text)]));
  }

  /** Whether a message went to anybody beside oneself and who has written it. */
  others({ from, reply_to: replyTo, to, cc }) {
    const written = new Set([...from, ...replyTo].map((person) => person.address.toLowerCase()));
    const people = [...to, ...cc];
    return people.length > 1 && from.some((person) => this.isOwn(person)) || people.some((person) => !this.isOwn(person) && !written.has(person.address.toLowerCase()));
  }

  /** An answer to a message, or the message forwarded or edited as new. */
  answer(kind, message) {
    if (kind === "asNew") return this.asNew(message);
    const from = this.writer(message).address;
    const forward = kind.startsWith("forward");
    const prefix = forward ? "Fwd: " : "Re: ";
    const bare = message.subject.replace(forward ? /^fwd?:\s*/i : /^re:\s*/i, "");
    const letter = {
      from, to: "", cc: "", bcc: "", subject: prefix + bare, attachments: [],
      in_reply_to: forward ? null : message.message_id,
      references: [...message.references, ...(message.message_id ? [message.message_id] : [])],
      // What is attached to a message is answered without an answer to that.
      answers: message.within ? null : { kind: forward ? "forward" : "reply", folder: message.folder, uid: message.uid },
    };
    if (forward) {
      if (kind === "forwardFile") {
        letter.attachments = [{ name: `${message.subject || t("message")}.eml`, size: message.size, source: { folder: message.folder, uid: message.uid } }];
        letter.text = this.signature(from);
      } else {
        const head = [["from", message.from], ["to", message.to], ["cc", message.cc]].filter(([, people]) => people.length > 0).map(([name, people]) => labelled(t(name), write(people)));
        head.push(labelled(t("date"), longDate(message.sent ?? message.arrived)), labelled(t("subject"), message.subject));
        const before = `${t("forwarded")}\n${head.join("\n")}\n\n`;
        letter.text = `${this.signature(from)}\n\n${before}${message.text}`;
        letter.passed = { message, before };
        letter.attachments = filesOf(message);
        this.warnOfCut(message);
      }
      return this.show(letter, "to");
    }
    const outgoing = message.from.some((person) => this.isOwn(person));
    const back = outgoing ? message.to : message.reply_to.length > 0 ? message.reply_to : message.from;
    letter.to = write(back);
    if (kind === "replyList") letter.to = message.list_post;
    if (kind === "replyAll") {
      const taken = new Set(back.map((person) => person.address.toLowerCase()));
      const rest = (people) => people.filter((person) => !this.isOwn(person) && !taken.has(person.address.toLowerCase()) && taken.add(person.address.toLowerCase()));
      const others = outgoing ? [] : rest(message.to);
      letter.to = write([...back, ...others]);
      letter.cc = write(rest(message.cc));
      if (message.people_cut) toast(t("peopleCut"), { problem: true });
    }
    const name = message.from[0]?.name || message.from[0]?.address || "";
    const before = t("wrote", { date: longDate(message.sent ?? message.arrived), name });
    const quote = `${before}\n${message.text.trimEnd().split("\n").map((line) => line.startsWith(">") ? `>${line}` : `> ${line}`).join("\n")}\n`;
    const below = this.account.preferences.reply_below;
    letter.quoted = { message, before, below };
    letter.text = below ? `${quote}\n${this.signature(from)}` : `${this.signature(from)}\n\n${quote}`;
    return this.show(letter, "text", below ? quote.length + 1 : 0);
  }

  /** Forwards the shown text, which of a long message is its beginning. */
  warnOfCut(message) {
    const isCut = this.account.preferences.formatted && message.html ? message.html_cut : message.cut;
    if (isCut) toast(t("forwardCut"), { problem: true, action: t("forwardFile"), act: message.within ? undefined : () => this.answer("forwardFile", message) });
  }

  /** Continues a draft. An incomplete one would replace the whole. */
  async resume(message) {
    if (isPart(message)) {
      toast(t("draftTooLong"), { problem: true });
      return null;
    }
    const letter = this.like(message);
    return this.show({ ...letter, in_reply_to: message.references.at(-1) ?? null, references: message.references, answers: message.answers }, "text", 0, message);
  }

  /** A new letter with the content, the people and the files of a message. It answers nothing, and the message stays as it is. */
  asNew(message) {
    if (isPart(message)) toast(t("cut"), { problem: true });
    return this.show(this.like(message), message.to.length > 0 ? "text" : "to");
  }

  like(message) {
    const own = this.account.identities.find((address) => address.toLowerCase() === message.from[0]?.address.toLowerCase());
    return {
      from: own ?? this.from().address, to: write(message.to), cc: write(message.cc), bcc: write(message.bcc), subject: message.subject, text: message.text,
      attachments: filesOf(message), content: message, receipt: message.asks_receipt, priority: message.priority, notify: message.notify,
    };
  }

  async show(letter, focus, caret = 0, draft = null) {
    await this.open?.leave();
    if (this.open) {
      toast(t("letterFirst"), { problem: true });
      this.open.element.classList.remove("small");
      return this.open;
    }
    const open = this.open = new Letter(this, letter, draft);
    document.body.append(open.element);
    this.enter();
    // Keys are for the letter from now on, and not for the page below, also while its text is on its way.
    const first = focus === "to" && !letter.content?.html ? open.to.input : open.element;
    first.focus();
    await open.ready;
    if (this.open === open && document.activeElement === first) open.focus(focus, caret);
    return open;
  }

  /** Continues a letter that was begun in an earlier login. */
  goOnWith(letter) {
    // What could not be fetched has closed itself meanwhile.
    if (letter.over) return;
    letter.composer = this;
    this.open = letter;
    document.body.append(letter.element);
    letter.uploadAgain();
    letter.changed();
    letter.focus("text", letter.text.value.length);
  }

  /** A letter that covers the page is a step in the browser's history: on a telephone one goes back to leave it. */
  enter() {
    if (!covers()) return;
    this.place = location.hash;
    if (!history.state?.writing) history.pushState({ writing: true }, "");
  }

  /** Somebody has gone a step back, and not to another message while the letter was small. */
  async returned() {
    if (!this.open || history.state?.writing || location.hash !== this.place) return;
    await this.open.leave();
    // What could not be kept is still open.
    if (this.open) this.enter();
  }

  closed(letter) {
    if (this.open !== letter) return;
    this.open = null;
    // Unless another one is opened in its place.
    setTimeout(() => { if (!this.open && history.state?.writing) history.back(); });
  }
}
