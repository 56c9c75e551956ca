// Prints fresh keys for all sources as `export NAME='VALUE'` lines: nothing but the signature can make a request pass.
//
//     eval "$(node keys.mjs)"

import { generateKeyPairSync, randomBytes } from "node:crypto";

const text = () => randomBytes(24).toString("base64url");
const keys = {
  ADYEN: randomBytes(32).toString("hex"),
  CONTENTFUL: randomBytes(32).toString("hex"),
  GITHUB: text(),
  GOCARDLESS: text(),
  HUBSPOT: text(),
  LINE: text(),
  LINEAR: text(),
  MUX: text(),
  PADDLE: `pdl_ntfset_${text()}`,
  RAZORPAY: text(),
  SANITY: text(),
  SHOPIFY: text(),
  SLACK: text(),
  SQUARE: text(),
  STANDARD: `whsec_${randomBytes(32).toString("base64")}`,
  STRIPE: `whsec_${text()}`,
  SVIX: `whsec_${randomBytes(32).toString("base64")}`,
  TWILIO: randomBytes(16).toString("hex"),
  WORKOS: text(),
};

// With these two the source has the public half, and the signer the private one.
const discord = generateKeyPairSync("ed25519");
keys.DISCORD = discord.publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
keys.DISCORD_PRIVATE = discord.privateKey.export({ format: "der", type: "pkcs8" }).toString("base64");
const sendgrid = generateKeyPairSync("ec", { namedCurve: "P-256" });
keys.SENDGRID = sendgrid.publicKey.export({ format: "der", type: "spki" }).toString("base64");
keys.SENDGRID_PRIVATE = sendgrid.privateKey.export({ format: "der", type: "pkcs8" }).toString("base64");

for (const [name, value] of Object.entries(keys)) console.log(`export SDK_${name}_SECRET='${value}'`);
