// Formatted text: what of it is kept, and how it becomes markup. Markup is only ever written here, never read: what others
// have written comes as the elements of a frame, cleaned by the server, and is copied element by element.

import { address, addressOf } from "./api.js";
import { h } from "./elements.js";
import { t } from "./texts.js";

/** Elements that are kept, with their attributes. Of all others only the content is. */
const KEPT = new Map(Object.entries({
  a: ["href"], b: [], blockquote: [], br: [], code: [], div: [], em: [], h1: [], h2: [], h3: [], h4: [], hr: [], i: [], img: ["alt"], li: [], ol: ["start"], p: [], pre: [],
  s: [], strike: [], strong: [], sub: [], sup: [], table: [], tbody: [], td: ["colspan", "rowspan"], th: ["colspan", "rowspan"], thead: [], tr: [], u: [], ul: [],
}).map(([name, attributes]) => [name, [...attributes, "dir"]]));
const EMPTY = new Set(["br", "hr", "img"]);
const BLOCKS = new Set(["blockquote", "div", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "table", "tr", "ul"]);
/** Elements within each other that are made or written. */
const DEEPEST = 60;
const isLink = (href) => /^(https?:|mailto:|tel:)/i.test(href.trim());
const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const nameOf = (node) => node.localName ?? "";

const attributesOf = (node, name) => KEPT.get(name).filter((key) => node.hasAttribute(key) && (key !== "href" || isLink(node.getAttribute(key))));

/**
 * Visits what is within an element in its order. `enter` says whether what is within a node is visited, too; `leave` comes after that.
 * It does not call itself: others nest their elements as deep as they like.
 */
function walk(element, enter, leave) {
  for (let node = element.firstChild; node;) {
    const isEntered = enter(node);
    if (isEntered && node.firstChild) {
      node = node.firstChild;
      continue;
    }
    if (isEntered) leave(node);
    while (!node.nextSibling && node.parentNode !== element) {
      node = node.parentNode;
      leave(node);
    }
    node = node.nextSibling;
  }
}

/** The markup of what is within an element; pictures are named by their Content-ID. What is too deep stands in what is not, line by line. */
export function write(element) {
  let out = "", depth = 0;
  const ends = [];
  const fresh = (name) => { if (depth >= DEEPEST && BLOCKS.has(name) && !out.endsWith("<br>")) out += "<br>"; };
  walk(element, (node) => {
    if (node.nodeType === Node.TEXT_NODE) out += escape(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE) return false;
    const name = nameOf(node);
    const isKept = KEPT.has(name) && (name !== "img" || node.dataset.cid);
    const isEmpty = EMPTY.has(name);
    const isWritten = isKept && (isEmpty || depth < DEEPEST);
    if (isWritten) {
      const kept = attributesOf(node, name).map((key) => ` ${key}="${escape(node.getAttribute(key))}"`);
      if (name === "img") kept.push(` src="cid:${escape(node.dataset.cid)}"`);
      out += `<${name}${kept.join("")}>`;
    } else fresh(name);
    if (isEmpty) return false;
    ends.push(isWritten ? `</${name}>` : "");
    if (isWritten) depth += 1;
    return true;
  }, (node) => {
    const end = ends.pop();
    if (end) depth -= 1;
    else fresh(nameOf(node));
    out += end;
  });
  return out;
}

/** Copies what is within an element. `picture` makes a picture of ours of one, or `null`. What is too deep is put into what is not, line by line. */
export function copy(element, picture) {
  const out = document.createDocumentFragment();
  const places = [out];
  let place = out;
  const fresh = (name) => { if (places.length > DEEPEST && BLOCKS.has(name) && place.lastChild && nameOf(place.lastChild) !== "br") place.append(h("br")); };
  // Of each element that was entered, whether there is one of ours for it.
  const made = [];
  walk(element, (node) => {
    if (node.nodeType === Node.TEXT_NODE) place.append(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE || ["style", "title", "script"].includes(nameOf(node))) return false;
    const name = nameOf(node);
    if (name === "img") {
      place.append(picture(node) ?? node.alt ?? "");
      return false;
    }
    const isEmpty = EMPTY.has(name);
    const isMade = KEPT.has(name) && (isEmpty || places.length <= DEEPEST);
    if (isMade) {
      const one = h(name);
      for (const key of attributesOf(node, name)) one.setAttribute(key, node.getAttribute(key));
      place.append(one);
      if (!isEmpty) places.push(place = one);
    } else fresh(name);
    if (!isEmpty) made.push(isMade);
    return !isEmpty;
  }, (node) => {
    if (made.pop()) {
      places.pop();
      place = places.at(-1);
    } else fresh(nameOf(node));
  });
  return out;
}

/** Removes disallowed content after pasting or dropping. Allowed elements stay, and so does the caret. */
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
  walk(element, (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (depth > 0 && (last === "" || last === "\n") && node.data.trim()) add(`${">".repeat(depth)} `);
      add(node.data.replace(/\u00a0/g, " "));
      return false;
    }
    const name = nameOf(node);
    if (name === "br") {
      // The one that keeps an empty line open is no line of its own.
      if (node.nextSibling || node.parentNode.childNodes.length === 1) add("\n");
      return false;
    }
    if (BLOCKS.has(name)) fresh();
    if (name === "li") add(node.parentNode.localName === "ol" ? `${number(node.parentNode)}. ` : "- ");
    if (name === "blockquote") depth += 1;
    return true;
  }, (node) => {
    const name = nameOf(node);
    if (name === "blockquote") depth -= 1;
    if (BLOCKS.has(name)) fresh();
  });
  return out.join("");
}

/** Lines of text as elements; lines that begin with `>` are quotes. In the innermost that are made, further ones are text. */
export function lines(text, depth = 0) {
  const out = document.createDocumentFragment();
  const all = text.replace(/\n$/, "").split("\n");
  for (let n = 0; n < all.length; n += 1) {
    if (depth >= DEEPEST || !all[n].startsWith(">")) {
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

/** Translates the server's note on a page that was cut. */
export function sayCut(inside) {
  for (const note of inside.querySelectorAll("[data-rest]")) note.textContent = t("restLeftOut");
}

/** How long a page and its pictures may take, in milliseconds. */
const LONGEST = 60_000;
/** The title of every page that the server has cleaned: what a proxy says in its place has another. */
const TITLE = "Message";

/** The content of a page that the server has sanitised. */
function framed(src, picture) {
  return new Promise((resolve, reject) => {
    const frame = h("iframe", { hidden: true, sandbox: "allow-same-origin", src });
    let timer = 0;
    const end = () => {
      clearTimeout(timer);
      const inside = frame.contentDocument;
      // Its words may all be there while a picture is still on its way.
      if (inside?.body && inside.title === TITLE && inside.readyState !== "loading") {
        sayCut(inside);
        resolve(copy(inside.body, picture));
      } else reject(new Error());
      frame.remove();
    };
    frame.addEventListener("load", end);
    timer = setTimeout(end, LONGEST);
    document.body.append(frame);
  });
}
