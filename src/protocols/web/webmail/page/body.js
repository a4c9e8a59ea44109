// The text of a letter: plain or formatted, with its pictures, its signature and inserted texts.

import { addressedAt, addressOf, key, placeOf, upload } from "./api.js";
import { confirm } from "./dialogs.js";
import { Editor, PICTURES, WITH_FORMATTING } from "./editor.js";
import { button, h, toast } from "./elements.js";
import { canned, formatted, lines } from "./markup.js";
import { choose } from "./responses.js";
import { t } from "./texts.js";

const MOST_PICTURES = 50;

/** The body of a letter; `Letter` is the window around it, and has `changed`, `trackUpload`, `isFixed` and `paste`. */
export class Body {
  constructor(composer, letter) {
    this.composer = composer;
    /** Pictures in the text, by their Content-ID. */
    this.pictures = new Map();
    this.signed = letter.from;
    const changed = () => this.changed();
    this.text = h("textarea", { value: letter.text, "aria-label": t("body"), on: { input: changed, paste: (event) => this.paste(event) } });
    // Text inserted before the user was in the field goes above the signature.
    this.text.setSelectionRange(0, 0);
    this.editor = new Editor({ changed, isFixed: () => this.isFixed(), files: (files) => this.paste({ clipboardData: { files }, preventDefault: () => {} }) });
    this.editor.element.hidden = true;
    this.switch = button(t("withFormatting"), "format", () => this.exchange(), { pressed: false, kind: "exchange" });
    this.pictured = h("input", { type: "file", accept: PICTURES.join(), multiple: true, hidden: true, class: "pictured", on: { change: () => { this.addPictures(this.pictured.files); this.pictured.value = ""; } } });
    this.pictureButton = button(t("insertPicture"), "picture", () => this.pictured.click(), { kind: "insertPicture" });
    this.responses = button(t("responses"), "response", () => choose(this.responses, this), { kind: "responses" });
    // The text keeps its selection.
    this.responses.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  get formatted() {
    return !this.editor.element.hidden;
  }

  show(formatted) {
    this.editor.element.hidden = !formatted;
    this.text.hidden = formatted;
    this.pictureButton.hidden = !formatted;
    this.switch.setAttribute("aria-pressed", String(formatted));
  }

  /** Makes the formatted text of a letter, where it is one. */
  async fill(letter) {
    const { content, quoted, passed } = letter;
    const { preferences } = this.composer.account;
    const is = content ? content.html : preferences.formatted;
    this.show(is);
    if (!is) return;
    const { field } = this.editor;
    if (content) {
      field.append(await this.formattedOf(content));
      return;
    }
    const own = await this.formattedSignature(letter.from);
    const signature = () => (own ? [h("div", {}, h("br")), own] : []);
    const empty = () => h("div", {}, h("br"));
    if (quoted) {
      const quote = [h("div", {}, quoted.before), h("blockquote", {}, await this.quotedOf(quoted.message))];
      field.append(...(quoted.below ? [...quote, empty(), ...signature()] : [empty(), ...signature(), empty(), ...quote]));
    } else if (passed) field.append(empty(), ...signature(), empty(), lines(passed.before), await this.quotedOf(passed.message));
    else {
      const words = letter.text.slice(0, letter.text.length - this.composer.signature(letter.from).length);
      field.append(words ? lines(words) : empty(), ...signature());
    }
  }

  /** As `formattedOf`; the words alone where that cannot be had. */
  quotedOf(message) {
    return this.formattedOf(message).catch(() => {
      toast(t("formattingNotLoaded"), { problem: true });
      return lines(message.text);
    });
  }

  /** What a message says, with its pictures, which then go along within the text and not as files. */
  async formattedOf(message) {
    if (!message.html) return lines(message.text);
    const picture = (image) => {
      const asked = new URL(image.src, location.href);
      const part = Number(asked.searchParams.get("part"));
      if (asked.origin !== location.origin || !asked.searchParams.has("part") || this.pictures.size >= MOST_PICTURES) return null;
      const source = { ...placeOf(message), part };
      this.files = this.files.filter((file) => !(file.inline && JSON.stringify(file.source) === JSON.stringify(source)));
      return this.picture(source, image.alt, asked.href);
    };
    return formatted(addressedAt(message), picture);
  }

  /** How an address signs, with its pictures. */
  formattedSignature(address) {
    return this.composer.formattedSignature(address, (image) => {
      const asked = new URL(image.src, location.href), cid = asked.searchParams.get("cid");
      if (asked.origin !== location.origin || !cid || this.pictures.size >= MOST_PICTURES) return null;
      return this.picture({ signature: address.toLowerCase(), cid }, image.alt, asked.href);
    });
  }

  picture(source, alt, src) {
    const cid = `${key().slice(0, 20)}@webmail`;
    this.pictures.set(cid, source);
    return h("img", { src, alt, data: { cid } });
  }

  /** Pictures that are there, in their order. */
  inline() {
    const cids = [...this.editor.field.querySelectorAll("img[data-cid]")].map((image) => image.dataset.cid);
    return [...new Set(cids)].filter((cid) => this.pictures.has(cid)).map((cid) => ({ cid, file: this.pictures.get(cid) }));
  }

  async addPictures(files) {
    if (this.isFixed()) return;
    for (const file of files) {
      if (!PICTURES.includes(file.type) || this.inline().length >= MOST_PICTURES) {
        toast(t("notAPicture", { name: file.name }), { problem: true });
        continue;
      }
      await this.trackUpload(upload(file, () => {}).done.then(({ upload: id }) => {
        if (!this.over) this.editor.insert(this.picture({ upload: id }, file.name.replace(/\.\w+$/, ""), addressOf(`uploads/${id}`)));
      }), file);
    }
  }

  /** From plain to formatted text and back, once all of it is there. */
  async exchange() {
    await this.ready;
    if (this.over) return;
    if (this.formatted) {
      const plain = !this.editor.field.querySelector(WITH_FORMATTING);
      if (!plain && (!await confirm(t("loseFormatting"), t("toPlain"), false) || this.isFixed())) return;
      this.text.value = this.editor.text;
      this.show(false);
      this.text.focus();
    } else {
      this.editor.text = this.text.value;
      this.show(true);
      this.editor.focus();
    }
    this.changed();
  }

  /** The selection, or the user's own words. */
  get chosenText() {
    const { text } = this;
    const marked = this.formatted ? this.editor.selected : text.value.slice(text.selectionStart, text.selectionEnd);
    return marked.trim() ? marked : this.ownWords();
  }

  /** The text without signature and quotes. */
  ownWords() {
    const text = this.formatted ? this.editor.text : this.text.value;
    const lines = text.split(t("forwarded"))[0].split("\n");
    const end = lines.indexOf("-- ");
    return (end < 0 ? lines : lines.slice(0, end)).filter((line) => !line.startsWith(">")).join("\n").trim();
  }

  /** The selection with its formatting, if any. */
  get chosenHtml() {
    return this.formatted && this.editor.selected.trim() ? this.editor.selectedHtml : null;
  }

  /** Puts a response in: with its formatting where this has some. */
  async insertResponse({ name, text, html }) {
    const elements = this.formatted && html ? await canned(name).catch(() => null) : null;
    if (this.isFixed()) return;
    if (elements?.childNodes.length > 0) this.editor.insertElements(elements);
    else this.insertText(text);
  }

  /** Inserts a text at the caret, in place of the selection. */
  insertText(text) {
    if (this.formatted) {
      this.editor.insertText(text);
      return;
    }
    this.text.focus();
    // So that the browser can take it back.
    if (!document.execCommand("insertText", false, text)) this.text.setRangeText(text, this.text.selectionStart, this.text.selectionEnd, "end");
    this.changed();
  }

  /** Exchanges the signature with the address: the letter is ready again once that is done, and one exchange waits for the other. */
  signAs(address) {
    this.ready = this.ready.then(() => this.exchangeSignature(address));
  }

  async exchangeSignature(address) {
    if (this.over) return;
    const old = this.composer.signature(this.signed), fresh = this.composer.signature(address);
    const made = this.formatted ? await this.formattedSignature(address) : null;
    if (this.over) return;
    if (this.formatted) this.signFormatted(made);
    else if (old && this.text.value.includes(old)) this.text.value = this.text.value.replace(old, () => fresh);
    else if (!old && fresh) this.text.value += fresh;
    this.signed = address;
    this.changed();
  }

  signFormatted(made) {
    const { field } = this.editor;
    // In a draft that is gone on with it is what begins with its mark (RFC 3676 §4.3), unless somebody else has written it.
    const isOne = (one) => /^--\s*\n/.test(one.innerText) && !one.closest("blockquote");
    const known = field.querySelector("[data-signature]") ?? [...field.querySelectorAll("div")].find(isOne);
    if (known) known.replaceWith(...(made ? [made] : []));
    else if (made) field.append(h("div", {}, h("br")), made);
  }
}
