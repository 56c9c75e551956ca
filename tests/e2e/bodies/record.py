"""Writes the recorded requests of this folder. Run it after a change: python3 record.py.

The requests have the form that the senders' pages show (cited at each); keys and contents are made
up. The time of those that sign one is fixed, so their sources have a tolerance of years.
"""

import gzip
import hashlib
import hmac
import json
import pathlib
import urllib.parse
import uuid
import zlib

FOLDER = pathlib.Path(__file__).parent
SECRET = b"a secret of the recorded requests"
TIME = "1764320000"
BOM = b"\xef\xbb\xbf"


def sha256(message):
    return hmac.new(SECRET, message, hashlib.sha256).hexdigest()


def write(name, target, headers, body=b"", method="POST"):
    headers = {"Host": "hooks.example.com", **headers}
    if method != "GET":
        headers["Content-Length"] = str(len(body))
    head = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
    data = "\r\n".join(head).encode() + b"\r\n\r\n" + body
    (FOLDER / f"{name}.http").write_bytes(data)


def github(name, body, content_type):
    write(name, "/webhooks/github", {
        "User-Agent": "GitHub-Hookshot/044aadd",
        "Content-Type": content_type,
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "X-Hub-Signature-256": "sha256=" + sha256(body),
    }, body)


def multipart(boundary, parts):
    body = b""
    for name, filename, content_type, value in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        body += f'; filename="{filename}"'.encode() if filename else b""
        body += f"\r\nContent-Type: {content_type}".encode() if content_type else b""
        body += b"\r\n\r\n" + value + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


# docs.github.com, "Creating webhooks": the content type application/x-www-form-urlencoded sends the
# JSON as the form field payload; "Validating webhook deliveries": the signature covers the body.
PAYLOAD = json.dumps({"action": "opened", "issue": {"number": 7}}).encode()
FORM = "application/x-www-form-urlencoded"
github("github_form", b"payload=" + urllib.parse.quote_plus(PAYLOAD).encode(), FORM)
github("github_json_with_mark", BOM + PAYLOAD, "application/json")
github("github_duplicate_keys", b'{"action":"closed","action":"opened"}', "application/json")
github("github_not_a_number", b'{"action":"opened","ratio":NaN}', "application/json")
github("github_half_surrogate", b'{"action":"opened","title":"\\ud83d"}', "application/json")

# support.plex.tv, "Webhooks": multipart, with the part payload and, for some events, a thumbnail.
PLEX = json.dumps({"event": "media.play", "user": True, "Metadata": {"title": "Ex"}}).encode()
PLEX_PARTS = [
    ("payload", None, "application/json", PLEX),
    ("thumb", "thumb.jpg", "image/jpeg", b"\xff\xd8\xff\xe0not really a picture\xff\xd9"),
]
write("plex", "/webhooks/plex", {
    "User-Agent": "PlexMediaServer/1.19.3",
    "Content-Type": "multipart/form-data; boundary=----------------------------2a1f9c",
}, multipart("----------------------------2a1f9c", PLEX_PARTS))

# documentation.mailgun.com, "Receiving, forwarding and storing messages": a route's POST is
# multipart where the message has attachments; timestamp, token and signature are fields.
TOKEN = "3e1b7d5c0f9a8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"
SIGNATURE = sha256((TIME + TOKEN).encode())
MAILGUN_PARTS = [
    ("recipient", None, None, b"support@example.com"),
    ("sender", None, None, b"ada@example.org"),
    ("subject", None, None, "Gr\u00fc\u00dfe".encode()),
    ("event", None, None, b"stored"),
    ("timestamp", None, None, TIME.encode()),
    ("token", None, None, TOKEN.encode()),
    ("signature", None, None, SIGNATURE.encode()),
    ("attachment-1", "notes.txt", "text/plain", b"line one\r\nline two\r\n"),
]
MULTIPART = "multipart/form-data; boundary=mailgun-7f3a"
write("mailgun_attachment", "/webhooks/mailgun", {"Content-Type": MULTIPART},
      multipart("mailgun-7f3a", MAILGUN_PARTS))
FORGED = [(n, f, t, TOKEN[::-1].encode() if n == "token" else v) for n, f, t, v in MAILGUN_PARTS]
write("mailgun_attachment_forged", "/webhooks/mailgun", {"Content-Type": MULTIPART},
      multipart("mailgun-7f3a", FORGED))
write("mailgun_broken_multipart", "/webhooks/mailgun", {"Content-Type": MULTIPART},
      multipart("mailgun-7f3a", MAILGUN_PARTS)[:-40])

# documentation.mailgun.com, "Webhooks": JSON with the signature in it. Here after a mark, and with a
# key that occurs twice.
EVENT = {"event": "failed", "id": "G9Bn5sl1TC6nu79C8C0bwg"}
MAILGUN = {"signature": {"timestamp": TIME, "token": TOKEN[1:] + "0",
                         "signature": sha256((TIME + TOKEN[1:] + "0").encode())},
           "event-data": EVENT}
write("mailgun_json_with_mark", "/webhooks/mailgun_json", {"Content-Type": "application/json"},
      BOM + json.dumps(MAILGUN).encode())
TWICE = dict(MAILGUN)
TWICE["signature"] = {"timestamp": TIME, "token": TOKEN[2:] + "00",
                      "signature": sha256((TIME + TOKEN[2:] + "00").encode())}
write("mailgun_json_duplicate_keys", "/webhooks/mailgun_json", {"Content-Type": "application/json"},
      json.dumps(TWICE).encode()[:-1] + b',"event-data":{"event":"failed"}}')
write("mailgun_json_unreadable", "/webhooks/mailgun_json", {"Content-Type": "application/json"},
      json.dumps(MAILGUN).encode()[:-2])

# twilio.com, "Setting up the Inbound Parse webhook": multipart, credentials in the URL.
PARSE_PARTS = [
    ("headers", None, None, b"Subject: Hi\n"),
    ("from", None, None, b"Ada <ada@example.org>"),
    ("to", None, None, b"in@example.com"),
    ("envelope", None, None, b'{"to":["in@example.com"],"from":"ada@example.org"}'),
    ("attachments", None, None, b"1"),
    ("attachment1", "a.csv", "text/csv", b"a,b\n1,2\n"),
]
write("sendgrid_inbound_parse", "/webhooks/parse", {
    "Authorization": "Basic c2VuZGdyaWQ6bWFpbA==",
    "Content-Type": "multipart/form-data; boundary=xYzZY",
}, multipart("xYzZY", PARSE_PARTS))

# docs.aws.amazon.com, "Amazon Data Firehose HTTP endpoint delivery": the option gzip, and an access
# key in a header of its own.
RECORDS = json.dumps({"requestId": "ed4acda5", "records": [{"data": "aGVsbG8="}] * 50}).encode()
KEY = {"X-Amz-Firehose-Access-Key": SECRET.decode(), "Content-Type": "application/json"}
for name, encoding, body in [
    ("firehose_gzip", "gzip", gzip.compress(RECORDS, mtime=0)),
    ("firehose_deflate", "deflate", zlib.compress(RECORDS)),
    ("firehose_damaged", "gzip", gzip.compress(RECORDS, mtime=0)[:-12]),
    ("firehose_bomb", "gzip", gzip.compress(b" " * (16 << 20), mtime=0)),
    ("firehose_other_encoding", "br", b"\x0b\x02\x80{}\x03"),
]:
    write(name, "/webhooks/firehose", {**KEY, "Content-Encoding": encoding}, body)

# A sender that signs before it compresses: an HTTP client that compresses on its own does.
CONTENT = json.dumps({"type": "signed.first", "id": "evt_9"}).encode()
COMPRESSED = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
write("signed_then_compressed", "/webhooks/content",
      {**COMPRESSED, "X-Signature": sha256(CONTENT)}, gzip.compress(CONTENT, mtime=0))
write("compressed_then_signed", "/webhooks/content",
      {**COMPRESSED, "X-Signature": sha256(gzip.compress(CONTENT, mtime=0))},
      gzip.compress(CONTENT, mtime=0))
write("compressed_unasked", "/webhooks/github", {**COMPRESSED, "X-GitHub-Event": "issues",
      "X-Hub-Signature-256": "sha256=" + sha256(gzip.compress(PAYLOAD, mtime=0))},
      gzip.compress(PAYLOAD, mtime=0))

# Triggers: a button or a job that calls a URL.
QUERY = urllib.parse.urlencode({"event": "pressed", "room": "k\u00fcche", "token": SECRET.decode()})
write("trigger_get_token_in_query", "/webhooks/button?" + QUERY, {}, method="GET")
write("trigger_get_wrong_token", "/webhooks/button?event=pressed&token=x", {}, method="GET")
write("trigger_get_bearer", "/webhooks/job?event=done&job=7",
      {"Authorization": "Bearer " + SECRET.decode().replace(" ", "-")}, method="GET")
write("trigger_put_bearer", "/webhooks/job", {
    "Authorization": "Bearer " + SECRET.decode().replace(" ", "-"),
    "Content-Type": "application/json",
}, b'{"event":"done","job":8}', method="PUT")
write("trigger_get_signed", "/webhooks/github?x=1", {"X-Hub-Signature-256": "sha256=" + sha256(b"")},
      method="GET")
