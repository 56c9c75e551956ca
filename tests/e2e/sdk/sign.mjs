// Signs as the providers' own JavaScript libraries do and posts to a running Hookward.
//
//     node sign.mjs [BASE_URL]        (run.sh starts the server and sets the keys)
//
// Each sender of senders.mjs makes four requests, judged by its own library's verifier and by the server; both must say what is
// expected. Without a BASE_URL only the library judges. One line per request; ends with 1 if one is not as expected.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { SENDERS } from "./senders.mjs";

// What routes.yaml has as `public_url`: some senders sign it.
const PUBLIC_URL = "https://hooks.example.com";

/** The same text with one character of the tag at its end changed: well-formed still, and of the same length. */
const anotherTag = (tag) => {
  const start = tag.search(/[A-Za-z0-9+/_-]+=*$/);
  // Not the first one: of a signature in DER that would be its form, and the library says so in words of its own.
  const at = start + Math.min(20, tag.length - start - 4);
  return tag.slice(0, at) + (tag[at] === "a" ? "b" : "a") + tag.slice(at + 1);
};

/** Another secret of the same form. */
const anotherSecret = (secret) => {
  const prefix = secret.match(/^(whsec|pdl_ntfset)_/)?.[0] ?? "";
  const bytes = randomBytes(32);
  if (/^[0-9a-f]+$/.test(secret)) return bytes.toString("hex").slice(0, secret.length);
  return prefix + bytes.toString("base64url");
};

/** Name, request, expected status. Each is signed anew, so that none is a duplicate of another. */
const cases = async (source, secret, path) => {
  const { sign, pair } = SENDERS[source];
  const made = (key = secret, other) => sign(key, path, other, PUBLIC_URL);
  const [bodyChanged, tagChanged] = [await made(), await made()];
  bodyChanged.payload = bodyChanged.payload.replace("1.0", "1.1");
  tagChanged.tag = anotherTag(tagChanged.tag);
  const stranger = pair
    ? await made(secret, generateKeyPairSync(pair, { namedCurve: "P-256" }).privateKey)
    : await made(anotherSecret(secret));
  return [
    ["as signed", await made(), 200],
    ["another body", bodyChanged, 401],
    ["another signature", tagChanged, 401],
    ["another secret", stranger, 401],
  ];
};

const taken = async (source, secret, request, path) => {
  try {
    return Boolean(await SENDERS[source].takes(secret, request, path, PUBLIC_URL));
  } catch {
    return false;
  }
};

/** Status and the code of the answer, where it has one. */
const post = async (url, header, { payload, tag, headers }) => {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers, [header]: tag },
    body: payload,
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.text();
  if (response.ok) return [response.status, null];
  try {
    return [response.status, JSON.parse(answer).code ?? null];
  } catch {
    return [response.status, null];
  }
};

const base = process.argv[2]?.replace(/\/$/, "");

for (const [source, { header }] of Object.entries(SENDERS)) {
  const secret = process.env[`SDK_${source.toUpperCase()}_SECRET`];
  if (!secret) throw new Error(`SDK_${source.toUpperCase()}_SECRET is not set; see keys.mjs`);
  const path = `/webhooks/${source}`;
  for (const [name, request, expected] of await cases(source, secret, path)) {
    const byLibrary = await taken(source, secret, request, path);
    let right = byLibrary === (expected === 200);
    let line = `${source.padEnd(11)} ${name.padEnd(18)} library ${byLibrary ? "takes" : "refuses"} it`;
    if (base) {
      const [status, code] = await post(base + path, header, request);
      // Some senders want another success than 200.
      const good = expected === 200 ? status >= 200 && status < 300 : status === expected;
      right &&= good && code === (expected === 200 ? null : "INVALID_SIGNATURE");
      line += `, hookward ${status} ${code ?? ""}`.trimEnd();
    }
    console.log(`${right ? "ok   " : "WRONG"} ${line}`);
    if (!right) process.exitCode = 1;
  }
}
