// Formatted text: what of it is kept, and how it becomes markup. Markup is only ever written here, never read: what others
// have written comes as the elements of a frame, cleaned by the server, and is copied element by element.

import { address, addressOf } from "./api.js";
import { h } from "./elements.js";

/** Elements that are kept, with their attributes. Of all others only the content is. */
const KEPT = new Map(Object.entries({
  a: ["href"], b: [], blockquote: [], br: [], code: [], div: [], em: [], h1: [], h2: [], h3: [], h4: [], hr: [], i: [], img: ["alt"], li: [], ol: ["start"], p: [], pre: [],
  s: [], strike: [], strong: [], sub: [], sup: [], table: [], tbody: [], td: ["colspan", "rowspan"], th: ["colspan", "rowspan"], thead: [], tr: [], u: [], ul: [],
}).map(([name, attributes]) => [name, [...attributes, "dir"]]));
const EMPTY = new Set(["br", "hr", "img"]);
const BLOCKS = new Set(["blockquote", "div", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "table", "tr", "ul"]);
const DEEPEST = 60;
const isLink = (href) => /^(https?:|mailto:|tel:)/i.test(href.trim());
const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const nameOf = (node) => node.localName ?? "";

/** The markup of what is within an element; pictures are named by their Content-ID. */
export function write(element, depth = 0) {
  let out = "";
  for (const node of element.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) out += escape(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE || depth > DEEPEST) continue;
    const name = nameOf(node);
    if (!KEPT.has(name) || (name === "img" && !node.dataset.cid)) {
      out += write(node, depth + 1);
      continue;
    }
    const kept = KEPT.get(name).filter((key) => node.hasAttribute(key) && (key !== "href" || isLink(node.getAttribute(key)))).map((key) => ` ${key}="${escape(node.getAttribute(key))}"`);
    if (name === "img") kept.push(` src="cid:${escape(node.dataset.cid)}"`);
    out += EMPTY.has(name) ? `<${name}${kept.join("")}>` : `<${name}${kept.join("")}>${write(node, depth + 1)}</${name}>`;
  }
  return out;
}

/** Copies what is within an element. `picture` makes a picture of ours of one, or `null`. */
export function copy(element, picture, depth = 0) {
  const out = document.createDocumentFragment();
  for (const node of element.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) out.append(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE || depth > DEEPEST || ["style", "title", "script"].includes(nameOf(node))) continue;
    const name = nameOf(node);
    if (name === "img") {
      out.append(picture(node) ?? node.alt ?? "");
      continue;
    }
    const inner = copy(node, picture, depth + 1);
    if (!KEPT.has(name)) {
      out.append(inner);
      continue;
    }
    const made = h(name, {});
    for (const key of KEPT.get(name)) if (node.hasAttribute(key) && (key !== "href" || isLink(node.getAttribute(key)))) made.setAttribute(key, node.getAttribute(key));
    made.append(inner);
    out.append(made);
  }
  return out;
}

/** Takes away what is not kept, after something was pasted or dropped in. Elements of ours stay, and so does the caret. */
export function tame(element) {
  for (const node of [...element.querySelectorAll("*")].reverse()) {
    const name = nameOf(node);
    if (!KEPT.has(name) || (name === "img" && !node.dataset.cid)) {
      if (["style", "title", "script", "meta", "link", "iframe", "object"].includes(name)) node.remove();
      else node.replaceWith(...(name === "img" ? [node.getAttribute("alt") ?? ""] : node.childNodes));
      continue;
    }
    for (const { name: key } of [...node.attributes]) {
      const ours = key.startsWith("data-") || (name === "img" && key === "src");
      if (!ours && !KEPT.get(name).includes(key)) node.removeAttribute(key);
    }
    if (name === "a" && !isLink(node.getAttribute("href") ?? "")) node.replaceWith(...node.childNodes);
  }
}

/** The text within an element as it is seen. */
export function plain(element) {
  // In pieces: to look at the end of a text that is put together anew each time takes as long as all of it.
  const out = [], numbers = new Map();
  let last = "", depth = 0;
  const add = (text) => {
    if (!text) return;
    out.push(text);
    last = text.at(-1);
  };
  const fresh = () => { if (last && last !== "\n") add("\n"); };
  const number = (list) => numbers.set(list, (numbers.get(list) ?? 0) + 1).get(list);
  const visit = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (depth > 0 && (last === "" || last === "\n") && node.data.trim()) add(`${">".repeat(depth)} `);
      add(node.data.replace(/\u00a0/g, " "));
      return;
    }
    const name = nameOf(node);
    if (name === "br") {
      // The one that keeps an empty line open is no line of its own.
      if (node.nextSibling || node.parentNode.childNodes.length === 1) add("\n");
      return;
    }
    if (BLOCKS.has(name)) fresh();
    if (name === "li") add(node.parentNode.localName === "ol" ? `${number(node.parentNode)}. ` : "- ");
    if (name === "blockquote") depth += 1;
    node.childNodes.forEach(visit);
    if (name === "blockquote") depth -= 1;
    if (BLOCKS.has(name)) fresh();
  };
  element.childNodes.forEach(visit);
  return out.join("");
}

/** Lines of text as elements; lines that begin with `>` are quotes, as far as they may be nested. */
export function lines(text, depth = 0) {
  const out = document.createDocumentFragment();
  const all = text.replace(/\n$/, "").split("\n");
  for (let n = 0; n < all.length; n += 1) {
    if (depth > DEEPEST || !all[n].startsWith(">")) {
      out.append(h("div", {}, all[n] ? all[n] : h("br")));
      continue;
    }
    const quoted = [];
    while (n < all.length && all[n].startsWith(">")) quoted.push(all[n++].replace(/^> ?/, ""));
    n -= 1;
    out.append(h("blockquote", {}, lines(quoted.join("\n"), depth + 1)));
  }
  return out;
}

/** The cleaned formatted text of a message, as elements. Nothing of another server is loaded for it. */
export const formatted = (place, picture) => framed(address("page", { ...place, images: 0 }), picture);

/** The formatted signature of an address, as elements. */
export const signed = (from, picture) => framed(addressOf("signature", { address: from.toLowerCase() }), picture);

/** A formatted response, likewise. */
export const canned = (name) => framed(addressOf("response", { name }), () => null);

/** What is on a page that the server has cleaned. */
function framed(src, picture) {
  return new Promise((resolve, reject) => {
    const frame = h("iframe", { hidden: true, sandbox: "allow-same-origin", src });
    frame.addEventListener("load", () => {
      const inside = frame.contentDocument?.body;
      if (inside) resolve(copy(inside, picture));
      else reject(new Error());
      frame.remove();
    });
    document.body.append(frame);
  });
}
