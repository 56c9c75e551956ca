"""Signs with the providers' own Python libraries and posts to a running Hookward.

    python sign.py [BASE_URL]        (run.sh starts the server and sets the secrets)

Each source is sent four requests: as signed, with another body, with another signature, signed with another secret. The library's
own verifier judges each one too, and both must say what is expected. Without a BASE_URL only the library judges. One line per
request; ends with 1 if one is not as expected. The JavaScript libraries of these and other senders are in senders.mjs.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

import slack_sdk.signature
import standardwebhooks.webhooks
import stripe
import svix.webhooks

# Spaces, an escape, letters outside ASCII and a line end: what a server that parses and writes again would change.
REST = '"note" : "caf\\u00e9 – ça va? ♥",\t"n":1.0 }\n'


def sign_stripe(secret):
    body = f'{{ "id": "evt_{secrets.token_hex(8)}", "object": "event", "type": "interop.checked", "data": {{}}, {REST}'
    return body, {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, secret)}


def stripe_takes(secret, body, headers):
    stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], secret, 300)
    return True


def sign_slack(secret):
    body = f'{{ "type": "event_callback", "event_id": "Ev{secrets.token_hex(5)}", "event": {{"type": "app_mention"}}, {REST}'
    now = str(int(time.time()))
    signature = slack_sdk.signature.SignatureVerifier(secret).generate_signature(timestamp=now, body=body)
    return body, {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": signature}


def slack_takes(secret, body, headers):
    return slack_sdk.signature.SignatureVerifier(secret).is_valid_request(body, headers)


def sign_shopify(secret):
    """Shopify publishes no Python library that signs; this is the check of its documentation, turned round."""
    body = f'{{ "id": {secrets.randbits(52) + 1}, {REST}'
    return body, {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Event-Id": str(uuid.uuid4()),
        "X-Shopify-Webhook-Id": str(uuid.uuid4()),
        "X-Shopify-Shop-Domain": "interop.myshopify.com",
        "X-Shopify-Hmac-Sha256": shopify_tag(secret, body),
    }


def shopify_tag(secret, body):
    return base64.b64encode(hmac.new(secret.encode(), body.encode(), hashlib.sha256).digest()).decode()


def shopify_takes(secret, body, headers):
    return hmac.compare_digest(shopify_tag(secret, body), headers["X-Shopify-Hmac-Sha256"])


def standard(webhook, prefix):
    """The two libraries of one scheme differ in the names of their headers."""

    def sign(secret):
        body = f'{{ "type": "interop.checked", "timestamp": "2025-10-09T10:00:00Z", "data": {{}}, {REST}'
        message, now = f"msg_{secrets.token_hex(12)}", datetime.now(timezone.utc)
        return body, {
            f"{prefix}-id": message,
            f"{prefix}-timestamp": str(int(now.timestamp())),
            f"{prefix}-signature": webhook(secret).sign(message, now, body),
        }

    def takes(secret, body, headers):
        webhook(secret).verify(body, headers)
        return True

    return sign, takes


# source: (the variable with its secret, how it is signed, whether its own library takes it, the header with the tag)
SOURCES = {
    "stripe": ("SDK_STRIPE_SECRET", sign_stripe, stripe_takes, "Stripe-Signature"),
    "slack": ("SDK_SLACK_SECRET", sign_slack, slack_takes, "X-Slack-Signature"),
    "shopify": ("SDK_SHOPIFY_SECRET", sign_shopify, shopify_takes, "X-Shopify-Hmac-Sha256"),
    "standard": ("SDK_STANDARD_SECRET", *standard(standardwebhooks.webhooks.Webhook, "webhook"), "webhook-signature"),
    "svix": ("SDK_SVIX_SECRET", *standard(svix.webhooks.Webhook, "svix"), "svix-signature"),
}

REFUSALS = (
    ValueError,
    stripe.SignatureVerificationError,
    standardwebhooks.webhooks.WebhookVerificationError,
)


def another_tag(value):
    """The same header with one character of its tag changed: well-formed still, and of the same length."""
    start = re.search(r"[A-Za-z0-9+/]+=*$", value).start()
    return value[:start] + ("b" if value[start] == "a" else "a") + value[start + 1 :]


def another_secret(secret):
    prefix = "whsec_" if secret.startswith("whsec_") else ""
    return prefix + base64.b64encode(secrets.token_bytes(32)).decode()


def cases(secret, sign, tag):
    """Name, body, headers, expected status. Each is signed anew, so that none is a duplicate of another."""
    body, headers = sign(secret)
    yield "as signed", body, headers, 200
    body, headers = sign(secret)
    yield "another body", body.replace('"n":1.0', '"n":1.1'), headers, 401
    body, headers = sign(secret)
    yield "another signature", body, headers | {tag: another_tag(headers[tag])}, 401
    body, headers = sign(another_secret(secret))
    yield "another secret", body, headers, 401


def taken(takes, secret, body, headers):
    try:
        return bool(takes(secret, body, headers))
    except REFUSALS:
        return False


def post(url, body, headers):
    """Status and the code of the answer, where it has one."""
    headers = headers | {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body.encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, None
    except urllib.error.HTTPError as error:
        answer = error.read()
        try:
            return error.code, json.loads(answer).get("code")
        except ValueError:
            return error.code, None


def main():
    base = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else None
    wrong = 0
    for source, (variable, sign, takes, tag) in SOURCES.items():
        secret = os.environ[variable]
        for name, body, headers, expected in cases(secret, sign, tag):
            by_library = taken(takes, secret, body, headers)
            right = by_library == (expected == 200)
            line = f"{source:<9} {name:<18} library {'takes' if by_library else 'refuses'} it"
            if base:
                status, code = post(f"{base}/webhooks/{source}", body, headers)
                right = right and (status, code) == (expected, None if expected == 200 else "INVALID_SIGNATURE")
                line += f", hookward {status} {code or ''}".rstrip()
            print(f"{'ok   ' if right else 'WRONG'} {line}")
            wrong += not right
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
