// @ts-check
// Keyboard shortcuts, and the overlay that tells them.

import { byId, element } from "./elements.js";

/**
 * @typedef {{ keys: string[], words: string, act: () => void }} Shortcut
 * @param {Shortcut[]} shortcuts
 */
export function listen(shortcuts) {
  const help = /** @type {HTMLDialogElement} */ (byId("help"));
  const all = [...shortcuts, { keys: ["?"], words: "Show or hide these shortcuts", act: () => (help.open ? help.close() : help.showModal()) }];
  const rows = [...all, { keys: ["←", "→", "Home", "End"], words: "In a chart: move the cursor" }, { keys: ["Esc"], words: "Leave a field, close this" }].map(({ keys, words }) =>
    element("tr", {}, element("td", {}, ...keys.map((key) => element("kbd", {}, key))), element("td", {}, words)),
  );
  help.querySelector("tbody")?.replaceChildren(...rows);
  byId("help-button").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.matches("input:not([type=radio], [type=checkbox]), select, textarea")) {
      if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
      return;
    }
    if (help.open && event.key !== "?") return;
    const shortcut = all.find(({ keys }) => keys.includes(event.key));
    if (!shortcut) return;
    event.preventDefault();
    shortcut.act();
  });
}
