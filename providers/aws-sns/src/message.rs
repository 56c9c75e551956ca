//! A message as SNS writes it, and the text that its signature covers.

use std::fmt::Write as _;

use hookward_core::crypto::ProofAlgorithm;
use hookward_core::keys::split_https_url;
use hookward_core::{Body, Timestamp, VerifyCx, VerifyError};
use serde_json::{Map, Value};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Notification,
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

/// How a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// A message whose form is right. Nothing in it is believed before its signature is.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: Kind,
    pub(crate) version: Version,
    pub(crate) topic: &'a str,
    /// The address of the certificate: on a host of AWS.
    pub(crate) certificate: &'a str,
    pub(crate) signature: &'a str,
    members: &'a Map<String, Value>,
}

impl Kind {
    pub(crate) fn of(text: &str) -> Result<Self, VerifyError> {
        match text {
            "Notification" => Ok(Self::Notification),
            "SubscriptionConfirmation" => Ok(Self::SubscriptionConfirmation),
            "UnsubscribeConfirmation" => Ok(Self::UnsubscribeConfirmation),
            _ => Err(VerifyError::invalid_format("the type of the message is none of SNS's")),
        }
    }

    /// The members that are signed, in order. `Subject` alone may be absent.
    fn signed(self) -> &'static [&'static str] {
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
    /// Reads a body, and refuses one whose certificate is not on a host of AWS.
    pub(crate) fn read(body: &'a Body, require_version_2: bool) -> Result<Self, VerifyError> {
        let json = body.json().map_err(|e| VerifyError::invalid_format(e.to_string()))?;
        let members = json
            .as_object()
            .ok_or_else(|| VerifyError::invalid_format("the body is no message of SNS"))?;
        let kind = Kind::of(text(members, "Type")?)?;
        let version = match text(members, "SignatureVersion")? {
            "1" if require_version_2 => {
                return Err(VerifyError::invalid_format(
                    "the message is signed with SHA-1, which `require_version_2` refuses",
                ));
            }
            "1" => Version::One,
            "2" => Version::Two,
            _ => {
                return Err(VerifyError::invalid_format("the version of the signature is unknown"));
            }
        };
        let certificate = text(members, "SigningCertURL")?;
        let pinned = split_https_url(certificate).is_some_and(|(host, path)| {
            is_host(host) && path.ends_with(".pem") && !path.contains('?')
        });
        if !pinned {
            return Err(VerifyError::invalid_format(
                "SigningCertURL is no certificate on a host of SNS",
            ));
        }
        for name in kind.signed().iter().filter(|name| **name != "Subject") {
            text(members, name)?;
        }
        if !matches!(members.get("Subject"), None | Some(Value::Null | Value::String(_))) {
            return Err(VerifyError::invalid_format("Subject of the message is no text"));
        }
        let (topic, signature) = (text(members, "TopicArn")?, text(members, "Signature")?);
        let message = Self { kind, version, topic, certificate, signature, members };
        // The signed text has no marks between its lines: a line feed in any but the message itself
        // could make one text of two different messages.
        let spread = |name: &&&str| message.get(name).is_some_and(|text| text.contains('\n'));
        match kind.signed().iter().skip(1).find(spread) {
            Some(name) => {
                Err(VerifyError::invalid_format(format!("{name} has more than one line")))
            }
            None => Ok(message),
        }
    }

    /// The text that is signed.
    pub(crate) fn signed(&self) -> String {
        let mut signed = String::new();
        for name in self.kind.signed() {
            if let Some(value) = self.get(name) {
                let _ = writeln!(signed, "{name}\n{value}");
            }
        }
        signed
    }

    /// Where the subscription is confirmed: on a host of AWS, or nowhere.
    pub(crate) fn subscribe_url(&self) -> Option<&'a str> {
        let url = self.get("SubscribeURL")?;
        split_https_url(url).filter(|(host, _)| is_host(host)).map(|_| url)
    }

    /// SNS documents no limit to the age of a message; a source may have one.
    pub(crate) fn check_time(&self, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let Some(tolerance) = cx.tolerance else { return Ok(()) };
        let time = self.get("Timestamp").and_then(Timestamp::parse_rfc3339);
        let time = time.ok_or_else(|| VerifyError::invalid_format("Timestamp is no time"))?;
        let (age, ahead) = (cx.now.since(time), time.since(cx.now));
        if age > tolerance {
            return Err(VerifyError::TimestampTooOld { age, tolerance });
        }
        if ahead > tolerance {
            return Err(VerifyError::TimestampInFuture { ahead, tolerance });
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.members.get(name).and_then(Value::as_str)
    }
}

/// A member that has to be a text; only the message itself may be empty.
fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, VerifyError> {
    match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() || name == "Message" => Ok(text),
        None => Err(VerifyError::missing_signature(format!("{name} of the message"))),
        Some(_) => Err(VerifyError::invalid_format(format!("{name} of the message is no text"))),
    }
}

/// `sns.REGION.amazonaws.com`, or the same of China. A region is spelled in full: what merely looks
/// like one may be another service, as `sns.s3-us-west-2.amazonaws.com` is a bucket of somebody's.
fn is_host(host: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_sns_are_pinned() {
        for host in [
            "sns.us-west-2.amazonaws.com",
            "sns.us-gov-west-1.amazonaws.com",
            "sns.ap-southeast-7.amazonaws.com",
            "sns.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is_host(host), "{host}");
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
            assert!(!is_host(host), "{host}");
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
        let body = Body::from_json(body);
        Message::read(&body, false).map(|m| m.signed()).map_err(|e| e.code())
    }

    #[test]
    fn the_signed_text_has_the_subject_only_where_there_is_one() {
        let arn = "TopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\nType\nNotification\n";
        let start = "Message\nm\nMessageId\nx\nMessageId\n1\n";
        let time = "Timestamp\n2025-10-09T08:53:20.000Z\n";
        assert_eq!(read(&[]), Ok(format!("{start}{time}{arn}")));
        assert_eq!(read(&[("Subject", Value::Null)]), Ok(format!("{start}{time}{arn}")));
        let with = read(&[("Subject", "s".into())]);
        assert_eq!(with, Ok(format!("{start}Subject\ns\n{time}{arn}")));
    }

    #[test]
    fn texts_that_could_be_read_in_two_ways_and_other_hosts_are_refused() {
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
