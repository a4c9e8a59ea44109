// The page: signing in, and joining folders, list, reader and composer.

import { MessageActions } from "./actions.js";
import { addressOf, belongsTo, get, post, remove, whenSignedOut } from "./api.js";
import { Composer } from "./compose.js";
import * as contacts from "./contacts.js";
import { bringBack, forgetAside, menu, putAside } from "./dialogs.js";
import { button, h, icon, later, orToast, toast } from "./elements.js";
import * as filters from "./filters.js";
import { ALL, Folders } from "./folders.js";
import { keep, remember } from "./savepreferences.js";
import { help, listen } from "./keys.js";
import { List } from "./list.js";
import * as preferences from "./preferences.js";
import { Reader } from "./reader.js";
import { mustEnrol } from "./security.js";
import { speak, t } from "./texts.js";
import * as vacation from "./vacation.js";

const root = document.querySelector("#root");
/** How often the folders are looked at, in milliseconds. */
const LOOK = 60_000;
/** How long nothing is heard of the server before the connection is taken for lost, in milliseconds: it shows twice as often that it lives. */
const SILENCE = 60_000;
let app = null;
/** The letter that was being written when a login ended. Only its author sees it again. */
let unfinished = null;
/** The preferences of the account whose page this is. */
const preferencesHere = {};

/** The form of somebody who is not signed in. */
function signIn(note = "") {
  unfinished = app?.composer.open ?? unfinished;
  const isBegun = putAside();
  if ((unfinished || isBegun) && !note) note = t(unfinished ? "signInToGoOn" : "signInToSave");
  app?.end();
  app = null;
  document.title = t("product");
  document.querySelector("#compose")?.remove();
  // Their messages and undo actions belong to the account.
  document.querySelector("#toasts").replaceChildren();
  const address = h("input", { id: "address", name: "address", type: "text", inputMode: "email", autocomplete: "username", autocapitalize: "none", spellcheck: false, required: true });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const problem = h("p", { class: "problems", role: "alert" }, note);
  const submit = h("button", { class: "main", type: "submit" }, t("signIn"));
  const code = h("input", { id: "code", name: "code", type: "text", autocomplete: "one-time-code", autocapitalize: "none", spellcheck: false, maxLength: 40 });
  const first = [h("label", { for: "address" }, t("address"), address), h("label", { for: "password" }, t("password"), password)];
  const second = h("label", { for: "code", hidden: true }, t("code"), code, h("small", {}, t("codeHint")));
  const remember = h("input", { type: "checkbox", name: "remember" }), rememberText = h("span", {});
  const remembering = h("label", { class: "check", hidden: true }, remember, rememberText);
  const form = h("form", { class: "entrance" }, h("img", { src: "icon.svg", alt: "", width: 56, height: 56 }), h("h1", {}, t("product")),
    problem, first, second, remembering, submit, h("p", { class: "host" }, location.hostname));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    submit.textContent = t("signingIn");
    problem.textContent = "";
    try {
      await start(await post("session", { address: address.value, password: password.value, ...(second.hidden ? {} : { code: code.value, remember: remember.checked }) }));
    } catch (error) {
      submit.disabled = false;
      submit.textContent = t("signIn");
      if (error.answer?.code_wanted) {
        for (const label of first) label.hidden = true;
        second.hidden = false;
        const days = error.answer.remember_days;
        remembering.hidden = !days;
        rememberText.textContent = t("rememberBrowser", { days });
      } else {
        problem.textContent = error.message;
      }
      const field = second.hidden ? password : code;
      field.select();
      field.focus();
    }
  });
  root.replaceChildren(h("main", { class: "door" }, form));
  address.focus();
}

/** Whether the login has ended. Unless confirmed it continues, and the next user of this browser would have it. */
async function endLogin() {
  try {
    await remove("session");
    return true;
  } catch (error) {
    if (error.status === 401) return true;
    toast(error.message, { problem: true });
    return false;
  }
}

class App extends MessageActions {
  constructor(account) {
    super();
    this.account = account;
    preferences.apply(account.preferences);
    const changed = () => this.refreshSoon();
    this.composer = new Composer(account, { changed, drafts: () => this.folders.role("drafts")?.name, responses: () => orToast(preferences.show(account, () => this.preferred(), "responses")) });
    this.folders = new Folders({
      account: account.address, open: (name) => this.openFolder(name), compose: () => this.composer.begin(), drop: (to) => this.move({ to }, this.meant()),
      source: () => this.list.across ? null : this.list.question.folder, changed: () => this.title(), refresh: changed,
    });
    this.list = new List({
      open: (line, enter) => this.openMessage(line.uid, line.folder, enter), role: (folder) => this.folders.named(folder)?.role, shown: (folder) => this.folders.shown(folder), called: (name) => this.folders.called(name), leaves: (folder) => this.folders.isChanging(folder), refresh: () => this.refresh(),
      flag: (messages, on) => this.mark(messages, "flagged", on), selection: (selected) => this.drawBar(selected), group: (on) => this.group(on),
    });
    this.list.question.conversations = account.preferences.conversations;
    this.reader = new Reader({
      role: () => this.role(this.opened()), back: () => this.back(), edit: (message) => this.composer.resume(message), choose: () => this.choose(),
      move: (to) => this.move(to, this.opened()), remove: () => this.remove(this.opened()),
      grouped: () => this.list.question.conversations, show: (folder, uid) => this.openMessage(uid, folder), folderName: (name) => this.folders.shown(name), listed: () => this.list.question.folder,
      mark: (flag, on) => this.markOpen(flag, on), write: (kind, message) => this.composer.answer(kind, message), others: (message) => this.composer.others(message), compose: (mailto) => this.composer.begin(mailto),
      linkTo: ({ folder, uid }, within) => this.linkTo(this.list.question.folder, uid, folder, within),
      prefersText: () => account.preferences.prefer_text, trusts: (address) => this.role(this.opened()) !== "junk" && account.preferences.trusted_images.includes(address?.toLowerCase()),
      trust: (address) => this.trust(address.toLowerCase()),
      identities: () => account.identities, from: (address) => this.composer.from(address), answered: changed, sendTo: (mailto, message) => this.composer.sendTo(mailto, message),
      writer: (message) => this.composer.writer(message), addContact: contacts.add, again: () => this.readAgain(),
    });
    this.search = h("input", { type: "search", placeholder: t("search"), title: t("searchHint"), "aria-label": t("search"), enterKeyHint: "search" });
    this.whole = h("input", { type: "checkbox" });
    this.everywhere = h("input", { type: "checkbox", class: "everywhere" });
    const find = later(350, () => this.find());
    this.search.addEventListener("input", find);
    this.search.addEventListener("keydown", (event) => { if (event.key === "Escape") { this.search.value = ""; this.find(); this.list.box.focus(); } else if (event.key === "ArrowDown") { event.preventDefault(); this.list.box.focus(); } });
    for (const box of [this.whole, this.everywhere]) box.addEventListener("change", () => this.find());
    const form = h("form", { role: "search", "aria-label": t("search"), on: { submit: (event) => { event.preventDefault(); find.cancel(); this.find(); } } }, icon("search"), this.search, h("span", { class: "scope" }, h("label", {}, this.everywhere, t("searchEverywhere")), h("label", {}, this.whole, t("searchWhole"))));
    const me = h("button", { type: "button", class: "me", "aria-haspopup": "menu", "aria-label": t("accountMenu", { address: account.address }), on: { click: () => menu(me, [
      [t("settings"), () => orToast(preferences.show(account, () => this.preferred()))], [t("contacts"), () => orToast(contacts.show({ write: (person) => this.composer.begin(`mailto:${encodeURIComponent(person)}`) }))], [t("filters"), () => this.openFilters()], [t("vacation"), () => this.openVacation()], [t("help"), help], [t("signOut"), () => this.leave()]]) } },
      h("span", { class: "address" }, account.address), icon("down"));
    const open = button(t("menu"), "menu", () => this.drawer(!root.classList.contains("drawer")), { kind: "onlyMedium" });
    const shade = h("div", { class: "shade", on: { click: () => this.drawer(false) } });
    const skip = h("a", { class: "skip", href: "#list", on: { click: (event) => { event.preventDefault(); this.list.box.focus(); } } }, t("toMessages"));
    root.replaceChildren(skip, h("header", { id: "top" }, open, h("span", { class: "brand" }, h("img", { src: "icon.svg", alt: "", width: 28, height: 28 }), t("product")), form, button(t("help"), "help", help, { key: "?", kind: "shortcuts" }), me),
      this.folders.element, shade, h("main", { class: "mail" }, this.list.element, this.reader.element), button(t("compose"), "compose", () => this.composer.begin(), { kind: "main floating onlyNarrow" }));
    this.refreshSoon = later(250, () => this.refresh());
    this.route = () => this.follow();
    addEventListener("hashchange", this.route);
    // The list and the inbox are watched; what filters file elsewhere is seen by looking.
    this.look = () => {
      if (document.hidden) return;
      if (this.reader.lost) this.readAgain();
      // A telephone that has slept, or gone to another network, is not told that its connection is no more.
      if (Date.now() - this.heard > SILENCE) {
        this.watch(this.list.question.folder);
        this.refreshSoon();
      } else if (this.list.question.folder === ALL) this.refreshSoon();
      else this.folders.load().catch(() => {});
    };
    this.looking = setInterval(this.look, LOOK);
    document.addEventListener("visibilitychange", this.look);
    addEventListener("online", this.look);
  }

  async begin() {
    await this.folders.load();
    await this.follow(true);
    // Unless the user has moved to a folder meanwhile.
    if (document.activeElement === document.body) this.list.box.focus();
  }

  end() {
    removeEventListener("hashchange", this.route);
    clearInterval(this.looking);
    document.removeEventListener("visibilitychange", this.look);
    removeEventListener("online", this.look);
    this.events?.close();
    this.refreshSoon.cancel();
    this.composer.end();
    root.className = "";
  }

  /** Shows the content named by the page's address. */
  async follow(first = false) {
    const asked = this.asked();
    const folder = asked.get("folder") ?? "INBOX", uid = Number(asked.get("uid")) || null, place = asked.get("in") ?? folder, within = asked.get("within") ?? "";
    this.drawer(false);
    if (first || folder !== this.list.question.folder) {
      this.folders.select(folder);
      this.watch(folder);
      this.search.value = asked.get("q") ?? "";
      this.reader.clear();
      await this.list.ask({ folder, query: this.search.value, filter: "" });
    }
    root.classList.toggle("reading", uid !== null);
    if (uid === null) this.reader.clear();
    else if (this.current?.uid !== uid || this.current.folder !== place || this.current.within !== within) await this.read(place, uid, within);
    this.title();
  }

  /** The content named by the page's address. */
  asked() {
    return new URLSearchParams(location.hash.slice(1));
  }

  /** The address of a folder, of a message in it or in another, or of one that is attached to that. */
  linkTo(folder, uid, place = folder, within = "") {
    const { question } = this.list;
    const q = folder === question.folder && !question.everywhere ? question.query : "";
    return `#${new URLSearchParams({ folder, ...(q ? { q } : {}), ...(uid ? { uid } : {}), ...(place === folder ? {} : { in: place }), ...(within ? { within } : {}) })}`;
  }

  go(...where) {
    const to = this.linkTo(...where);
    if (location.hash !== to) location.hash = to;
    // Not only when the browser tells of the new address: the next key may be earlier.
    this.follow();
  }

  /** Opens a whole folder: opening the one being searched ends the search. */
  openFolder(name) {
    if (this.search.value && name === this.list.question.folder) {
      this.search.value = "";
      this.find();
    }
    this.go(name);
  }

  /** Opens a message, which in a conversation may lie in another folder than the one that is listed. Who enters it has the keys in it. */
  openMessage(uid, place = this.list.question.folder, enter = false) {
    this.entering = enter;
    if (enter && this.reader.message?.uid === uid && this.reader.message.folder === place) this.reader.element.focus();
    this.go(this.list.question.folder, uid, place);
  }

  /** Lists conversations or messages, and remembers it. */
  async group(on) {
    this.account.preferences.conversations = on;
    await orToast(Promise.all([this.list.ask({ conversations: on }), keep(this.account.preferences)]));
    if (this.reader.message) await this.read(this.reader.message.folder, this.reader.message.uid, this.reader.message.within);
  }

  /** The preferences have changed. */
  preferred() {
    if (this.account.preferences.conversations !== this.list.question.conversations) orToast(this.list.ask({ conversations: this.account.preferences.conversations }));
    if (this.reader.message) this.reader.draw();
  }

  async read(folder, uid, within = "") {
    const before = this.reader.message, at = this.list.find(folder, uid);
    if (at >= 0 && at !== this.list.at) {
      this.list.at = at;
      this.list.show(at);
    }
    /** The id of the line that the list stood at. */
    this.opener = this.list.current;
    // Moving on from an open message opens the next one.
    const entering = this.entering || document.activeElement === this.reader.element;
    this.entering = false;
    const message = await this.reader.open(folder, uid, within);
    if (!message) return;
    // Leaving an attached message returns to where it was opened.
    const door = before?.within && before.folder === folder && before.uid === uid && this.reader.element.querySelector(`[data-within="${before.within}"]`);
    if (door) door.focus();
    else if (within || entering || matchMedia("(max-width: 760px)").matches) {
      // So that the page's user is determined again.
      this.reader.element.blur();
      this.reader.element.focus();
    }
    // Last: whoever has gone on before the server answers keeps the focus where it is.
    if (message.flags.includes("seen")) return;
    message.flags.push("seen");
    if (!await this.mark(new Map([[folder, [uid]]]), "seen", true)) message.flags = message.flags.filter((known) => known !== "seen");
  }

  /** Asks again for the message that could not be had. */
  readAgain() {
    this.reader.clear();
    orToast(this.follow());
  }

  back() {
    if (this.composer.open && !this.composer.open.isSmall) return;
    const asked = this.asked(), within = asked.get("within");
    if (this.list.selected.size > 0) this.list.select([]);
    else if (within) this.go(this.list.question.folder, Number(asked.get("uid")), asked.get("in") ?? undefined, within.split(".").slice(0, -1).join("."));
    else if (this.reader.message || root.classList.contains("reading")) {
      this.go(this.list.question.folder);
      this.list.box.focus();
    }
  }

  find() {
    const wish = { query: this.search.value, whole: this.whole.checked, everywhere: this.everywhere.checked };
    if (Object.entries(wish).some(([name, value]) => this.list.question[name] !== value)) orToast(this.list.ask(wish));
  }

  async refresh() {
    // Nothing is asked about a folder that is being deleted or gets another name: it is looked at when that is known.
    if (this.folders.isChanging(this.list.question.folder)) {
      this.refreshSoon();
      return;
    }
    if (this.reader.lost) this.readAgain();
    await orToast(Promise.all([this.folders.load(), this.list.refresh()]));
  }

  title() {
    const unseen = this.folders.role("inbox")?.unseen ?? 0;
    const name = this.reader.message?.subject || this.folders.shown(this.list.question.folder);
    this.list.title.textContent = this.folders.shown(this.list.question.folder);
    document.title = `${unseen > 0 ? `(${unseen}) ` : ""}${name} · ${this.account.address}`;
  }

  drawer(on) {
    root.classList.toggle("drawer", on);
    if (on) this.folders.element.querySelector("[aria-current]")?.focus();
  }

  /** Called when something has changed, here or elsewhere. */
  watch(folder) {
    this.events?.close();
    this.events = new EventSource(addressOf("changes", { folder: folder === ALL ? "INBOX" : folder }));
    this.heard = Date.now();
    for (const event of ["begun", "changed", "alive"]) this.events.addEventListener(event, () => { this.heard = Date.now(); });
    this.events.addEventListener("changed", () => this.refreshSoon());
    let begun = false;
    this.events.addEventListener("begun", () => {
      // Changes that were missed meanwhile.
      if (begun) this.refreshSoon();
      begun = true;
    });
    this.events.addEventListener("error", () => {
      if (this.events?.readyState === EventSource.CLOSED) {
        clearTimeout(this.again);
        this.again = setTimeout(() => app === this && get("session").then(() => this.watch(this.list.question.folder), () => {}), 5_000);
      }
    });
  }

  /** Answers the message that somebody has gone to, also while it is on its way or not yet. */
  async write(kind) {
    if (this.elsewhere) {
      const line = this.list.lines[this.list.at];
      if (!line) return;
      this.openMessage(line.uid, line.folder);
    }
    if (this.reader.coming) await this.reader.opening;
    if (this.reader.message && !this.reader.coming) this.composer.answer(kind, this.reader.message);
  }

  drawBar(selected) {
    if (!this.list) return;
    const meant = () => this.meant();
    const role = this.role(meant()), some = selected.size > 0;
    const { bar, box } = this.list, held = bar.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    this.list.element.classList.toggle("selecting", some);
    bar.replaceChildren(...some ? [
      h("span", { class: "count" }, t("selected", { count: selected.size })),
      role !== "archive" && button(t("archiveIt"), "archive", () => this.move({ role: "archive" }, meant()), { key: "e" }),
      button(t(role === "junk" ? "notJunk" : "junkIt"), role === "junk" ? "ok" : "junk", () => this.junk(), { key: "!" }),
      button(t(role === "trash" ? "deleteForGood" : "deleteIt"), "trash", () => this.remove(meant()), { key: "#" }),
      button(t("moveTo"), "move", () => this.choose(), { key: "m" }),
      button(t("markRead"), "mail", () => this.mark(meant(), "seen", true)),
      button(t("markUnread"), "unread", () => this.mark(meant(), "seen", false), { key: "U" }),
      button(t("flag"), "flag", () => this.flag(), { key: "s" }),
    ].filter(Boolean) : []);
    if (held) ([...bar.children].find((one) => one.getAttribute("aria-label") === held) ?? box).focus();
  }

  openFilters() {
    return orToast(filters.show({ folders: this.folders.all.map((folder) => folder.name), vacation: () => vacation.show({ filters: () => {} }) }));
  }

  openVacation() {
    return orToast(vacation.show({ filters: () => this.openFilters() }));
  }

  async trust(address) {
    const among = ({ trusted_images: all }) => all.includes(address);
    const { preferences: own } = this.account;
    if (!among(own)) await orToast(keep(own, (wish) => { if (!among(wish)) wish.trusted_images.push(address); }));
  }

  async leave() {
    await this.composer.open?.leave();
    // What could be neither sent nor kept is not thrown away unasked.
    if (this.composer.open) return;
    if (!await endLogin()) return;
    location.hash = "";
    signIn(t("signedOut"));
  }
}

listen({
  step: (by) => app?.list.step(by), openCurrent: () => app?.list.open(app.list.at), toggle: () => app && app.list.toggle(app.list.at, false),
  back: () => app?.back(), compose: () => app?.composer.begin(), write: (kind) => app?.write(kind),
  move: (to) => app?.move(to, app.meant()), remove: () => app?.remove(app.meant()), junk: () => app?.junk(), choose: () => app?.choose(), flag: () => app?.flag(),
  unread: () => app && (app.reader.message && !app.reader.coming && !app.elsewhere && app.list.selected.size === 0 ? app.markOpen("seen", false) : app.mark(app.meant(), "seen", false)),
  print: () => { const is = Boolean(app?.reader.message); if (is) app.reader.print(); return is; },
  undo: () => app && (app.composer.waiting.length > 0 ? app.composer.undo() : app.moveBack()),
  search: () => { app?.search.focus(); app?.search.select(); }, refresh: () => app?.refresh(),
  go: (role) => { const folder = app?.folders.role(role); if (folder) app.openFolder(folder.name); },
});

/** The page knows more of an account than it shows, so the next account gets a fresh page. */
function beginAnew() {
  unfinished?.close();
  forgetAside();
  history.replaceState(null, "", location.pathname);
  location.reload();
}

async function start({ address, must_enrol: must }) {
  if (!belongsTo(address)) {
    beginAnew();
    return;
  }
  if (must) {
    mustEnrol(root, { done: async () => start(await get("session")), leave: async () => { if (await endLogin()) signIn(t("signedOut")); } });
    return;
  }
  const account = await get("account");
  // Windows of an earlier login that are brought back change the same preferences.
  account.preferences = Object.assign(preferencesHere, account.preferences);
  remember(account.preferences);
  await speak(account.preferences.language);
  app = new App(account);
  await app.begin();
  const letter = unfinished;
  unfinished = null;
  if (letter) app.composer.goOnWith(letter);
  bringBack();
}

// Late answers to earlier requests do not clear text already typed into the form.
whenSignedOut(() => { if (!root.querySelector("form.entrance")) signIn(); });
try {
  await speak();
  await start(await get("session"));
} catch (error) {
  if (error.status === 401) signIn();
  else root.replaceChildren(h("p", { class: "waiting", role: "alert" }, error.message, " ", h("button", { type: "button", on: { click: () => location.reload() } }, t("retry"))));
}
