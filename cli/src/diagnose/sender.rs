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

const fn sender_with_provider(
    header: &'static str,
    name: &'static str,
    provider: &'static str,
) -> Sender {
    Sender { header, name, provider: Some(provider) }
}

const fn sender_without_provider(header: &'static str, name: &'static str) -> Sender {
    Sender { header, name, provider: None }
}

const SENDERS: &[Sender] = &[
    sender_with_provider("stripe-signature", "Stripe", "stripe"),
    sender_with_provider("x-shopify-hmac-sha256", "Shopify", "shopify"),
    sender_with_provider("x-slack-signature", "Slack", "slack"),
    sender_with_provider("x-github-event", "GitHub", "github"),
    sender_with_provider("x-hub-signature-256", "GitHub", "github"),
    sender_with_provider("svix-signature", "Svix", "standard_webhooks"),
    sender_with_provider("webhook-signature", "Standard Webhooks", "standard_webhooks"),
    sender_with_provider("x-github-delivery", "GitHub", "github"),
    sender_with_provider("x-shopify-topic", "Shopify", "shopify"),
    sender_with_provider("x-slack-request-timestamp", "Slack", "slack"),
    sender_without_provider("shopify-hmac-sha256", "Shopify (events)"),
    sender_with_provider("x-twilio-signature", "Twilio", "twilio"),
    sender_with_provider("x-twilio-email-event-webhook-signature", "SendGrid", "sendgrid"),
    sender_with_provider("x-gitlab-token", "GitLab", "gitlab"),
    sender_with_provider("x-gitlab-event", "GitLab", "gitlab"),
    sender_with_provider("x-event-key", "Bitbucket", "bitbucket"),
    sender_with_provider("x-atlassian-webhook-identifier", "Jira", "jira"),
    sender_with_provider("x-signature-ed25519", "Discord", "discord"),
    sender_without_provider("paypal-transmission-sig", "PayPal"),
    sender_with_provider("x-square-hmacsha256-signature", "Square", "square"),
    sender_with_provider("linear-signature", "Linear", "linear"),
    sender_with_provider("x-zm-signature", "Zoom", "zoom"),
    sender_with_provider("paddle-signature", "Paddle", "paddle"),
    sender_with_provider("hmacsignature", "Adyen", "adyen"),
    sender_with_provider("x-hubspot-signature-v3", "HubSpot", "hubspot"),
    sender_with_provider("x-hubspot-signature", "HubSpot", "hubspot"),
    sender_with_provider("x-zendesk-webhook-signature", "Zendesk", "zendesk"),
    sender_with_provider("x-dropbox-signature", "Dropbox", "dropbox"),
    sender_without_provider("x-amz-sns-message-type", "AWS SNS"),
    sender_with_provider("x-telegram-bot-api-secret-token", "Telegram", "telegram"),
    sender_with_provider("typeform-signature", "Typeform", "typeform"),
    sender_with_provider("calendly-webhook-signature", "Calendly", "calendly"),
    sender_with_provider("twitch-eventsub-message-signature", "Twitch", "twitch"),
    sender_with_provider("x-docusign-signature-1", "DocuSign", "docusign"),
    sender_without_provider("plaid-verification", "Plaid"),
    sender_with_provider("aeg-event-type", "Azure Event Grid", "azure_event_grid"),
    sender_with_provider("x-trello-webhook", "Trello", "trello"),
    sender_with_provider("x-hook-signature", "Asana", "asana"),
    sender_with_provider("x-pagerduty-signature", "PagerDuty", "pagerduty"),
    sender_with_provider("sentry-hook-signature", "Sentry", "sentry"),
    sender_with_provider("x-vercel-signature", "Vercel", "vercel"),
    sender_with_provider("x-razorpay-signature", "Razorpay", "razorpay"),
    sender_with_provider("x-cc-webhook-signature", "Coinbase Commerce", "coinbase_commerce"),
    sender_with_provider("x-hook0-signature", "Coinbase CDP", "coinbase_cdp"),
    sender_with_provider("x-buildkite-signature", "Buildkite", "buildkite"),
    sender_with_provider("x-buildkite-token", "Buildkite", "buildkite"),
    sender_with_provider("circleci-signature", "CircleCI", "circleci"),
    sender_with_provider("x-line-signature", "LINE", "line"),
    sender_with_provider("workos-signature", "WorkOS", "workos"),
    sender_with_provider("mux-signature", "Mux", "mux"),
    sender_with_provider("sanity-webhook-signature", "Sanity", "sanity"),
    sender_with_provider("x-notion-signature", "Notion", "notion"),
    sender_with_provider("x-contentful-signature", "Contentful", "contentful"),
    sender_with_provider("x-webflow-signature", "Webflow", "webflow"),
    sender_with_provider("x-wc-webhook-signature", "WooCommerce", "woocommerce"),
    sender_with_provider("x-paystack-signature", "Paystack", "paystack"),
];

/// The senders whose headers the request has, except the header that the provider reads.
fn other_senders<'t>(trial: &'t Trial<'_>) -> impl Iterator<Item = &'static Sender> + 't {
    let own_header = trial.scheme_text("/signature/name").unwrap_or_default();
    SENDERS.iter().filter(move |sender| {
        trial.request.head.headers.contains_key(sender.header)
            && !sender.header.eq_ignore_ascii_case(own_header)
            && (sender.provider != Some(trial.name) || trial.name == "standard_webhooks")
    })
}

/// Verifies the request as one of that sender.
pub(super) fn other_providers<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
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
pub(super) fn describe_other_sender(trial: &Trial<'_>) -> Option<String> {
    let sender = other_senders(trial).find(|s| s.provider != Some(trial.name))?;
    let provider_note = match sender.provider {
        Some(provider) => format!(" (provider `{provider}`)"),
        None => String::new(),
    };
    Some(format!(
        "It looks like a request of {}{provider_note}, since it carries that sender's header {}: check that it reached the right source.",
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
