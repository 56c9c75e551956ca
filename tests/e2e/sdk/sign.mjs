// Signs with GitHub's own JavaScript library and posts to a running Hookward.
//
//     node sign.mjs [BASE_URL]        (run.sh starts the server and sets the secret)
//
// The same four requests as sign.py sends for the other sources, judged by the library's own verifier and by the server.
// Without a BASE_URL only the library judges. One line per request; ends with 1 if one is not as expected.

import { randomBytes, randomUUID } from "node:crypto";
import { sign, verify } from "@octokit/webhooks-methods";

const TAG = "X-Hub-Signature-256";

// Spaces, an escape, letters outside ASCII and a line end: what a server that parses and writes again would change.
const body = () =>
  `{ "ref": "refs/heads/${randomBytes(4).toString("hex")}", "note" : "caf\\u00e9 – ça va? ♥",\t"n":1.0 }\n`;

const signed = async (secret, payload = body()) => ({
  payload,
  headers: {
    "X-GitHub-Event": "push",
    "X-GitHub-Delivery": randomUUID(),
    [TAG]: await sign(secret, payload),
  },
});

/** The same header with one digit of its tag changed: well-formed still, and of the same length. */
const anotherTag = (value) => {
  const start = "sha256=".length;
  return value.slice(0, start) + (value[start] === "a" ? "b" : "a") + value.slice(start + 1);
};

/** Name, request, expected status. Each is signed anew, so that none is a duplicate of another. */
const cases = async (secret) => {
  const bodyChanged = await signed(secret);
  bodyChanged.payload = bodyChanged.payload.replace('"n":1.0', '"n":1.1');
  const tagChanged = await signed(secret);
  tagChanged.headers[TAG] = anotherTag(tagChanged.headers[TAG]);
  return [
    ["as signed", await signed(secret), 200],
    ["another body", bodyChanged, 401],
    ["another signature", tagChanged, 401],
    ["another secret", await signed(randomBytes(32).toString("base64")), 401],
  ];
};

/** Status and the code of the answer, where it has one. */
const post = async (url, { payload, headers }) => {
  const response = await fetch(url, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
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

const secret = process.env.SDK_GITHUB_SECRET;
if (!secret) throw new Error("SDK_GITHUB_SECRET is not set");
const base = process.argv[2]?.replace(/\/$/, "");

for (const [name, request, expected] of await cases(secret)) {
  const byLibrary = await verify(secret, request.payload, request.headers[TAG]);
  let right = byLibrary === (expected === 200);
  let line = `github    ${name.padEnd(18)} library ${byLibrary ? "takes" : "refuses"} it`;
  if (base) {
    const [status, code] = await post(`${base}/webhooks/github`, request);
    right &&= status === expected && code === (expected === 200 ? null : "INVALID_SIGNATURE");
    line += `, hookward ${status} ${code ?? ""}`.trimEnd();
  }
  console.log(`${right ? "ok   " : "WRONG"} ${line}`);
  if (!right) process.exitCode = 1;
}
