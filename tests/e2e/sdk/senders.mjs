// How each sender's requests are made, and what its own JavaScript library says of them. Where the library signs, it makes the
// request; where it only verifies, the request is made as the sender documents, and the library is the judge.

import { createHmac, createPrivateKey, randomBytes, randomUUID, sign as signWith } from "node:crypto";
import adyen from "@adyen/api-library";
import * as contentful from "@contentful/node-apps-toolkit";
import { verifyKey } from "discord-interactions";
import * as gocardless from "gocardless-nodejs/webhooks";
import hubspot from "@hubspot/api-client";
import * as line from "@line/bot-sdk";
import { LinearWebhookClient } from "@linear/sdk/webhooks";
import Mux from "@mux/mux-node";
import * as octokit from "@octokit/webhooks-methods";
import { Paddle } from "@paddle/paddle-node-sdk";
import Razorpay from "razorpay";
import * as sanity from "@sanity/webhook";
import sendgrid from "@sendgrid/eventwebhook";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";
import bolt from "@slack/bolt";
import { WebhooksHelper as Square } from "square";
import Stripe from "stripe";
import twilio from "twilio";
import { WorkOS } from "@workos-inc/node";

const id = () => randomBytes(8).toString("hex");
const seconds = () => Math.floor(Date.now() / 1000).toString();
const hmac = (secret, text, encoding, alg = "sha256") => createHmac(alg, secret).update(text).digest(encoding);

// Spaces, an escape, letters outside ASCII and a line end: what a server that parses and writes again would change.
const REST = `"note" : "caf\\u00e9 – ça va? ♥",\t"n":1.0 }\n`;
const body = (members) => `{ ${members}, ${REST}`;

const privateKey = (name) =>
  createPrivateKey({ key: Buffer.from(process.env[name], "base64"), format: "der", type: "pkcs8" });

/** The header with the signature. */
const HEADERS = {
  adyen: "HmacSignature",
  contentful: "x-contentful-signature",
  discord: "X-Signature-Ed25519",
  github: "X-Hub-Signature-256",
  gocardless: "Webhook-Signature",
  hubspot: "X-HubSpot-Signature-v3",
  line: "x-line-signature",
  linear: "Linear-Signature",
  mux: "Mux-Signature",
  paddle: "Paddle-Signature",
  razorpay: "X-Razorpay-Signature",
  sanity: sanity.SIGNATURE_HEADER_NAME,
  sendgrid: "X-Twilio-Email-Event-Webhook-Signature",
  shopify: "X-Shopify-Hmac-Sha256",
  slack: "X-Slack-Signature",
  square: "x-square-hmacsha256-signature",
  stripe: "Stripe-Signature",
  twilio: "X-Twilio-Signature",
  workos: "WorkOS-Signature",
};

const shop = (secret) =>
  shopifyApi({
    apiKey: "key",
    apiSecretKey: secret,
    hostName: "hooks.example.com",
    apiVersion: "2025-10",
    isEmbeddedApp: false,
    logger: { log: () => {} },
  });

/**
 * Source: how a request is signed, and whether the sender's own library takes one. `pair`: the sender has a key pair of that kind; the
 * secret is its public half, and `other` the private half of a stranger's.
 */
export const SENDERS = {
  adyen: {
    sign: (secret) => {
      const payload = body(`"type": "balancePlatform.transfer.created", "data": {"id": "${id()}"}`);
      return { payload, tag: new adyen.hmacValidator().calculateHmac(payload, secret), headers: { Protocol: "HmacSHA256" } };
    },
    takes: (secret, { payload, tag }) => new adyen.hmacValidator().validateHMACSignature(secret, tag, payload),
  },
  contentful: {
    sign: (secret, path) => {
      const payload = body(`"sys": {"id": "${id()}", "type": "Entry"}`);
      const named = { "x-contentful-topic": "ContentManagement.Entry.publish" };
      const made = contentful.signRequest(secret, { method: "POST", path, headers: named, body: payload });
      const { "x-contentful-signature": tag, ...rest } = made;
      return { payload, tag, headers: { ...named, ...rest } };
    },
    takes: (secret, { payload, tag, headers }, path) =>
      contentful.verifyRequest(
        secret,
        { method: "POST", path, headers: { ...headers, "x-contentful-signature": tag }, body: payload },
        30,
      ),
  },
  discord: {
    sign: (secret, _, other) => {
      const event = `"type": 1, "event": {"type": "ENTITLEMENT_CREATE"}, "application_id": "${id()}"`;
      const [payload, time] = [body(event), seconds()];
      const key = other ?? privateKey("SDK_DISCORD_PRIVATE_SECRET");
      const tag = signWith(null, Buffer.from(time + payload), key).toString("hex");
      return { payload, tag, headers: { "X-Signature-Timestamp": time } };
    },
    takes: (secret, { payload, tag, headers }) => verifyKey(payload, tag, headers["X-Signature-Timestamp"], secret),
    pair: "ed25519",
  },
  github: {
    sign: async (secret) => {
      const payload = body(`"ref": "refs/heads/${id()}"`);
      const headers = { "X-GitHub-Event": "push", "X-GitHub-Delivery": randomUUID() };
      return { payload, tag: await octokit.sign(secret, payload), headers };
    },
    takes: (secret, { payload, tag }) => octokit.verify(secret, payload, tag),
  },
  gocardless: {
    sign: (secret) => {
      const payload = body(`"events": [{"id": "EV${id()}", "resource_type": "payments", "action": "confirmed"}]`);
      return { payload, tag: hmac(secret, payload, "hex") };
    },
    takes: (secret, { payload, tag }) => gocardless.verifySignature(payload, secret, tag) ?? true,
  },
  hubspot: {
    sign: (secret, path, _, base) => {
      const payload = `[${body(`"eventId": ${randomBytes(4).readUInt32BE()}, "subscriptionType": "contact.creation"`).trim()}]`;
      const timestamp = Date.now();
      const options = { clientSecret: secret, requestBody: payload, url: base + path, timestamp };
      const tag = hubspot.Signature.getSignature("POST", "v3", options);
      return { payload, tag, headers: { "X-HubSpot-Request-Timestamp": `${timestamp}` } };
    },
    takes: (secret, { payload, tag, headers }, path, base) =>
      hubspot.Signature.isValid({
        signature: tag,
        clientSecret: secret,
        requestBody: payload,
        url: base + path,
        method: "POST",
        signatureVersion: "v3",
        timestamp: Number(headers["X-HubSpot-Request-Timestamp"]),
      }),
  },
  line: {
    sign: (secret) => {
      const payload = body(`"destination": "U1", "events": [{"type": "message", "webhookEventId": "${id()}"}]`);
      return { payload, tag: hmac(secret, payload, "base64") };
    },
    takes: (secret, { payload, tag }) => line.validateSignature(payload, secret, tag),
  },
  linear: {
    sign: (secret) => {
      const payload = body(`"action": "create", "type": "Issue", "webhookId": "${randomUUID()}", "webhookTimestamp": ${Date.now()}`);
      return { payload, tag: hmac(secret, payload, "hex"), headers: { "Linear-Delivery": randomUUID(), "Linear-Event": "Issue" } };
    },
    takes: (secret, { payload, tag }) =>
      new LinearWebhookClient(secret).verify(Buffer.from(payload), tag, JSON.parse(payload).webhookTimestamp),
  },
  mux: {
    sign: (secret) => {
      const [payload, time] = [body(`"type": "video.asset.ready", "id": "${randomUUID()}"`), seconds()];
      return { payload, tag: `t=${time},v1=${hmac(secret, `${time}.${payload}`, "hex")}` };
    },
    takes: async (secret, { payload, tag }) => {
      const mux = new Mux({ tokenId: "x", tokenSecret: "x", webhookSecret: secret });
      await mux.webhooks.verifySignature(payload, { "mux-signature": tag }, secret);
      return true;
    },
  },
  paddle: {
    sign: (secret) => {
      const [payload, time] = [body(`"event_id": "evt_${id()}", "event_type": "customer.created", "data": {}`), seconds()];
      return { payload, tag: `ts=${time};h1=${hmac(secret, `${time}:${payload}`, "hex")}` };
    },
    takes: (secret, { payload, tag }) => new Paddle("key").webhooks.isSignatureValid(payload, secret, tag),
  },
  razorpay: {
    sign: (secret) => {
      const payload = body(`"event": "payment.captured", "payload": {}, "made": "${id()}"`);
      return { payload, tag: hmac(secret, payload, "hex"), headers: { "x-razorpay-event-id": id() } };
    },
    takes: (secret, { payload, tag }) => Razorpay.validateWebhookSignature(payload, tag, secret),
  },
  sanity: {
    sign: async (secret) => {
      const payload = body(`"_id": "${id()}", "_type": "post"`);
      return { payload, tag: await sanity.encodeSignatureHeader(payload, Date.now(), secret) };
    },
    takes: (secret, { payload, tag }) => sanity.isValidSignature(payload, tag, secret),
  },
  sendgrid: {
    sign: (secret, _, other) => {
      // A line end behind each event and behind the last is part of what is signed.
      const event = body(`"event": "delivered", "sg_event_id": "${id()}"`).trim();
      const [payload, time] = [`[${event}]\r\n`, seconds()];
      const key = other ?? privateKey("SDK_SENDGRID_PRIVATE_SECRET");
      const tag = signWith("sha256", Buffer.from(time + payload), key).toString("base64");
      return { payload, tag, headers: { "X-Twilio-Email-Event-Webhook-Timestamp": time } };
    },
    takes: (secret, { payload, tag, headers }) => {
      const judge = new sendgrid.EventWebhook();
      const time = headers["X-Twilio-Email-Event-Webhook-Timestamp"];
      return judge.verifySignature(judge.convertPublicKeyToECDSA(secret), payload, tag, time);
    },
    pair: "ec",
  },
  shopify: {
    sign: (secret) => {
      const payload = body(`"id": ${randomBytes(5).readUIntBE(0, 5)}`);
      const headers = {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Event-Id": randomUUID(),
        "X-Shopify-Webhook-Id": randomUUID(),
        "X-Shopify-Shop-Domain": "interop.myshopify.com",
        "X-Shopify-API-Version": "2025-10",
      };
      return { payload, tag: hmac(secret, payload, "base64"), headers };
    },
    takes: async (secret, { payload, tag, headers }) => {
      const rawRequest = { headers: { ...headers, "X-Shopify-Hmac-Sha256": tag }, method: "POST", url: "/" };
      return (await shop(secret).webhooks.validate({ rawBody: payload, rawRequest })).valid;
    },
  },
  slack: {
    sign: (secret) => {
      const payload = body(`"type": "event_callback", "event_id": "Ev${id()}", "event": {"type": "app_mention"}`);
      const time = seconds();
      return { payload, tag: `v0=${hmac(secret, `v0:${time}:${payload}`, "hex")}`, headers: { "X-Slack-Request-Timestamp": time } };
    },
    takes: (secret, { payload, tag, headers }) => {
      const given = { "x-slack-signature": tag, "x-slack-request-timestamp": Number(headers["X-Slack-Request-Timestamp"]) };
      bolt.verifySlackRequest({ signingSecret: secret, body: payload, headers: given });
      return true;
    },
  },
  square: {
    sign: (secret, path, _, base) => {
      const payload = body(`"type": "payment.created", "event_id": "${randomUUID()}"`);
      return { payload, tag: hmac(secret, base + path + payload, "base64") };
    },
    takes: (secret, { payload, tag }, path, base) =>
      Square.verifySignature({
        requestBody: payload,
        signatureHeader: tag,
        signatureKey: secret,
        notificationUrl: base + path,
      }),
  },
  stripe: {
    sign: (secret) => {
      const payload = body(`"id": "evt_${id()}", "object": "event", "type": "interop.checked", "data": {}`);
      return { payload, tag: Stripe.webhooks.generateTestHeaderString({ payload, secret }) };
    },
    takes: (secret, { payload, tag }) => Boolean(Stripe.webhooks.constructEvent(payload, tag, secret)),
  },
  twilio: {
    sign: (secret, path, _, base) => {
      const form = { MessageSid: `SM${id()}`, SmsStatus: "delivered", Body: "ça va? 100% & more = +1", n: "1.0" };
      const tag = twilio.getExpectedTwilioSignature(secret, base + path, form);
      const headers = { "Content-Type": "application/x-www-form-urlencoded" };
      return { payload: new URLSearchParams(form).toString(), tag, headers };
    },
    takes: (secret, { payload, tag }, path, base) =>
      twilio.validateRequest(secret, tag, base + path, Object.fromEntries(new URLSearchParams(payload))),
  },
  workos: {
    sign: (secret) => {
      // The library judges what it reads and writes again, so this body is one that comes out the same.
      const event = { id: `event_${id()}`, event: "user.created", data: { n: "1.0" } };
      const [payload, time] = [JSON.stringify(event), Date.now()];
      return { payload, tag: `t=${time}, v1=${hmac(secret, `${time}.${payload}`, "hex")}` };
    },
    takes: (secret, { payload, tag }) =>
      new WorkOS("sk_test").webhooks.verifyHeader({ payload: JSON.parse(payload), sigHeader: tag, secret, tolerance: 180000 }),
  },
};

for (const [source, header] of Object.entries(HEADERS)) SENDERS[source].header = header;
