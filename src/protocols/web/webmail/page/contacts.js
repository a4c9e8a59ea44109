// The address book, which other programs see by CardDAV.

import { addressOf, get, post, upload } from "./api.js";
import { confirm, open } from "./dialogs.js";
import { button, h, orToast, sends, toast } from "./elements.js";
import { forgetPeople, write as written } from "./addresses.js";
import { t } from "./texts.js";

/** The window with all contacts; `write` begins a message to one. */
export async function show({ write }) {
  const search = h("input", { type: "search", placeholder: t("findContact"), "aria-label": t("findContact") });
  const list = h("ul", { class: "plain contacts" });
  const content = h("div", { class: "settings" }, search, list);
  let all = [], chosen = null;
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.filter(({ name, address, organisation }) => words.every((word) => `${name} ${address ?? ""} ${organisation}`.toLowerCase().includes(word)));
    list.replaceChildren(...found.map(line));
    if (found.length === 0) list.replaceChildren(h("li", {}, t(all.length === 0 ? "noContacts" : "emptyFound")));
  };
  const again = async () => {
    all = (await get("contacts")).contacts;
    forgetPeople();
    draw();
  };
  const line = (contact) => {
    const { name, address, organisation, members = [] } = contact;
    const people = address ? [{ name: name === address ? "" : name, address }] : members;
    const choose = h("button", { type: "button", class: "choose", on: { click: () => orToast(get("contact", { book: contact.book, object: contact.object }).then((known) => edit(known, again))) } },
      h("strong", {}, name || address), h("small", {}, [address !== name && address, organisation, members.length > 0 && t("groupMembers", { count: members.length })].filter(Boolean).join(" · ")));
    const begin = people.length > 0 && button(t("writeTo", { name: name || address }), "compose", () => { chosen = written(people); content.closest("dialog").close(""); });
    return h("li", {}, choose, begin);
  };
  search.addEventListener("input", draw);
  const chooser = h("input", { type: "file", accept: ".vcf,.csv,.txt,text/vcard,text/csv", hidden: true, class: "contactFile", on: { change: () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) orToast(upload(file, () => {}).done.then((answer) => post("contacts/import", { upload: answer.upload })).then(imported).then(again));
  } } });
  const out = (form, name) => h("a", { href: addressOf("contacts/export", { form }), download: `contacts.${form}` }, t(name));
  content.append(h("div", { class: "actionRow" }, button(t("newContact"), null, () => edit(null, again), { text: true, kind: "main newContact" }),
    button(t("importFile"), null, () => chooser.click(), { text: true, kind: "importFile" }), chooser, out("vcf", "exportVcf"), out("csv", "exportCsv")));
  await again();
  await open(t("contacts"), content, { wide: true, initial: search });
  // Only now: a window that closes gives the focus back.
  if (chosen) write(chosen);
}

/** Shows the result of importing a file of contacts. */
export function imported({ added, unfit, left }) {
  toast(added > 0 ? t("contactsImported", { added }) : t("contactsKnown"));
  if (unfit > 0) toast(t("contactsUnfit", { count: unfit }), { problem: true });
  if (left > 0) toast(t("contactsLeft", { count: left }), { problem: true });
}

/** The window for somebody who has written: the contact with that address, or a new one. */
export const add = ({ name, address }) => orToast((async () => {
  const { contacts } = await get("contacts");
  const known = contacts.find((one) => one.address?.toLowerCase() === address.toLowerCase());
  if (known) await edit(await get("contact", { book: known.book, object: known.object }), forgetPeople);
  else await edit(null, forgetPeople, { name: name || "", addresses: [address] });
})());

const label = (name, control) => h("label", {}, h("span", {}, t(name)), control);
const parted = (field) => field.value.split("\n").map((text) => text.trim()).filter(Boolean);

/** The window for one contact; a new one when none is known. */
async function edit(known, again, begun = {}) {
  const contact = known?.contact ?? { name: "", addresses: [], telephones: [], organisation: "", note: "", ...begun };
  const several = (texts, mode) => h("textarea", { rows: Math.max(2, texts.length + 1), value: texts.join("\n"), placeholder: t("lookForHint"), inputMode: mode, spellcheck: false });
  const name = h("input", { type: "text", name: "name", value: contact.name, maxLength: 200 });
  const addresses = several(contact.addresses, "email"), telephones = several(contact.telephones, "tel");
  addresses.name = "addresses";
  const organisation = h("input", { type: "text", value: contact.organisation, maxLength: 200 });
  const note = h("textarea", { rows: 3, value: contact.note, maxLength: 10_000 });
  const problem = h("p", { class: "problems", role: "alert" });
  const changes = known && { book: known.book, object: known.object, etag: known.etag };
  const remove = known && button(t("deleteIt"), null, async () => {
    if (!await confirm(t("deleteContactSure", { name: contact.name }), t("deleteIt"))) return;
    await act(() => post("contacts/remove", changes), "contactDeleted");
  }, { text: true, kind: "danger" });
  const form = h("form", { class: "asked" }, label("contactName", name), label("contactAddresses", addresses), label("contactTelephones", telephones),
    label("contactOrganisation", organisation), label("contactNote", note), problem, h("footer", {}, remove, h("button", { class: "main", type: "submit" }, t("save"))));
  const act = async (what, done) => {
    problem.textContent = "";
    try {
      await what();
      toast(t(done));
      form.closest("dialog").close("");
      await again();
    } catch (error) {
      // Shown even if the window was closed.
      if (form.isConnected) problem.textContent = error.message;
      else toast(error.message, { problem: true });
    }
  };
  sends(form, () => {
    const wish = { contact: { name: name.value, addresses: parted(addresses), telephones: parted(telephones), organisation: organisation.value, note: note.value }, ...(changes ? { changes } : {}) };
    return act(() => post("contact", wish), "contactSaved");
  });
  await open(known ? contact.name : t("newContact"), form, { initial: name, asks: true });
}
