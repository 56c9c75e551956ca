//! Parses an SNS message and builds the text that its signature covers (SNS Developer Guide,
//! "Verifying the signatures of Amazon SNS messages").

use std::fmt::Write as _;

use hookward_core::crypto::ProofAlgorithm;
use hookward_core::keys::split_https_url;
use hookward_core::{Timestamp, VerifyCx, VerifyError};
use serde_json::{Map, Value};

/// Purpose of a message, in its member `Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Notification,
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

/// Signature version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// A well-formed message. Nothing in it is trusted before its signature is verified.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: Kind,
    pub(crate) version: Version,
    pub(crate) topic: &'a str,
    /// URL of the certificate, on an SNS host.
    pub(crate) certificate_url: &'a str,
    pub(crate) signature: &'a str,
    members: &'a Map<String, Value>,
}

impl Kind {
    pub(crate) fn parse(text: &str) -> Result<Self, VerifyError> {
        match text {
            "Notification" => Ok(Self::Notification),
            "SubscriptionConfirmation" => Ok(Self::SubscriptionConfirmation),
            "UnsubscribeConfirmation" => Ok(Self::UnsubscribeConfirmation),
            _ => Err(VerifyError::invalid_format(
                "the message type is not Notification, SubscriptionConfirmation or UnsubscribeConfirmation",
            )),
        }
    }

    /// The signed members, in order. Only `Subject` may be absent.
    fn signed_members(self) -> &'static [&'static str] {
        match self {
            Self::Notification => {
                &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
            }
            Self::SubscriptionConfirmation | Self::UnsubscribeConfirmation => {
                &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
            }
        }
    }
}

impl Version {
    pub(crate) fn algorithm(self) -> ProofAlgorithm {
        match self {
            Self::One => ProofAlgorithm::RsaSha1,
            Self::Two => ProofAlgorithm::RsaSha256,
        }
    }
}

impl<'a> Message<'a> {
    /// Parses a body. Rejects a message whose certificate is not on an SNS host.
    pub(crate) fn read(json: &'a Value, require_version_2: bool) -> Result<Self, VerifyError> {
        let members = json.as_object().ok_or_else(|| {
            VerifyError::invalid_format("the body is not an SNS message: it is not a JSON object")
        })?;
        let kind = Kind::parse(text(members, "Type")?)?;
        let version = match text(members, "SignatureVersion")? {
            "1" if require_version_2 => {
                return Err(VerifyError::invalid_format(
                    "the message is signed with SHA-1, which `require_version_2` rejects",
                ));
            }
            "1" => Version::One,
            "2" => Version::Two,
            _ => {
                return Err(VerifyError::invalid_format("SignatureVersion is neither 1 nor 2"));
            }
        };
        let certificate_url = text(members, "SigningCertURL")?;
        let pinned = split_https_url(certificate_url).is_some_and(|(host, path)| {
            is_sns_host(host) && path.ends_with(".pem") && !path.contains('?')
        });
        if !pinned {
            return Err(VerifyError::invalid_format(
                "SigningCertURL is not a .pem file on an SNS host",
            ));
        }
        for name in kind.signed_members().iter().filter(|name| **name != "Subject") {
            text(members, name)?;
        }
        if !matches!(members.get("Subject"), None | Some(Value::Null | Value::String(_))) {
            return Err(VerifyError::invalid_format("Subject of the message is not a string"));
        }
        let (topic, signature) = (text(members, "TopicArn")?, text(members, "Signature")?);
        let message = Self { kind, version, topic, certificate_url, signature, members };
        // Line feeds separate the names and values of the signed text. With a line feed in any
        // value but the message itself, two different messages could have the same signed text.
        let has_line_feed =
            |name: &&&str| message.get(name).is_some_and(|text| text.contains('\n'));
        match kind.signed_members().iter().skip(1).find(has_line_feed) {
            Some(name) => {
                Err(VerifyError::invalid_format(format!("{name} has more than one line")))
            }
            None => Ok(message),
        }
    }

    /// Returns the text that the signature covers.
    pub(crate) fn signed_text(&self) -> String {
        let mut signed = String::new();
        for name in self.kind.signed_members() {
            if let Some(value) = self.get(name) {
                let _ = writeln!(signed, "{name}\n{value}");
            }
        }
        signed
    }

    /// Host names, one of which the certificate must name where its chain is checked. They belong
    /// to the region of the certificate's URL, as in AWS's SDK for Java (`SnsHostProvider` of
    /// <https://github.com/aws/aws-sdk-java-v2/tree/master/services-custom/sns-message-manager>).
    pub(crate) fn certificate_names(&self) -> Vec<String> {
        let host = split_https_url(self.certificate_url).map(|(host, _)| host).unwrap_or_default();
        certificate_names(host)
    }

    /// URL that confirms the subscription; `None` unless it is on an SNS host.
    pub(crate) fn subscribe_url(&self) -> Option<&'a str> {
        let url = self.get("SubscribeURL")?;
        split_https_url(url).filter(|(host, _)| is_sns_host(host)).map(|_| url)
    }

    /// Checks the age of the message if the source sets a tolerance. SNS documents no limit.
    pub(crate) fn check_time(&self, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let Some(tolerance) = cx.tolerance else { return Ok(()) };
        let time = self.get("Timestamp").and_then(Timestamp::parse_rfc3339);
        let time =
            time.ok_or_else(|| VerifyError::invalid_format("Timestamp is not an RFC 3339 time"))?;
        cx.check_time(time, tolerance, tolerance)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.members.get(name).and_then(Value::as_str)
    }
}

/// Returns a required string member; only `Message` may be empty.
fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, VerifyError> {
    match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() || name == "Message" => Ok(text),
        None => Err(VerifyError::missing_signature(format!("{name} of the message"))),
        Some(_) => Err(VerifyError::invalid_format(format!(
            "{name} of the message is not a non-empty string"
        ))),
    }
}

/// Returns whether a host is `sns.REGION.amazonaws.com`, or the same with `.cn`. The form of a
/// region is checked in full, because a similar name may be another service:
/// `sns.s3-us-west-2.amazonaws.com` is somebody's S3 bucket.
fn is_sns_host(host: &str) -> bool {
    let region = host.strip_prefix("sns.").and_then(|rest| {
        let rest = rest.strip_suffix(".cn").unwrap_or(rest);
        rest.strip_suffix(".amazonaws.com")
    });
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    region.and_then(|region| region.rsplit_once('-')).is_some_and(|(place, number)| {
        place.contains('-')
            && place.split('-').all(word)
            && (1..=2).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Names that a certificate on this SNS host may have.
fn certificate_names(host: &str) -> Vec<String> {
    let Some(rest) = host.strip_prefix("sns.") else { return Vec::new() };
    let mut names = vec![host.to_owned(), format!("sns-signing.{rest}"), format!("sns-{rest}")];
    if !host.ends_with(".cn") {
        names.push("sns.amazonaws.com".to_owned());
    }
    // Both regions of the GovCloud have the certificate of one.
    if rest.starts_with("us-gov-") {
        names.push("sns-us-gov-west-1.amazonaws.com".to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_may_have_the_names_of_its_own_region_alone() {
        let names = |host: &str| certificate_names(host).join(" ");
        assert_eq!(
            names("sns.af-south-1.amazonaws.com"),
            "sns.af-south-1.amazonaws.com sns-signing.af-south-1.amazonaws.com \
             sns-af-south-1.amazonaws.com sns.amazonaws.com"
        );
        assert!(names("sns.us-gov-east-1.amazonaws.com").contains("sns-us-gov-west-1."));
        let china = names("sns.cn-north-1.amazonaws.com.cn");
        assert!(china.contains("sns-cn-north-1.amazonaws.com.cn"), "{china}");
        assert!(!china.contains("sns.amazonaws.com"), "{china}");
    }

    #[test]
    fn only_sns_hosts_are_accepted() {
        for host in [
            "sns.us-west-2.amazonaws.com",
            "sns.us-gov-west-1.amazonaws.com",
            "sns.ap-southeast-7.amazonaws.com",
            "sns.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is_sns_host(host), "{host}");
        }
        for host in [
            "sns.amazonaws.com",
            "sns.us.amazonaws.com",
            "sns.us-west-2.amazonaws.com.evil.example",
            "evil.sns.us-west-2.amazonaws.com",
            "sns.a.b.amazonaws.com",
            "snsx.us-west-2.amazonaws.com",
            "s3.us-west-2.amazonaws.com",
            "SNS.us-west-2.amazonaws.com",
            "sns.s3-us-west-2.amazonaws.com",
            "sns.s3-accelerate.amazonaws.com",
            "sns.s3-website-us-west-2.amazonaws.com",
            "sns.execute-api.amazonaws.com",
            "sns.us-west-2-.amazonaws.com",
            "sns.-us-west-2.amazonaws.com",
        ] {
            assert!(!is_sns_host(host), "{host}");
        }
    }

    fn read(change: &[(&str, Value)]) -> Result<String, &'static str> {
        let mut body = serde_json::json!({
            "Type": "Notification",
            "Message": "m\nMessageId\nx",
            "MessageId": "1",
            "Timestamp": "2025-10-09T08:53:20.000Z",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
            "SignatureVersion": "2",
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/a.pem",
            "Signature": "AA=="
        });
        for (name, value) in change {
            body[*name] = value.clone();
        }
        Message::read(&body, false).map(|m| m.signed_text()).map_err(|e| e.code())
    }

    #[test]
    fn the_signed_text_has_the_subject_only_if_the_message_has_one() {
        let arn = "TopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\nType\nNotification\n";
        let start = "Message\nm\nMessageId\nx\nMessageId\n1\n";
        let time = "Timestamp\n2025-10-09T08:53:20.000Z\n";
        assert_eq!(read(&[]), Ok(format!("{start}{time}{arn}")));
        assert_eq!(read(&[("Subject", Value::Null)]), Ok(format!("{start}{time}{arn}")));
        let with = read(&[("Subject", "s".into())]);
        assert_eq!(with, Ok(format!("{start}Subject\ns\n{time}{arn}")));
    }

    #[test]
    fn ambiguous_signed_texts_and_foreign_hosts_are_rejected() {
        for (name, value) in [
            ("Subject", "a\nb"),
            ("MessageId", "1\nSubject\ns"),
            ("TopicArn", "a\nb"),
            ("Timestamp", "a\nb"),
            ("Subject", "s\n"),
            ("Type", "Other"),
            ("SignatureVersion", "3"),
            ("SigningCertURL", "http://sns.us-west-2.amazonaws.com/a.pem"),
            ("SigningCertURL", "https://sns.us-west-2.amazonaws.com/a.txt"),
            ("SigningCertURL", "https://sns.us-west-2.amazonaws.com/a?b.pem"),
            ("SigningCertURL", "https://sns.us-west-2.amazonaws.com:8443/a.pem"),
            ("SigningCertURL", "https://sns.us-west-2.amazonaws.com@evil.example/a.pem"),
            ("SigningCertURL", "https://evil.example/a.pem"),
        ] {
            assert_eq!(read(&[(name, value.into())]), Err("INVALID_FORMAT"), "{name} {value}");
        }
        assert_eq!(read(&[("Type", "SubscriptionConfirmation".into())]), Err("MISSING_SIGNATURE"));
        for name in ["MessageId", "Subject"] {
            assert_eq!(read(&[(name, 7.into())]), Err("INVALID_FORMAT"), "{name}");
        }
    }
}
