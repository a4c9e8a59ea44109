// The list of messages: only visible rows are fetched and drawn, so that a hundred thousand are as fast as ten.

import { get } from "./api.js";
import { button, h, toast } from "./elements.js";
import { ALL } from "./folders.js";
import { isSpread, OWN, Rows } from "./rows.js";
import { t } from "./texts.js";

const CHUNK = 50;
/** Most lines that are selected together. */
const MOST = 10_000;
/** Pieces of a list that are fetched side by side: a browser has six connections, and one is for events. */
const TOGETHER = 5;
/** How often a list that changes meanwhile is fetched for it. */
const TRIES = 8;
/** How long a list that has changed waits for the button that is pressed on a row to be released, in milliseconds. */
const PRESS = 3_000;
/** Keys that go to another line. */
const MOVES = ["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End"];

/** `act` has `open`, `role` (of a folder), `shown` (its name for people), `called` (the folder with that name), `leaves` (whether a folder may be gone) and `selection`. Lines have an `id`, and the `folder` of their message. */
export class List {
  constructor(act) {
    this.act = act;
    this.question = { folder: "INBOX", order: "newest", filter: "", query: "", whole: false, everywhere: false, conversations: false };
    this.total = 0;
    this.lines = [];
    this.chunks = new Map();
    this.generation = 0;
    /** How many lists have been asked for, and the one that is on its way. */
    this.asked = 0;
    this.opening = null;
    /** The piece of a list by which what is seen stays where it is when the list is loaded again. */
    this.held = null;
    /** The last loading of the list. */
    this.refreshing = null;
    this.selected = new Set();
    /** How often the selection has been given up: what is fetched for an earlier one no longer counts. */
    this.cleared = 0;
    this.states = new Map();
    this.at = -1;
    /** The id of the line that a range begins at. */
    this.anchor = null;
    this.space = h("div", { class: "space", role: "presentation" });
    this.rows = new Rows(this);
    this.box = h("div", { class: "rows", role: "listbox", tabIndex: 0, "aria-multiselectable": "true", "aria-label": t("messages") }, this.space);
    this.note = h("p", { class: "note", role: "status" });
    this.order = select(t("order"), ["newest", "oldest", "largest", "smallest"].map((word) => [word, t(word)]), (order) => this.ask({ order }));
    this.filter = select(t("filter"), [["", t("all")], ["unread", t("filterUnread")], ["flagged", t("flagged")], ["attachments", t("filterAttachments")]], (filter) => this.ask({ filter }));
    this.all = h("input", { type: "checkbox", "aria-label": t("selectAll"), on: { change: () => this.selectAll(this.all.checked) } });
    this.bar = h("div", { class: "bar", role: "toolbar", "aria-label": t("messages") });
    this.grouped = button(t("conversations"), "conversation", () => this.act.group(!this.question.conversations), { pressed: false });
    this.head = h("div", { class: "head" }, this.all, this.bar, this.filter, this.order, this.grouped, button(t("refresh"), "refresh", () => this.act.refresh()));
    this.title = h("h1", { class: "spoken" });
    this.element = h("section", { id: "list", "aria-label": t("messages") }, this.title, this.head, this.note, this.box);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.space.addEventListener("pointerdown", (event) => { if (event.button === 0) this.press(); });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  /** Whether the lines are of all folders. */
  get across() {
    const { everywhere, folder, query, filter } = this.question;
    return folder === ALL || everywhere && Boolean(query || filter) || namesFolder(query);
  }

  /** What the server is asked for. Only lists of one folder, and that of all, can be of conversations. */
  wish() {
    const { across, question } = this, all = question.folder === ALL;
    return { ...question, query: this.meant(), conversations: question.conversations && (all || !across), kept: all && !namesFolder(question.query) };
  }

  /** The line that is stood at; half a number between two, where one stood at a line that is no longer listed. */
  get at() {
    return this.place;
  }

  set at(n) {
    this.place = n;
    this.current = this.lines[n]?.id;
  }

  /** Height of a row in pixels; the style sheet has it in the size of letters that the browser is set to. */
  get height() {
    const letters = parseFloat(getComputedStyle(document.documentElement).fontSize);
    return (parseFloat(getComputedStyle(this.box).getPropertyValue("--row")) || 4.5) * letters;
  }

  /** Asks for another list. */
  async ask(change) {
    const other = change.folder !== undefined && change.folder !== this.question.folder || change.conversations !== undefined && change.conversations !== this.question.conversations;
    Object.assign(this.question, change);
    this.order.querySelector("select").value = this.question.order;
    this.filter.querySelector("select").value = this.question.filter;
    this.grouped.setAttribute("aria-pressed", String(this.question.conversations));
    this.grouped.classList.toggle("pressed", this.question.conversations);
    this.select([]);
    this.at = -1;
    this.anchor = null;
    this.box.scrollTop = 0;
    if (other) {
      this.lines = [];
      this.total = 0;
      this.space.replaceChildren();
      this.space.style.height = "0";
    }
    this.asked += 1;
    this.refresh();
    const opening = this.opening = this.settled();
    await opening;
    if (this.opening === opening) this.opening = null;
  }

  /** Does what a key asks for once the list is there that it is about; nothing when another list is asked for by then. */
  once(act) {
    if (!this.opening) {
      act();
      return;
    }
    const { asked } = this;
    this.opening.then(() => { if (asked === this.asked) act(); });
  }

  /** Fetches a line that is not there, and then does something with it, unless another list is asked for by then. */
  async reach(n, act) {
    const { asked } = this;
    let generation;
    do {
      ({ generation } = this);
      await this.fetch(Math.floor(n / CHUNK));
      if (asked !== this.asked) return;
      // A list that is fetched anew meanwhile has forgotten what was asked for.
    } while (!this.lines[n] && generation !== this.generation);
    act();
  }

  /** Reloads; the old rows stay until the answer arrives. */
  refresh() {
    this.refreshing = this.reload();
    return this.refreshing;
  }

  /** Waits for the list, also while it is loaded again and again. */
  async settled() {
    let last;
    do await (last = this.refreshing); while (last !== this.refreshing);
  }

  async reload() {
    const generation = this.generation += 1;
    this.chunks.clear();
    this.states.clear();
    this.box.setAttribute("aria-busy", "true");
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height / CHUNK));
    this.held = first;
    await this.fetch(first);
    this.draw();
    if (generation === this.generation) this.box.removeAttribute("aria-busy");
  }

  /** The typed text, with the server's names of folders in place of those that the page shows. */
  meant() {
    return this.question.query.replace(/"[^"]*"?|(?<![^\s-])(in:)("[^"]*"?|\S+)/gi, (whole, operator, name) => {
      const folder = operator && this.act.called(name.replaceAll('"', ""));
      return folder ? `${operator}"${folder}"` : whole;
    });
  }

  fetch(chunk) {
    if (!this.chunks.has(chunk)) this.chunks.set(chunk, this.load(chunk, this.generation));
    return this.chunks.get(chunk);
  }

  async load(chunk, generation) {
    let answer;
    try {
      answer = await get(this.across ? "search" : "messages", { ...this.wish(), start: chunk * CHUNK, count: CHUNK });
    } catch (error) {
      // A list of a folder that is being deleted or renamed is no longer wanted.
      if (generation === this.generation && !(error.answer?.type === "no-folder" && this.act.leaves(this.question.folder))) {
        this.chunks.delete(chunk);
        // What cannot be looked for has found nothing.
        if (this.question.query && error.status >= 400 && error.status < 500) {
          this.lines = [];
          this.total = 0;
          this.space.replaceChildren();
        }
        this.say(error.message);
      }
      return;
    }
    await this.pressed;
    if (generation !== this.generation) return;
    if (this.total !== answer.total || this.state !== answer.state) {
      if (chunk === 0 || this.total !== answer.total) this.lines = this.lines.slice(0, answer.total);
      this.total = answer.total;
      this.state = answer.state;
    }
    this.states.set(chunk, answer.state);
    const seen = chunk === this.held ? this.seen() : [];
    if (chunk === this.held) this.held = null;
    answer.lines.forEach((line, n) => {
      const folder = line.folder ?? answer.folder;
      this.lines[chunk * CHUNK + n] = { ...line, folder, id: `${line.uid} ${folder}` };
    });
    this.findAgain();
    const { query, filter, whole } = this.question;
    const nothing = () => query && !whole ? t("emptyFoundHead", { whole: t("searchWhole") }) : t(query || filter ? "emptyFound" : "empty");
    this.say(this.total > 0 ? "" : nothing());
    this.space.style.height = `${this.total * this.height}px`;
    this.hold(seen, chunk);
    this.draw();
  }

  /** The lines that are seen and where they are, if the list has been scrolled: at its top, what is new is to be seen. */
  seen() {
    const { height, box } = this, first = Math.floor(box.scrollTop / height);
    if (first === 0) return [];
    return this.lines.slice(first, Math.ceil((box.scrollTop + box.clientHeight) / height)).flatMap((line, n) => (line ? [[line.id, first + n]] : []));
  }

  /** Keeps lines where they were on the screen, whatever has come or gone above them. */
  hold(seen, chunk) {
    const places = new Map(this.lines.slice(chunk * CHUNK, (chunk + 1) * CHUNK).map((line, n) => [line?.id, chunk * CHUNK + n]));
    const stayed = seen.find(([id]) => places.has(id));
    if (stayed) this.box.scrollTop += (places.get(stayed[0]) - stayed[1]) * this.height;
  }

  /** A row that moves away from under a pressed button is not clicked, or another one is. */
  press() {
    this.pressed = new Promise((go) => {
      // After the click.
      const release = () => setTimeout(go);
      for (const event of ["pointerup", "pointercancel"]) addEventListener(event, release, { once: true, capture: true });
      setTimeout(go, PRESS);
    });
  }

  /** Keeps the same current line, wherever it is now. */
  findAgain() {
    if (this.current === undefined) return;
    const at = this.lines.findIndex((line) => line?.id === this.current);
    if (at >= 0) this.place = at;
    else if (Number.isInteger(this.place) && (this.lines[this.place] || this.place >= this.total)) this.place = Math.min(this.place, this.total) - 0.5;
  }

  /** The messages that lines stand for, which need not be drawn any more: their UIDs by folder. Of conversations of several folders, what is sent or a draft is `aside`, unless there is nothing else: it is not moved along. */
  messages(ids) {
    const found = new Map(), aside = new Map();
    const add = (to, folder, uids) => {
      if (!to.has(folder)) to.set(folder, new Set());
      for (const uid of uids) to.get(folder).add(uid);
    };
    const drawn = new Map(this.lines.filter(Boolean).map((line) => [line.id, line]));
    for (const id of ids) {
      const line = drawn.get(id);
      if (!line) {
        add(found, id.slice(id.indexOf(" ") + 1), [parseInt(id, 10)]);
        continue;
      }
      const parts = uidsOf(line), own = ([folder]) => OWN.includes(this.act.role(folder));
      const parted = isSpread(line) && !parts.every(own);
      for (const part of parts) add(parted && own(part) ? aside : found, ...part);
    }
    const listed = (some) => new Map([...some].map(([folder, uids]) => [folder, [...uids]]));
    return Object.assign(listed(found), { aside: listed(aside) });
  }

  /** The line of a message. */
  find(folder, uid) {
    return this.lines.findIndex((line) => line && (line.folder === folder && line.uid === uid || uidsOf(line).some(([place, uids]) => place === folder && uids.includes(uid))));
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** Draws the rows that are seen and fetches those that are missing. */
  draw() {
    const height = this.height;
    this.space.style.height = `${this.total * height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - 5);
    const last = Math.min(this.total, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + 5);
    for (let n = first; n < last; n += 1) if (!this.lines[n] || !this.chunks.has(Math.floor(n / CHUNK))) this.fetch(Math.floor(n / CHUNK));
    this.rows.draw(first, last);
    const at = this.lines[this.at];
    if (at) this.box.setAttribute("aria-activedescendant", `row${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  /** Opens a message; `enter` says that it is to be gone into. */
  open(n, enter = false) {
    const line = this.lines[n];
    if (!line) return;
    this.at = n;
    this.anchor = line.id;
    this.select([]);
    this.show(n);
    this.act.open(line, enter);
  }

  /** Opens the message before or after the one that is open. */
  step(by) {
    this.once(() => {
      const to = this.at < 0 && by > 0 ? 0 : this.beside(by);
      if (to < 0 || to >= this.total) return;
      if (this.lines[to]) this.open(to);
      else this.reach(to, () => this.open(to));
    });
  }

  /** The place so many lines further. */
  beside(by) {
    return by > 0 ? Math.floor(this.at + by) : Math.ceil(this.at + by);
  }

  /** The message that takes the place of those that go. */
  after(gone) {
    const stays = (line) => line && !gone.get(line.folder)?.includes(line.uid);
    for (let n = Math.ceil(this.at); n < this.total; n += 1) if (stays(this.lines[n])) return this.lines[n];
    for (let n = Math.ceil(this.at) - 1; n >= 0; n -= 1) if (stays(this.lines[n])) return this.lines[n];
    return null;
  }

  /** Removes deleted rows before the server lists the rest. */
  drop(gone) {
    const uids = new Map([...gone].map(([folder, some]) => [folder, new Set(some)]));
    for (let n = this.lines.length - 1; n >= 0; n -= 1) {
      const line = this.lines[n];
      if (!line || !uids.get(line.folder)?.has(line.uid)) continue;
      this.lines.splice(n, 1);
      this.total -= 1;
    }
    this.findAgain();
    this.draw();
  }

  show(n) {
    const top = n * this.height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.height > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + this.height - this.box.clientHeight;
    this.draw();
  }

  async toggle(n, range) {
    const line = this.lines[n];
    if (!line) return;
    const add = range || !this.selected.has(line.id);
    this.at = n;
    if (!range) this.anchor = line.id;
    const { cleared } = this;
    const ids = range && this.anchor !== null ? await this.between(this.anchor, line.id) : [line.id];
    if (cleared !== this.cleared) return;
    for (const id of ids) this.selected[add ? "add" : "delete"](id);
    this.select(this.selected);
  }

  /** The ids from one line to another, fetched where they have not been yet. */
  async between(one, other) {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const [first, last] = [one, other].map((id) => this.lines.findIndex((line) => line?.id === id)).sort((a, b) => a - b);
      if (first < 0) return [other];
      const asked = JSON.stringify(this.question);
      const there = await this.whole(first, last);
      if (asked !== JSON.stringify(this.question) || there === null) return [];
      if (there) return this.lines.slice(first, last + 1).map((line) => line.id);
    }
    toast(t("listMoves"), { problem: true });
    return [];
  }

  /** Fetches the lines from one to another; whether they are all there as they were at one moment, `null` if they cannot be had. */
  async whole(first, last) {
    const { generation } = this;
    const chunks = [];
    for (let chunk = Math.floor(first / CHUNK); chunk <= Math.floor(last / CHUNK); chunk += 1) chunks.push(chunk);
    for (let n = 0; n < chunks.length; n += TOGETHER) await Promise.all(chunks.slice(n, n + TOGETHER).map((chunk) => this.fetch(chunk)));
    if (generation !== this.generation) return false;
    if (!chunks.every((chunk) => this.chunks.has(chunk))) return null;
    if (new Set(chunks.map((chunk) => this.states.get(chunk))).size > 1) {
      await this.refresh();
      return false;
    }
    for (let n = first; n <= last; n += 1) if (!this.lines[n]) return false;
    return true;
  }

  select(ids) {
    this.selected = new Set(ids);
    if (this.selected.size === 0) this.cleared += 1;
    this.all.checked = this.selected.size > 0;
    this.all.indeterminate = this.selected.size > 0 && this.selected.size < this.total;
    this.all.setAttribute("aria-label", t(this.selected.size > 0 ? "selectNone" : "selectAll"));
    this.act.selection(this.selected);
    this.draw();
  }

  /** Selects everything that was found, at most ten thousand. */
  async selectAll(on) {
    if (!on) {
      this.select([]);
      return;
    }
    const { selected } = this;
    this.box.setAttribute("aria-busy", "true");
    const all = await this.everything();
    this.box.removeAttribute("aria-busy");
    // Who has chosen something else meanwhile, or opened a message, no longer means all: the next key would be about thousands.
    if (this.selected === selected) this.select(all);
  }

  /** The ids of everything that was found, or of what is selected if that cannot be had. */
  async everything() {
    const asked = JSON.stringify(this.question);
    for (let tries = 0; tries < TRIES; tries += 1) {
      const last = Math.min(this.total, MOST);
      const there = await this.whole(0, last - 1);
      if (asked !== JSON.stringify(this.question) || there === null) break;
      if (there && last === Math.min(this.total, MOST)) return this.lines.slice(0, last).map((line) => line.id);
      if (tries === TRIES - 1) toast(t("listMoves"), { problem: true });
    }
    return this.selected;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, shiftKey } = event;
    if (!MOVES.includes(key) && !(["Enter", " "].includes(key) && (this.at >= 0 || this.opening))) return;
    event.preventDefault();
    event.stopPropagation();
    this.once(() => {
      if (key === "Enter") this.open(this.at, true);
      else if (key === " ") this.toggle(this.at, false);
      else this.moveTo(key, shiftKey);
    });
  }

  /** Goes to another line; `range` selects all on the way. */
  moveTo(key, range) {
    if (this.total === 0) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
    const to = { ArrowDown: this.beside(1), ArrowUp: this.beside(-1), PageDown: this.beside(page), PageUp: this.beside(-page), Home: 0, End: this.total - 1 }[key];
    const n = Math.max(0, Math.min(this.total - 1, to)), ranges = range && this.at >= 0;
    if (ranges) this.anchor ??= this.lines[this.at]?.id ?? null;
    // At once: the next key counts from here, also while lines are on their way.
    this.at = n;
    if (ranges) this.reach(n, () => { this.toggle(n, true); this.show(n); });
    else this.show(n);
  }

  /** A flag has been changed here: shown before the server says so. */
  mark(folder, uids, flag, on) {
    const meant = new Set(uids);
    for (const line of this.lines) {
      if (!line) continue;
      const all = uidsOf(line), has = ([place, some], every) => place === folder && some[every ? "every" : "some"]((uid) => meant.has(uid));
      // What is unread elsewhere the next answer tells.
      if (!(flag === "seen" && on ? all.length === 1 && has(all[0], true) : all.some((one) => has(one, false)))) continue;
      line.flags = line.flags.filter((known) => known !== flag);
      if (on) line.flags.push(flag);
    }
    this.draw();
  }
}

/** Whether a search says in which folders, and so is not of the one that is open. */
const namesFolder = (query) => /(?:^|\s)-?in:\S/i.test(query.replace(/(?<!in:)"[^"]*"?/gi, ""));

/** The UIDs of the messages that a line stands for, by folder. */
const uidsOf = ({ folder, uid, conversation }) => [[folder, conversation?.uids ?? [uid]], ...(conversation?.elsewhere ?? []).map((one) => [one.folder, one.uids])];

function select(name, options, change) {
  const element = h("select", { "aria-label": name, on: { change: () => change(element.value) } }, options.map(([value, text]) => h("option", { value }, text)));
  return h("label", { class: "select" }, element);
}
