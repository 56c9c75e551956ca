//! Amazon SNS: messages that AWS signs with the key of a certificate from its own hosts.
//!
//! The signature proves that AWS sent a message, but for any customer's topic. `topics` lists the
//! topics that are trusted and whose subscriptions are confirmed.
#![warn(missing_docs)]

mod handshake;
mod message;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::crypto::Encoding;
use hookward_core::keys::KeyRequest;
use hookward_core::keys::x509::{Certificates, TrustedIssuers};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, ProviderEventId, Request, RequestPart, SampleEvent,
    Verification, Verified, VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;

use message::{Kind, Message};

hookward_core::register_provider!(AwsSnsConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsSnsConfig {
    /// ARNs of the topics that are trusted. Their subscriptions are confirmed; messages of other
    /// topics are rejected.
    #[serde(default)]
    topics: Vec<String>,
    /// Whether messages with signature version 1 (SHA-1) are rejected. Version 2 is an attribute of
    /// a topic: `SignatureVersion: 2`.
    #[serde(default)]
    require_version_2: bool,
    /// The certificates, in PEM, of the authorities that may have issued the certificate of SNS.
    /// Read them from a file with `${file:issuers.pem}`. Certificates of other issuers are
    /// rejected.
    #[serde(default)]
    trusted_issuers: Option<String>,
}

impl ProviderConfig for AwsSnsConfig {
    const NAME: &'static str = "aws_sns";
    const SUMMARY: &'static str = "Amazon SNS over HTTP, signed with a certificate of AWS";
    // SNS sends `text/plain` unless the delivery policy of the subscription sets another type.
    const MEDIA_TYPES: &'static [&'static str] = &["text/plain", "application/json"];
    const NEEDS_SECRET: bool = false;
    const KEEP_HEADERS: &'static [&'static str] =
        &["x-amz-sns-message-type", "x-amz-sns-topic-arn", "x-amz-sns-subscription-arn"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        for (n, topic) in self.topics.iter().enumerate() {
            if topic.split(':').count() != 6 || !topic.starts_with("arn:aws") {
                let found = format!("`{topic}` is not the ARN of a topic");
                let help = "write it in full, such as arn:aws:sns:eu-west-1:123456789012:orders";
                return Err(BuildError::at(format!("/topics/{n}"), found).help(help));
            }
        }
        let read = |pem: &String| TrustedIssuers::from_pem(pem, "/trusted_issuers");
        Ok(Arc::new(AwsSns {
            trusted_issuers: self.trusted_issuers.as_ref().map(read).transpose()?,
            topics: self.topics,
            require_version_2: self.require_version_2,
        }))
    }
}

#[derive(Debug)]
struct AwsSns {
    topics: Vec<String>,
    require_version_2: bool,
    trusted_issuers: Option<TrustedIssuers>,
}

impl AwsSns {
    /// Verifies that AWS sent the message and that its topic is trusted.
    async fn prove(&self, message: &Message<'_>, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let document = cx.keys.fetch(&KeyRequest::for_url(message.certificate_url)).await?;
        let certificates = Certificates::from_pem(&document)?;
        certificates.check_validity(cx.now)?;
        let names = message.certificate_names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match &self.trusted_issuers {
            Some(issuers) => certificates.check_chain_to(issuers, &names, cx.now)?,
            // SNS serves its certificate without intermediates, so it is trusted because it came
            // over https from an SNS host.
            None if certificates.is_leaf_only() => {}
            None => certificates.check_chain(&names, cx.now)?,
        }
        let (signed, signature) = (message.signed_text(), message.signature);
        let key = certificates.key();
        key.verify(message.version.algorithm(), signed.as_bytes(), signature, Encoding::Base64)?;
        message.check_time(cx)?;
        let topics = &self.topics;
        if topics.is_empty() || topics.iter().any(|own| own == message.topic) {
            return Ok(());
        }
        Err(VerifyError::invalid_claim("the topic of the message is not in `topics`"))
    }
}

#[async_trait]
impl Provider for AwsSns {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        // Raw delivery sends the bare message, without any signature.
        if head.single("x-amz-sns-rawdelivery")?.is_some_and(|raw| raw != "false") {
            return Err(VerifyError::invalid_format(
                "the message is delivered raw, without a signature; turn raw message delivery off",
            ));
        }
        Kind::parse(head.required("x-amz-sns-message-type")?).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        self.precheck(&request.head)?;
        let body = request.body.json_for_proof().map_err(VerifyError::unreadable_proof)?;
        let message = Message::read(body.value(), self.require_version_2)?;
        self.prove(&message, cx).await?;
        Ok(match message.kind {
            Kind::SubscriptionConfirmation => {
                Verification::Handshake(handshake::answer(&message, !self.topics.is_empty())?)
            }
            _ => Verification::Genuine { secret: 0 },
        })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let body = delivery.json().map_err(|e| IdentifyError::new(e.to_string()))?;
        let text = |name: &str| {
            let text = body.get(name).and_then(serde_json::Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let event_id = text("MessageId").map(ProviderEventId::signed);
        Ok(vec![Identity::new().with_event_type(text("Type")).with_event_id(event_id)])
    }

    /// The id of a message that is proven and cannot be identified, because its JSON is read in two
    /// ways. The signature leaves other members open, so that one captured message could be stored
    /// in any number of such bodies.
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        if delivery.json().is_ok() {
            return None;
        }
        let body = delivery.body().json_for_proof().ok()?;
        body.value().get("MessageId")?.as_str().map(str::to_owned)
    }

    /// Type, id, message, subject, topic and time of the body are signed; no header is.
    fn signs(&self, part: RequestPart<'_>) -> bool {
        !matches!(part, RequestPart::Header(_))
    }

    fn config_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.topics.is_empty() {
            warnings.push(
                "every topic of every AWS customer is trusted, and no subscription is confirmed; \
                 set `topics` to the ARNs of your topics"
                    .to_owned(),
            );
        }
        if self.trusted_issuers.is_none() {
            warnings.push(
                "whoever can answer for a host of SNS can sign with a certificate of any issuer; \
                 set `trusted_issuers` to the certificates, in PEM, of Amazon's certificate \
                 authorities"
                    .to_owned(),
            );
        }
        warnings
    }
}
