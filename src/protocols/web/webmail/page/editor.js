// Writing formatted text: a field with a row of buttons above it. What it holds is elements; `markup.js` writes them down.

import { prompt } from "./dialogs.js";
import { button, h } from "./elements.js";
import { lines, plain, tame, write } from "./markup.js";
import { t } from "./texts.js";

/** What can be a picture in a text. */
export const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

/** Content lost together with formatting. */
export const WITH_FORMATTING = "b, strong, i, em, u, h1, h2, h3, h4, a, img, table, ul, ol";

const run = (command, value = null) => document.execCommand(command, false, value);

/** `changed` is called for every change; `files` gets pasted content that is not text; `isFixed` says whether editing is disabled. */
export class Editor {
  constructor({ changed, files, isFixed = () => false, name = t("body") }) {
    this.changed = changed;
    this.isFixed = isFixed;
    this.field = h("div", { class: "written", contentEditable: "true", role: "textbox", "aria-multiline": "true", "aria-label": name, tabIndex: 0, spellcheck: true, on: {
      input: (event) => {
        if (/^insertFrom(Paste|Drop|Yank)/.test(event.inputType)) tame(this.field);
        changed();
      },
      paste: (event) => {
        // A picture comes as a file and as markup that names it; a text from an office program as a picture of it, too.
        if (event.clipboardData.files.length === 0 || event.clipboardData.types.includes("text/plain")) return;
        event.preventDefault();
        files(event.clipboardData.files);
      },
      keydown: (event) => this.keyed(event),
      // A link that is being written is followed with Ctrl only, as elsewhere.
      click: (event) => { if (event.target.closest("a")) event.preventDefault(); },
    } });
    const acts = [
      ["bold", "Ctrl+B"], ["italic", "Ctrl+I"], ["underline", "Ctrl+U"], ["heading", "Ctrl+Alt+1"], ["bullets", "Ctrl+Shift+8"], ["numbers", "Ctrl+Shift+7"], ["quote", "Ctrl+Shift+9"],
      ["link", "Ctrl+K"], ["clear", "Ctrl+\\"],
    ];
    this.buttons = new Map(acts.map(([name, key], n) => {
      const one = button(t(`format_${name}`), name, () => this.act(name), { key, kind: `format ${name}`, pressed: name === "clear" ? undefined : false });
      // The field keeps its selection.
      one.addEventListener("pointerdown", (event) => event.preventDefault());
      one.tabIndex = n === 0 ? 0 : -1;
      return [name, one];
    }));
    this.bar = h("div", { class: "formats", role: "toolbar", "aria-label": t("formatting"), on: { keydown: (event) => this.moveFocus(event) } }, [...this.buttons.values()]);
    this.element = h("div", { class: "editor" }, this.bar, this.field);
    this.told = () => {
      this.show();
      const { anchorNode } = getSelection();
      if (anchorNode && this.field.contains(anchorNode)) this.left = getSelection().getRangeAt(0).cloneRange();
    };
    document.addEventListener("selectionchange", this.told);
  }

  end() {
    document.removeEventListener("selectionchange", this.told);
  }

  get html() {
    return write(this.field);
  }

  get text() {
    return plain(this.field);
  }

  set text(text) {
    this.field.replaceChildren(lines(text));
  }

  focus() {
    this.field.focus();
    run("styleWithCSS", false);
    run("defaultParagraphSeparator", "div");
    const first = this.field.firstChild;
    if (first) getSelection().collapse(first, 0);
    this.field.scrollTop = 0;
  }

  /** Arrows move within the row of buttons, which is one stop of the Tab key. */
  moveFocus(event) {
    const all = [...this.buttons.values()], n = all.indexOf(document.activeElement);
    const to = { ArrowRight: n + 1, ArrowLeft: n - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || n < 0) return;
    event.preventDefault();
    all[n].tabIndex = -1;
    const next = all[(to + all.length) % all.length];
    next.tabIndex = 0;
    next.focus();
  }

  keyed(event) {
    if (!(event.ctrlKey || event.metaKey)) return;
    const name = event.altKey ? { Digit1: "heading" }[event.code]
      : event.shiftKey ? { Digit7: "numbers", Digit8: "bullets", Digit9: "quote" }[event.code]
        : { KeyB: "bold", KeyI: "italic", KeyU: "underline", KeyK: "link", Backslash: "clear" }[event.code];
    if (!name) return;
    event.preventDefault();
    event.stopPropagation();
    this.act(name);
  }

  /** The element around the caret with one of these names. */
  around(...names) {
    const { anchorNode } = getSelection();
    const element = anchorNode?.nodeType === Node.ELEMENT_NODE ? anchorNode : anchorNode?.parentElement;
    const found = element?.closest(names.join(","));
    return found && this.field.contains(found) && found !== this.field ? found : null;
  }

  async act(name) {
    if (!this.field.contains(getSelection().anchorNode)) this.focus();
    if (["bold", "italic", "underline"].includes(name)) run(name);
    else if (name === "bullets") run("insertUnorderedList");
    else if (name === "numbers") run("insertOrderedList");
    else if (name === "heading") run("formatBlock", this.around("h1", "h2", "h3") ? "div" : "h2");
    else if (name === "quote") this.around("blockquote") ? run("outdent") : run("formatBlock", "blockquote");
    else if (name === "clear") this.clear();
    else await this.link();
    this.field.focus();
    this.show();
    this.changed();
  }

  clear() {
    run("removeFormat");
    run("unlink");
    if (this.around("h1", "h2", "h3", "h4", "pre")) run("formatBlock", "div");
  }

  async link() {
    const selection = getSelection();
    const known = this.around("a");
    if (known) selection.selectAllChildren(known);
    const range = selection.rangeCount > 0 ? selection.getRangeAt(0).cloneRange() : null;
    const given = await prompt(t("linkTo"), known?.getAttribute("href") ?? "https://");
    if (given !== null && this.isFixed()) return;
    this.field.focus();
    if (range) {
      selection.removeAllRanges();
      selection.addRange(range);
    }
    if (given === null) return;
    const bare = given.trim();
    const href = /^(https?:|mailto:|tel:)/i.test(bare) ? bare : /^[^\s/]+@[^\s/]+$/.test(bare) ? `mailto:${bare}` : `https://${bare}`;
    if (bare === "" || /^https?:\/*$/i.test(bare)) run("unlink");
    else if (selection.isCollapsed) {
      const link = h("a", { href }, bare);
      range ? range.insertNode(link) : this.field.append(link);
      selection.setPosition(link, link.childNodes.length);
    } else run("createLink", href);
  }

  /** Puts an element where the caret is. */
  insert(element) {
    const selection = getSelection();
    if (!this.field.contains(selection.anchorNode)) this.focus();
    const range = selection.rangeCount > 0 && this.field.contains(selection.anchorNode) ? selection.getRangeAt(0) : null;
    if (range) {
      range.deleteContents();
      // Elements in a fragment are moved out of it.
      const last = element.nodeType === Node.DOCUMENT_FRAGMENT_NODE ? element.lastChild : element;
      range.insertNode(element);
      if (last) range.setStartAfter(last);
      range.collapse(true);
    } else this.field.append(element);
    this.changed();
  }

  /** Where text is inserted: the selection, or else the caret's position when the field was left. */
  get place() {
    const selection = getSelection();
    const range = selection.rangeCount > 0 ? selection.getRangeAt(0) : null;
    if (range && this.field.contains(range.commonAncestorContainer)) return range.cloneRange();
    return this.left && this.field.contains(this.left.commonAncestorContainer) ? this.left : null;
  }

  get selected() {
    const range = this.place;
    return range && !range.collapsed ? plain(range.cloneContents()) : "";
  }

  get selectedHtml() {
    return write(this.place.cloneContents());
  }

  /** Goes back to where the caret was. */
  goBack() {
    const { place: range } = this;
    this.focus();
    if (!range) return;
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  /** Puts elements where the caret is. */
  insertElements(elements) {
    this.goBack();
    this.insert(elements);
  }

  /** Puts a text where the caret is, line by line. */
  insertText(text) {
    this.goBack();
    // Line by line, so that the browser can take it back.
    text.split("\n").forEach((line, n) => {
      if (n > 0) run("insertParagraph");
      if (line) run("insertText", line);
    });
    this.changed();
  }

  /** Shows at the buttons what holds where the caret is. */
  show() {
    if (!this.field.contains(getSelection().anchorNode)) return;
    const holds = {
      bold: document.queryCommandState("bold"), italic: document.queryCommandState("italic"), underline: document.queryCommandState("underline") && !this.around("a"),
      bullets: Boolean(this.around("ul")), numbers: Boolean(this.around("ol")), quote: Boolean(this.around("blockquote")), heading: Boolean(this.around("h1", "h2", "h3")), link: Boolean(this.around("a")),
    };
    for (const [name, is] of Object.entries(holds)) this.buttons.get(name).setAttribute("aria-pressed", String(is));
  }
}
