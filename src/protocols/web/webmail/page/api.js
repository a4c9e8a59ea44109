// Speaking with the server. Addresses are relative, so that the page works under any path.

import { said, t } from "./texts.js";

/** Why the server refuses something. */
export const errorText = ({ error, ...told }) => said({ ...told, text: error });

/** A request that the server has refused. */
export class Refusal extends Error {
  constructor(status, text, answer = {}) {
    super(text);
    this.status = status;
    this.answer = answer;
  }
}

let signedOut = () => {};
/** How often somebody has signed in: late answers to what was asked before do not end the login after it. */
let logins = 0;

/** Whom to tell when a login has ended. */
export function whenSignedOut(act) {
  signedOut = act;
}

/** The account whose page this is, once somebody has signed in. */
let whose;

/** Makes every request name the account. Whether it may have this page: the page belongs to the first account. */
export function belongsTo(account) {
  whose ??= account;
  return whose === account;
}

/** The parameters that are set. */
const given = (parameters) => Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "" && value !== false));

/** The address of something of the account. It names the account: the next one in this browser has other things in the same places. */
export function addressOf(path, parameters = {}) {
  const query = new URLSearchParams(given({ ...parameters, of: whose })).toString();
  return query ? `api/${path}?${query}` : `api/${path}`;
}

async function ask(path, parameters = {}, options = {}) {
  const login = logins;
  let response;
  try {
    response = await fetch(addressOf(path, parameters), { credentials: "same-origin", ...options });
  } catch {
    throw new Refusal(0, t("offline"));
  }
  if (response.ok && path === "session" && options.method === "POST") logins += 1;
  if (response.ok) return response.status === 204 || response.status === 201 && !response.headers.get("content-type") ? null : response.json();
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== "session" && login === logins) signedOut();
  throw new Refusal(response.status, errorText(answer) ?? t("answered", { status: response.status }), answer);
}

/** Asks for something. */
export function get(path, parameters = {}) {
  return ask(path, parameters);
}

/** Sends a request. */
export function post(path, wish, method = "POST") {
  const headers = { "content-type": "application/json", "x-postrider": "1" };
  return ask(path, {}, { method, headers, body: wish === undefined ? undefined : JSON.stringify(wish) });
}

/** Gives the server a file as it is. */
export function give(path, parameters, file) {
  return ask(path, parameters, { method: "POST", headers: { "content-type": "application/octet-stream", "x-postrider": "1" }, body: file });
}

export const remove = (path) => post(path, undefined, "DELETE");

/** Sends a file, reporting progress; `abort` of the returned value stops it. */
export function upload(file, progress) {
  const request = new XMLHttpRequest(), login = logins;
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => progress(event.total ? event.loaded / event.total : 0));
    request.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* a proxy's page */ }
      if (request.status === 201) {
        resolve(answer);
        return;
      }
      if (request.status === 401 && login === logins) signedOut();
      reject(new Refusal(request.status, errorText(answer) ?? t("answered", { status: request.status })));
    });
    request.addEventListener("error", () => reject(new Refusal(0, t("offline"))));
    request.addEventListener("abort", () => reject(new Refusal(0, "")));
  });
  request.open("POST", addressOf("uploads", { name: file.name }));
  request.setRequestHeader("x-postrider", "1");
  request.setRequestHeader("content-type", file.type || "application/octet-stream");
  request.send(file);
  return { done, abort: () => request.abort() };
}

/** The address of a part of a message, its page or its source. */
export const address = (what, parameters) => addressOf(`message/${what}`, parameters);

/** Where a message is: in a folder, or attached to a message that is. */
export const placeOf = ({ folder, uid, within }) => given({ folder, uid, within });

/** The same, for a URL: it never means another message if the folder is recreated under its name. */
export const addressedAt = (message) => given({ ...placeOf(message), uid_validity: message.uid_validity });

/** Random for each letter, so that it is sent once. */
export const key = () => [...crypto.getRandomValues(new Uint8Array(20))].map((octet) => octet.toString(16).padStart(2, "0")).join("");
