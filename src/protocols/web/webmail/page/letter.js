// Writing: the window of one letter. Typed text is saved as a draft in the mailbox a moment later.

import { key, post, upload } from "./api.js";
import { Body } from "./body.js";
import { confirm, menu } from "./dialogs.js";
import { PICTURES } from "./editor.js";
import { arrange, button, h, icon, isComposed, later, toast } from "./elements.js";
import { field, isAddress, parse, write } from "./addresses.js";
import { labelled, size, t, time } from "./texts.js";

const WAIT = 2_500;
/** How long until what could not be sent or kept is tried to be kept again. */
const AGAIN = 10_000;

/** Whether one of the words for it occurs as a whole word. */
function speaksOfAttachment(text) {
  const words = t("attachmentWords").split(", ").map((word) => word.toLowerCase());
  const said = ` ${text.toLowerCase().replace(/[^\p{L}\p{N}-]+/gu, " ")} `;
  return words.some((word) => said.includes(` ${word} `));
}

/** A letter that is being written; `composer` is notified when it is closed. */
export class Letter extends Body {
  constructor(composer, letter, draft) {
    super(composer, letter);
    this.key = key();
    this.draft = draft?.uid ?? null;
    this.asks = button(t("askReceipt"), "check", () => {
      this.asks.setAttribute("aria-pressed", String(!this.asksReceipt));
      this.changed();
    }, { pressed: Boolean(letter.receipt), kind: "asks" });
    this.priority = letter.priority ?? null;
    this.notify = Boolean(letter.notify);
    this.options = button(t("sendOptions"), "settings", () => this.chooseOptions(), { kind: "options" });
    this.markOptions();
    this.facts = { in_reply_to: letter.in_reply_to ?? null, references: letter.references ?? [], answers: letter.answers ?? null };
    this.files = (letter.attachments ?? []).map((file) => ({ ...file }));
    this.saving = Promise.resolve();
    /** Pending while it is being sent. */
    this.sending = null;
    /** Whether it is with the server, so that nothing stops it here. */
    this.isAway = false;
    /** A save whose outcome is unknown. */
    this.unanswered = null;
    /** Uploads in progress; each resolves to whether it has arrived. */
    this.uploads = new Set();
    const changed = () => this.changed();
    const { account } = composer;
    this.from = h("select", { "aria-label": t("from"), on: { change: () => this.signAs(this.from.value) } }, account.identities.map((address) => h("option", { value: address, selected: address === letter.from }, this.shown(address))));
    this.to = field(t("to"), letter.to, changed);
    this.cc = field(t("cc"), letter.cc, changed);
    this.bcc = field(t("bcc"), letter.bcc, changed);
    this.subject = h("input", { type: "text", dir: "auto", value: letter.subject, "aria-label": t("subject"), placeholder: t("subject"), maxLength: 900, on: { input: changed } });
    this.list = h("ul", { class: "attached", "aria-label": t("attachments") });
    this.state = h("span", { class: "state", role: "status" });
    this.sendButton = button(t("send"), "sent", () => this.send(), { text: true, kind: "main", key: "Ctrl+Enter" });
    const chooser = h("input", { type: "file", multiple: true, hidden: true, on: { change: () => { this.attach(chooser.files); chooser.value = ""; } } });
    this.chooseButton = button(t("attach"), "attach", () => chooser.click());
    const title = h("h2", {}, letter.subject || t("newMessage"));
    this.subject.addEventListener("input", () => { title.textContent = this.subject.value || t("newMessage"); });
    const row = (name, control, more) => h("div", { class: "line" }, h("span", { class: "name", "aria-hidden": "true" }, t(name)), control, more);
    const ccRow = row("cc", this.cc.element), bccRow = row("bcc", this.bcc.element);
    ccRow.hidden = !letter.cc;
    bccRow.hidden = !letter.bcc;
    const add = (name, line, control) => {
      const one = h("button", { type: "button", class: "quiet", hidden: !line.hidden, on: { click: () => { line.hidden = false; one.hidden = true; control.input.focus(); } } }, t(name));
      return one;
    };
    this.element = h("section", { id: "compose", role: "dialog", tabIndex: -1, "aria-label": t("newMessage") },
      h("header", { role: "presentation" }, title, button(t("minimise"), "down", () => this.element.classList.toggle("small")), button(t("close"), "close", () => this.leave(), { key: "Esc" })),
      h("div", { class: "fields" },
        account.identities.length > 1 || this.shown(letter.from) !== letter.from ? row("from", this.from) : null,
        row("to", this.to.element, [add("addCc", ccRow, this.cc), add("addBcc", bccRow, this.bcc)]), ccRow, bccRow,
        h("div", { class: "line" }, this.subject)),
      this.text, this.editor.element, this.list,
      h("footer", {}, this.sendButton, this.chooseButton, chooser, this.switch, this.pictureButton, this.pictured, this.responses, this.asks, this.options, this.state, h("span", { class: "gap" }), button(t("discard"), "trash", () => this.discard(), { kind: "discard" })));
    this.element.addEventListener("keydown", (event) => this.keyed(event));
    this.element.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("Files")) { event.preventDefault(); this.element.classList.add("drop"); } });
    this.element.addEventListener("dragleave", () => this.element.classList.remove("drop"));
    this.element.addEventListener("drop", (event) => { event.preventDefault(); this.element.classList.remove("drop"); this.attach(event.dataTransfer.files); });
    this.element.dataset.drop = t("dropFiles");
    this.soon = later(WAIT, () => this.save());
    this.again = later(AGAIN, () => this.keep());
    this.online = () => this.keep();
    addEventListener("online", this.online);
    this.drawFiles();
    this.say(t("loading"));
    // Fetched text replaces anything typed before it arrives.
    if (letter.content?.html) this.setInert(true);
    this.ready = this.fill(letter).then(() => {
      this.say("");
      this.setInert(false);
      this.drawFiles();
      this.before = this.touched ? "" : this.snapshot();
    }, () => this.unfilled(draft));
    this.before = this.snapshot();
    this.leaving = (event) => { if (this.dirty) event.preventDefault(); };
    addEventListener("beforeunload", this.leaving);
  }

  shown(address) {
    const name = this.composer.account.preferences.identities[address.toLowerCase()]?.name || (address === this.composer.account.address ? this.composer.account.name : "");
    return name ? write([{ name, address }]) : address;
  }

  /** Whether only its title is shown. */
  get isSmall() {
    return this.element.classList.contains("small");
  }

  get asksReceipt() {
    return this.asks.getAttribute("aria-pressed") === "true";
  }

  /** How urgent it is, and whether a delivery notification is requested. */
  chooseOptions() {
    const choose = (change) => () => {
      Object.assign(this, change);
      this.markOptions();
      this.changed();
    };
    const urgent = [["high", "priorityHigh"], [null, "priorityNormal"], ["low", "priorityLow"]];
    menu(this.options, [
      ...urgent.map(([priority, name]) => [t(name), choose({ priority }), "", this.priority === priority]),
      [t("askNotice"), choose({ notify: !this.notify }), "apart", this.notify],
    ]);
  }

  /** The button shows the choice. */
  markOptions() {
    const chosen = [this.priority && t(this.priority === "high" ? "priorityHigh" : "priorityLow"), this.notify && t("askNotice")].filter(Boolean);
    const name = chosen.length > 0 ? labelled(t("sendOptions"), chosen.join(", ")) : t("sendOptions");
    this.options.setAttribute("aria-label", name);
    this.options.title = name;
    this.options.classList.toggle("on", chosen.length > 0);
  }

  /** Text that could not be fetched cannot be edited: it would replace the stored one. */
  unfilled(draft) {
    if (this.over) return;
    toast(t("letterNotLoaded"), { problem: true, action: t("openDraft"), act: draft && (() => this.composer.resume(draft)) });
    this.close();
  }

  /** Notes that a file is being uploaded; resolves to whether it has arrived. A removed file counts as arrived. */
  trackUpload(upload, { name }) {
    const done = upload.then(() => true, (error) => {
      if (error.message) toast(labelled(name, error.message), { problem: true });
      return !error.message;
    }).finally(() => this.uploads.delete(done));
    this.uploads.add(done);
    return done;
  }

  /** Waits for uploads in progress; whether all have arrived. */
  async uploadsArrived() {
    let all = true, ready;
    do {
      await (ready = this.ready);
      all = (await Promise.all(this.uploads)).every(Boolean) && all;
      await this.saving;
    } while (this.uploads.size > 0 || ready !== this.ready);
    return all;
  }

  focus(where, caret) {
    if (where === "text" && this.formatted) {
      this.editor.focus();
      const after = caret > 0 && this.editor.field.querySelector(":scope > blockquote")?.nextElementSibling;
      if (after) getSelection().collapse(after, 0);
      return;
    }
    const element = { to: this.to.input, text: this.text }[where];
    element.focus();
    if (where === "text") this.text.setSelectionRange(caret, caret);
    this.text.scrollTop = 0;
  }

  letter() {
    const from = parse(this.shown(this.from.value))[0];
    const attachments = this.files.filter((file) => file.source).map((file) => file.source);
    return { from, to: this.to.people, cc: this.cc.people, bcc: this.bcc.people, subject: this.subject.value, ...(this.formatted ? { html: this.editor.html, inline: this.inline() } : { text: this.text.value }), attachments, ...(this.asksReceipt ? { receipt: true } : {}), ...(this.priority ? { priority: this.priority } : {}), ...(this.notify ? { notify: true } : {}), ...this.facts };
  }

  snapshot() {
    return JSON.stringify(this.letter());
  }

  get dirty() {
    return this.snapshot() !== this.before || this.uploads.size > 0;
  }

  changed() {
    this.touched = true;
    this.soon();
  }

  keyed(event) {
    // Keys during an input method's composition belong to it.
    if (isComposed(event)) {
      event.stopPropagation();
      return;
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.leave();
    }
    event.stopPropagation();
  }

  paste(event) {
    if (event.clipboardData.files.length > 0) {
      event.preventDefault();
      const { files } = event.clipboardData;
      if (this.formatted && [...files].every((file) => PICTURES.includes(file.type))) {
        this.addPictures(files);
        return;
      }
      this.attach(event.clipboardData.files);
    }
  }

  attach(files) {
    if (this.isFixed()) return;
    const most = this.composer.account.limits.attachment;
    for (const file of files) {
      if (file.size > most) {
        toast(t("tooLarge", { name: file.name, most: size(most) }), { problem: true });
        continue;
      }
      const one = { name: file.name, size: file.size, percent: 0 };
      this.files.push(one);
      this.uploadFile(one, file);
    }
    this.drawFiles();
  }

  /** Sends a file to the server. One that a login has ended for stays here until the next. */
  uploadFile(one, file) {
    const way = upload(file, (part) => { one.percent = Math.floor(part * 100); this.drawFiles(); });
    one.abort = way.abort;
    one.left = null;
    this.trackUpload(way.done.then(({ upload: id }) => { one.source = { upload: id }; this.drawFiles(); this.changed(); }, (error) => {
      if (error.status === 401) one.left = file;
      else this.files = this.files.filter((known) => known !== one);
      this.drawFiles();
      throw error;
    }), file);
  }

  /** Sends what could not be sent before the login ended. */
  uploadAgain() {
    for (const one of this.files) if (one.left) this.uploadFile(one, one.left);
  }

  drawFiles() {
    this.list.hidden = this.files.length === 0;
    arrange(this.list, this.files.map((file) => this.lineOf(file)));
  }

  /** The line of a file. It stays while the file is on its way: a click on its button is not lost, nor the focus. */
  lineOf(file) {
    file.line ??= h("li", {}, icon("attach"), h("span", { class: "name" }), h("span", { class: "size" }, size(file.size)),
      button(t("removeAttachment", { name: file.name }), "close", () => this.takeAway(file), { kind: "small" }));
    file.line.querySelector(".name").textContent = file.source ? file.name : t("uploading", { name: file.name, percent: file.percent ?? 0 });
    return file.line;
  }

  takeAway(file) {
    const held = file.line.contains(document.activeElement), at = this.files.indexOf(file);
    file.abort?.();
    this.files = this.files.filter((known) => known !== file);
    this.drawFiles();
    this.changed();
    // Keys are for the letter still, and not for the page below.
    if (held) (this.files[Math.min(at, this.files.length - 1)]?.line.querySelector("button") ?? this.chooseButton).focus();
  }

  /** Saves the letter as a draft; saves run one after the other. */
  save() {
    this.soon.cancel();
    this.saving = this.saving.then(() => this.saveNow());
    return this.saving;
  }

  /** Tries again to keep what could not be sent or kept. Without a login it waits for the next one. */
  keep() {
    if (!this.over && this.element.isConnected && !this.sendButton.disabled) this.save();
  }

  /** Saves it as it is, also when nothing was changed. */
  saveAgain() {
    if (this.draft === null) this.before = "";
    return this.save();
  }

  async saveNow() {
    await this.ready;
    const again = this.unanswered;
    if (this.over || !again && this.snapshot() === this.before) return true;
    this.say(t("draftSaving"));
    // If it was kept, its files are in that draft by now: so it is asked for as it was, and the server knows it by its key.
    this.unanswered ??= { wish: { key: key(), letter: JSON.parse(this.snapshot()), replaces: this.draft }, meant: this.files.filter((file) => file.source) };
    const { wish, meant } = this.unanswered;
    try {
      const saved = await post("drafts", wish);
      this.unanswered = null;
      this.draft = saved.uid;
      // Attachments are now those of the draft.
      const kept = wish.letter;
      const place = ({ part }) => ({ folder: saved.folder, uid: saved.uid, part });
      const [within, beside] = [true, false].map((inline) => saved.attachments.filter((one) => one.inline === inline).map(place));
      (kept.inline ?? []).forEach((one, n) => { if (within[n]) this.pictures.set(one.cid, one.file = within[n]); });
      meant.forEach((file, n) => { if (beside[n]) file.source = beside[n]; });
      kept.attachments = meant.map((file) => file.source);
      this.before = JSON.stringify(kept);
      this.say(t("draftSaved", { time: time(Date.now()) }));
      this.composer.act.changed();
      return again ? await this.saveNow() : true;
    } catch (error) {
      if (error.answer?.error && error.answer.type !== "elsewhere") this.unanswered = null;
      this.say(t("draftFailed", { why: error.message }), true);
      this.again();
      return false;
    }
  }

  say(text, problem = false) {
    this.state.textContent = text;
    this.state.classList.toggle("problem", problem);
  }

  /** A second attempt to send waits for the first. */
  send() {
    this.sending ??= this.sendNow().finally(() => { this.sending = null; });
    return this.sending;
  }

  /** Text typed during sending would be neither sent nor in a draft, so editing is disabled until the answer. */
  setAway(on) {
    this.isAway = on;
    this.setInert(on);
  }

  /** Whether it is too late to change anything, which is then shown: a window over the letter may still be open. */
  isFixed() {
    if (this.isAway) toast(t("letterAway"), { problem: true });
    return this.isAway || this.over;
  }

  /** Keeps everything from being written on, or allows it again. */
  setInert(on) {
    const had = this.element.contains(document.activeElement) ? document.activeElement : null;
    for (const part of this.element.querySelectorAll(":scope > :not(header, footer), footer > :not(.state, .discard)")) part.inert = on;
    // Keys are for the letter still, and not for the page below.
    if (on) {
      this.had = had;
      if (had) this.element.focus();
    } else if (had && this.had === this.editor.field) this.editor.goBack();
    else if (had) this.had?.focus();
  }

  async sendNow() {
    const letter = this.letter();
    const people = [...letter.to, ...letter.cc, ...letter.bcc];
    const bad = people.find((person) => !isAddress(person.address));
    if (people.length === 0 || bad) {
      toast(bad ? t("badAddress", { address: bad.address }) : t("noRecipients"), { problem: true });
      this.to.input.focus();
      return;
    }
    if (!letter.subject.trim() && !await confirm(t("noSubjectSure"), t("send"), false)) return;
    this.sendButton.disabled = true;
    this.say(t("sending"));
    const arrived = await this.uploadsArrived();
    if (this.over) return;
    if (!arrived || !await this.nothingForgotten()) {
      this.sendButton.disabled = false;
      this.say(arrived ? "" : t("fileMissing"), !arrived);
      this.soon();
      return;
    }
    this.soon.cancel();
    this.again.cancel();
    this.setAway(true);
    try {
      await this.saving;
      if (this.unanswered) await this.save();
      // What waits is a draft until it is sent; what cannot be kept is sent at once.
      const hold = this.composer.holds > 0 && await this.saveAgain() ? this.composer.holds : 0;
      const wish = { key: this.key, letter: this.letter(), draft: this.draft };
      const answer = await post("send", { ...wish, ...(hold > 0 ? { hold } : {}) });
      this.close();
      if (!answer.sent) {
        this.composer.wait(wish, hold);
        return;
      }
      this.composer.sent(answer);
    } catch (error) {
      this.setAway(false);
      this.sendButton.disabled = false;
      this.say(error.message, true);
      toast(error.message, { problem: true });
      this.again();
    }
  }

  /** Whether nothing is missing that the text speaks of, or it is to go without. */
  async nothingForgotten() {
    const text = this.formatted ? this.editor.text : this.text.value;
    const own = text.split("\n").filter((line) => !line.startsWith(">")).join("\n").split(t("forwarded"))[0];
    return this.files.length > 0 || !speaksOfAttachment(own) || confirm(t("forgotAttachment"), t("send"), false);
  }

  /** Closes it; the text stays as a draft. A letter being sent closes by itself, or stays open if sending failed. */
  async leave() {
    if (this.sending) {
      await this.sending;
      return;
    }
    if (this.dirty) {
      if (!await this.uploadsArrived()) {
        this.say(t("fileMissing"), true);
        return;
      }
      if (!await this.save()) return;
    }
    this.close();
  }

  async discard() {
    if ((this.dirty || this.draft) && !await confirm(t("discardSure"), t("discard"))) return;
    if (this.isAway) await this.sending;
    if (this.over) return;
    const { draft } = this;
    this.close();
    await this.saving;
    if (this.draft) {
      const folder = this.composer.act.drafts();
      await post("messages/remove", { folder, uids: [this.draft ?? draft] }).catch(() => {});
      this.composer.act.changed();
    }
  }

  close() {
    this.over = true;
    this.editor.end();
    this.soon.cancel();
    this.again.cancel();
    removeEventListener("online", this.online);
    for (const file of this.files) if (!file.source) file.abort?.();
    removeEventListener("beforeunload", this.leaving);
    this.element.remove();
    this.composer.closed(this);
    document.querySelector(".rows")?.focus();
  }
}
