// A text of the settings that is written plain or formatted, as letters are.

import { addressOf, key, upload } from "./api.js";
import { confirm } from "./dialogs.js";
import { Editor, PICTURES, WITH_FORMATTING } from "./editor.js";
import { button, h, toast } from "./elements.js";
import { labelled, t } from "./texts.js";

export class RichTextField {
  /** `kept` is what the server has: it stays while what is formatted of it cannot be shown. `load` gives the formatted text, if there is one: elements, made with a function that makes a picture of one on the page. `pictured` says whether there may be some. */
  constructor({ name, kept, rows, load = null, pictured = false }) {
    this.pictured = pictured;
    /** Pictures in the text, by their Content-ID. */
    this.pictures = new Map();
    this.text = h("textarea", { value: kept.text, rows, dir: "auto" });
    this.label = h("label", {}, h("span", {}, name), this.text);
    this.editor = new Editor({ changed: () => {}, files: (files) => this.add(files), name });
    this.switch = button(t("withFormatting"), "format", () => this.exchange(), { text: true, kind: "exchange", pressed: false });
    const chooser = h("input", { type: "file", accept: PICTURES.join(), hidden: true, class: "pictured", on: { change: () => { this.add(chooser.files); chooser.value = ""; } } });
    this.choose = pictured && button(t("insertPicture"), "picture", () => chooser.click(), { text: true, kind: "insertPicture" });
    this.elements = [this.label, this.editor.element, h("div", { class: "actionRow" }, this.switch, this.choose, pictured && chooser)];
    this.show(Boolean(load));
    /** What stays, since it is not here to be written on. */
    this.kept = load ? kept : null;
    this.setInert(Boolean(load));
    load?.((image) => this.known(image)).then((own) => {
      this.editor.field.replaceChildren(own);
      this.kept = null;
      this.setInert(false);
    }, () => {
      this.editor.text = kept.text;
      toast(t("formattingNotLoaded"), { problem: true });
    });
  }

  /** Keeps everything from being written on, or allows it again. */
  setInert(on) {
    for (const one of [this.label, this.editor.element, this.switch, this.choose]) if (one) one.inert = on;
  }

  get formatted() {
    return !this.editor.element.hidden;
  }

  show(formatted) {
    this.editor.element.hidden = !formatted;
    this.label.hidden = formatted;
    if (this.choose) this.choose.hidden = !formatted;
    this.switch.setAttribute("aria-pressed", String(formatted));
  }

  /** A picture that is kept with the text already. */
  known(image) {
    const at = new URL(image.src, location.href), cid = at.searchParams.get("cid");
    if (!this.pictured || at.origin !== location.origin || !cid) return null;
    this.pictures.set(cid, { cid });
    return h("img", { src: at.href, alt: image.alt, data: { cid } });
  }

  async add(files) {
    for (const file of files) {
      if (!this.pictured || !PICTURES.includes(file.type)) {
        toast(this.pictured ? t("notAPicture", { name: file.name }) : t("noPictureHere"), { problem: true });
        continue;
      }
      try {
        const { upload: id } = await upload(file, () => {}).done;
        const cid = `${key().slice(0, 20)}@webmail`;
        this.pictures.set(cid, { cid, upload: id });
        this.editor.insert(h("img", { src: addressOf(`uploads/${id}`), alt: file.name.replace(/\.\w+$/, ""), data: { cid } }));
      } catch (error) {
        toast(labelled(file.name, error.message), { problem: true });
      }
    }
  }

  async exchange() {
    if (this.formatted) {
      if (this.editor.field.querySelector(WITH_FORMATTING) && !await confirm(t("loseFormatting"), t("toPlain"), false)) return;
      this.text.value = this.editor.text;
      this.show(false);
      this.text.focus();
      return;
    }
    this.editor.text = this.text.value;
    this.show(true);
    this.editor.focus();
  }

  /** The text, and if formatted its HTML with pictures. */
  get value() {
    if (this.kept) return this.kept;
    const text = (this.formatted ? this.editor.text : this.text.value).trimEnd();
    const shown = [...this.editor.field.querySelectorAll("img[data-cid]")].map((image) => this.pictures.get(image.dataset.cid)).filter(Boolean);
    if (!this.formatted || (!text && shown.length === 0)) return { text };
    return { text, html: this.editor.html, ...(shown.length > 0 ? { pictures: shown } : {}) };
  }

  end() {
    this.editor.end();
  }
}
