//! Writes the page of senders: `cargo run -p hookward-provider-catalogue --example page > docs/providers.md`.
//! A test compares the page with what this prints.

use std::fmt::Write as _;

use hookward_core::plugin::BuildError;
use hookward_provider_catalogue::{DATA, Entry};
use serde_json::Value;

const HEAD: &str = "\
# Senders

<!-- Made from providers/catalogue/data: cargo run -p hookward-provider-catalogue --example page > docs/providers.md -->

A source names its sender with `provider:`. These have a crate of their own, since they need code, schemas
or a choice of headers; their pages say what their signatures cover:

| provider | sender |
| --- | --- |
| [`adyen`](../providers/adyen) | Adyen payment notifications and platform webhooks |
| [`asana`](../providers/asana) | Asana; takes over the secret that Asana makes up |
| [`aws_sns`](../providers/aws-sns) | Amazon SNS; confirms subscriptions of topics that are named |
| [`azure_event_grid`](../providers/azure-event-grid) | Azure Event Grid, in its own schema or as CloudEvents |
| [`cloudevents`](../providers/cloudevents) | CloudEvents from anyone, structured, binary or in batches |
| [`contentful`](../providers/contentful) | Contentful |
| [`discord`](../providers/discord) | Discord interactions and webhook events |
| [`dropbox`](../providers/dropbox) | Dropbox |
| [`github`](../providers/github) | GitHub |
| [`google_pubsub`](../providers/google-pubsub) | Google Cloud Pub/Sub push |
| [`hubspot`](../providers/hubspot) | HubSpot |
| [`mailgun`](../providers/mailgun) | Mailgun |
| [`meta`](../providers/meta) | Facebook, Instagram, Messenger, WhatsApp |
| [`microsoft_graph`](../providers/microsoft-graph) | Microsoft Graph change and lifecycle notifications |
| [`notion`](../providers/notion) | Notion; takes over the token that Notion makes up |
| [`okta`](../providers/okta) | Okta event hooks |
| [`paypal`](../providers/paypal) | PayPal |
| [`plaid`](../providers/plaid) | Plaid |
| [`sendgrid`](../providers/sendgrid) | SendGrid Event Webhook |
| [`shopify`](../providers/shopify) | Shopify |
| [`slack`](../providers/slack) | Slack |
| [`standard_webhooks`](../providers/standard-webhooks) | everyone who signs by Standard Webhooks, with `webhook-*` or `svix-*` headers |
| [`stripe`](../providers/stripe) | Stripe |
| [`trello`](../providers/trello) | Trello |
| [`twilio`](../providers/twilio) | Twilio |
| [`twitch`](../providers/twitch) | Twitch EventSub |
| [`zoom`](../providers/zoom) | Zoom |
| [`hmac`](../providers/hmac) | anyone else whose signature can be described, in routes.yaml |
| [`http_message_signatures`](../providers/http-message-signatures) | anyone who signs by RFC 9421 |
| [`basic`](../providers/basic) | anyone else who presents a user and a password |
| [`bearer`](../providers/bearer) | anyone else who presents a token |
| [`jwt`](../providers/jwt) | anyone else who presents a token (JWT) of an issuer with published keys |
| [`none`](../providers/none) | nobody in particular: it verifies nothing |

The others are data: a file each in [`providers/catalogue/data`](../providers/catalogue/data), and requests with
the verdict they must get in [`providers/catalogue/tests/vectors`](../providers/catalogue/tests/vectors). All look like

```yaml
sources:
  gitlab:
    secrets: [\"${GITLAB_WEBHOOK_SIGNING_TOKEN}\"]
    with: { scheme: signing }        # only where the table shows several ways
```

*Replay* says how old a request may be; where no time is signed, one that was captured stays valid for ever,
and only the dedupe keys tell a repetition, for as long as they are kept. A *token* proves who sent a request and nothing about its bytes.
An id or type in *italics* is not covered by the signature.

";

fn main() -> Result<(), BuildError> {
    print!("{}", page()?);
    Ok(())
}

/// The page.
pub fn page() -> Result<String, BuildError> {
    let mut table = String::from(
        "| provider | way | proof | event type | event id | replay |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut notes = String::new();
    for (_, text) in DATA {
        let entry = Entry::from_json(text)?;
        for (n, (way, scheme)) in entry.ways().into_iter().enumerate() {
            let way = match (way, n) {
                ("", _) => String::new(),
                (way, 0) => format!("`{way}` (default)"),
                (way, _) => format!("`{way}`"),
            };
            let [kind, id] = ["event_type", "event_id"].map(|key| place(scheme, key));
            let kind = if kind.is_empty() { "`event`, always".to_owned() } else { kind };
            let id = if id.is_empty() { "none".to_owned() } else { id };
            let row = [proof(scheme), kind, id, replay(scheme)].join(" | ");
            line(&mut table, &format!("| `{}` | {way} | {row} |", entry.name));
        }
        line(&mut notes, &format!("\n## {}\n", entry.title));
        line(&mut notes, &format!("`provider: {}`. {}.", entry.name, entry.summary));
        if let Some(source) = &entry.source {
            line(&mut notes, &format!("Its own page: <{source}>."));
        }
        line(&mut notes, &format!("\n{}", evidence(&entry.name)?));
        line(&mut notes, &format!("\nNot covered by the signature, and to know: {}", entry.notes));
    }
    Ok(format!("{HEAD}{table}{notes}"))
}

/// What shows that the description is right.
fn evidence(name: &str) -> Result<String, BuildError> {
    let file = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let unread = |e: &dyn std::fmt::Display| BuildError::at("", format!("{file}: {e}"));
    let text = std::fs::read_to_string(&file).map_err(|e| unread(&e))?;
    let file: Value = serde_json::from_str(&text).map_err(|e| unread(&e))?;
    let all: Vec<_> = file.get("vectors").and_then(Value::as_array).into_iter().flatten().collect();
    let published = |v: &Value| v.get("published").is_some_and(|p| p == true);
    let own = all.iter().filter(|v| published(v)).count();
    let judged = |v: &Value| {
        let by = v.get("sdk").and_then(Value::as_array).into_iter().flatten();
        let mut names = by.filter_map(|s| s.get("sdk")?.as_str());
        names.any(|name| !name.starts_with("(third party)"))
    };
    let judged = all.iter().filter(|v| judged(v)).count();
    let mut says = format!("Evidence: {} requests", all.len());
    match (own, judged) {
        (0, 0) => says.push_str(
            ", all made from a description of the scheme: none that the sender published was found, so try a real one \
             with `hookward verify` before you rely on it.",
        ),
        _ => {
            if own > 0 {
                let _ = write!(says, "; {own} published, by the sender or in its libraries' tests");
            }
            if judged > 0 {
                let _ = write!(says, "; {judged} also judged by the libraries that receivers use");
            }
            says.push('.');
        }
    }
    Ok(says)
}

fn line(text: &mut String, line: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{line}");
}

/// What is checked, and where it stands.
fn proof(scheme: &Value) -> String {
    let text = |pointer: &str| scheme.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let place = match text("/signature/in") {
        "header" => format!("`{}`", text("/signature/name")),
        "form" => format!("form field `{}`", text("/signature/name")),
        other => format!("{other} `{}`", text("/signature/name")),
    };
    match text("/alg") {
        "equal" => format!("{place}: a token"),
        alg => {
            let message = if text("/message").is_empty() { "{body}" } else { text("/message") };
            let encoding = text("/signature/encoding");
            format!("{place}: {alg} of `{message}`, {encoding}")
        }
    }
}

/// Where a name stands; in italics where the signature does not cover it.
fn place(scheme: &Value, key: &str) -> String {
    let all: Vec<_> = match scheme.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        one => one.and_then(Value::as_str).into_iter().collect(),
    };
    let message = scheme.get("message").and_then(Value::as_str).unwrap_or("{body}");
    let is_token = scheme.get("alg").is_some_and(|alg| alg == "equal");
    let signed = |address: &str| match address.strip_prefix("header:") {
        Some(_) => !is_token && message.contains(&format!("{{{address}}}")),
        None => !is_token && message.contains("{body}"),
    };
    let one = |address: &&str| {
        let shown = match address.strip_prefix("header:") {
            Some(name) => format!("header `{name}`"),
            None => format!("`{address}`"),
        };
        if signed(address) { shown } else { format!("*{shown}*") }
    };
    all.iter().map(one).collect::<Vec<_>>().join(", else ")
}

fn replay(scheme: &Value) -> String {
    let window = |key: &str| scheme.get("timestamp")?.get(key)?.as_u64();
    match (window("past"), window("future")) {
        (Some(past), Some(future)) if past == future => format!("{past} s either way"),
        (Some(past), Some(future)) => format!("{past} s old, {future} s ahead"),
        _ => "no time signed".to_owned(),
    }
}
