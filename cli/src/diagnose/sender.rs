//! Recognises requests of another sender by a header that only that sender uses.

use std::path::Path;

use hookward_core::plugin::BuildCx;
use serde_json::json;

use super::{Guess, Trial};

/// A header that identifies a sender, the sender's name, and the provider for it, if there is one.
struct Sender {
    header: &'static str,
    name: &'static str,
    provider: Option<&'static str>,
}

const fn ours(header: &'static str, name: &'static str, provider: &'static str) -> Sender {
    Sender { header, name, provider: Some(provider) }
}

const fn other(header: &'static str, name: &'static str) -> Sender {
    Sender { header, name, provider: None }
}

const SENDERS: &[Sender] = &[
    ours("stripe-signature", "Stripe", "stripe"),
    ours("x-shopify-hmac-sha256", "Shopify", "shopify"),
    ours("x-slack-signature", "Slack", "slack"),
    ours("x-github-event", "GitHub", "github"),
    ours("x-hub-signature-256", "GitHub", "github"),
    ours("svix-signature", "Svix", "standard_webhooks"),
    ours("webhook-signature", "Standard Webhooks", "standard_webhooks"),
    ours("x-github-delivery", "GitHub", "github"),
    ours("x-shopify-topic", "Shopify", "shopify"),
    ours("x-slack-request-timestamp", "Slack", "slack"),
    other("shopify-hmac-sha256", "Shopify (events)"),
    ours("x-twilio-signature", "Twilio", "twilio"),
    ours("x-twilio-email-event-webhook-signature", "SendGrid", "sendgrid"),
    ours("x-gitlab-token", "GitLab", "gitlab"),
    ours("x-gitlab-event", "GitLab", "gitlab"),
    ours("x-event-key", "Bitbucket", "bitbucket"),
    ours("x-atlassian-webhook-identifier", "Jira", "jira"),
    ours("x-signature-ed25519", "Discord", "discord"),
    other("paypal-transmission-sig", "PayPal"),
    ours("x-square-hmacsha256-signature", "Square", "square"),
    ours("linear-signature", "Linear", "linear"),
    ours("x-zm-signature", "Zoom", "zoom"),
    ours("paddle-signature", "Paddle", "paddle"),
    ours("hmacsignature", "Adyen", "adyen"),
    ours("x-hubspot-signature-v3", "HubSpot", "hubspot"),
    ours("x-hubspot-signature", "HubSpot", "hubspot"),
    ours("x-zendesk-webhook-signature", "Zendesk", "zendesk"),
    ours("x-dropbox-signature", "Dropbox", "dropbox"),
    other("x-amz-sns-message-type", "AWS SNS"),
    ours("x-telegram-bot-api-secret-token", "Telegram", "telegram"),
    ours("typeform-signature", "Typeform", "typeform"),
    ours("calendly-webhook-signature", "Calendly", "calendly"),
    ours("twitch-eventsub-message-signature", "Twitch", "twitch"),
    ours("x-docusign-signature-1", "DocuSign", "docusign"),
    other("plaid-verification", "Plaid"),
    ours("aeg-event-type", "Azure Event Grid", "azure_event_grid"),
    ours("x-trello-webhook", "Trello", "trello"),
    ours("x-hook-signature", "Asana", "asana"),
    ours("x-pagerduty-signature", "PagerDuty", "pagerduty"),
    ours("sentry-hook-signature", "Sentry", "sentry"),
    ours("x-vercel-signature", "Vercel", "vercel"),
    ours("x-razorpay-signature", "Razorpay", "razorpay"),
    ours("x-cc-webhook-signature", "Coinbase Commerce", "coinbase_commerce"),
    ours("x-hook0-signature", "Coinbase CDP", "coinbase_cdp"),
    ours("x-buildkite-signature", "Buildkite", "buildkite"),
    ours("x-buildkite-token", "Buildkite", "buildkite"),
    ours("circleci-signature", "CircleCI", "circleci"),
    ours("x-line-signature", "LINE", "line"),
    ours("workos-signature", "WorkOS", "workos"),
    ours("mux-signature", "Mux", "mux"),
    ours("sanity-webhook-signature", "Sanity", "sanity"),
    ours("x-notion-signature", "Notion", "notion"),
    ours("x-contentful-signature", "Contentful", "contentful"),
    ours("x-webflow-signature", "Webflow", "webflow"),
    ours("x-wc-webhook-signature", "WooCommerce", "woocommerce"),
    ours("x-paystack-signature", "Paystack", "paystack"),
];

/// The senders whose headers the request has, except the header that the provider reads.
fn other_senders<'t>(trial: &'t Trial<'_>) -> impl Iterator<Item = &'static Sender> + 't {
    let ours = trial.scheme_text("/signature/name").unwrap_or_default();
    SENDERS.iter().filter(move |sender| {
        trial.request.head.headers.contains_key(sender.header)
            && !sender.header.eq_ignore_ascii_case(ours)
            && (sender.provider != Some(trial.name) || trial.name == "standard_webhooks")
    })
}

/// Verifies the request as one of that sender.
pub(super) fn others<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let guess = |sender: &Sender| {
        let descriptor = trial.registry.provider(sender.provider?)?;
        let cx = BuildCx::new(Path::new("."), descriptor.name);
        let provider = (descriptor.build)(json!({}), &cx).ok()?;
        let name = descriptor.name;
        let explanation = if name == trial.name {
            format!(
                "It carries the headers of {}, and by those it is right, but this source reads only others: leave `headers` at `auto`.",
                sender.name
            )
        } else {
            format!(
                "This is a request of {}: it carries {}, and as `{name}` it is right. Use that provider, or check why it reached this source.",
                sender.name, sender.header
            )
        };
        let trial = Trial { name, provider, with: json!({}), ..trial.clone() };
        Some(Guess { trial: trial.with_known_scheme(), explanation })
    };
    other_senders(trial).filter_map(guess).collect()
}

/// The sender that the request looks like, if it is another one.
pub(super) fn looks_like(trial: &Trial<'_>) -> Option<String> {
    let sender = other_senders(trial).find(|s| s.provider != Some(trial.name))?;
    let as_what = match sender.provider {
        Some(provider) => format!(" (provider `{provider}`)"),
        None => String::new(),
    };
    Some(format!(
        "It looks like a request of {}{as_what}, since it carries that sender's header {}: check that it reached the right source.",
        sender.name, sender.header
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_headers_are_lower_case_and_unique() {
        let mut headers: Vec<_> = SENDERS.iter().map(|s| s.header).collect();
        assert!(headers.iter().all(|h| *h == h.to_ascii_lowercase()));
        headers.sort_unstable();
        headers.dedup();
        assert_eq!(headers.len(), SENDERS.len());
    }
}
