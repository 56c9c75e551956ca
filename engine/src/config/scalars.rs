//! Scalar values in text form: addresses, rates, globs, dates.
//!
//! Each is a type that parses its text, and a `format` of the JSON Schema, so that the schema check
//! reports a malformed one at its own place. An error is two parts joined by `; `: what was found,
//! and what to write.

use std::borrow::Cow;
use std::net::SocketAddr;

use hookward_core::{ByteSize, HumanDuration, Timestamp};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::compiled;
use crate::routing;

/// Parses a text, and discards the result.
type CheckFn = fn(&str) -> Result<(), String>;

/// A `format` of the JSON Schema.
pub(super) struct Format {
    /// The value of `format` in the schema.
    pub(super) name: &'static str,
    /// The noun for messages, such as "a rate".
    pub(super) noun: &'static str,
    /// Reports why a text does not have the format.
    pub(super) check: CheckFn,
}

const fn format(name: &'static str, noun: &'static str, check: CheckFn) -> Format {
    Format { name, noun, check }
}

/// All formats, with the checks that the schema check runs.
pub(super) const FORMATS: &[Format] = &[
    format("period", "a duration", |t| parse_duration(t).map(drop)),
    format("period-above-zero", "a duration", |t| parse_positive_duration(t).map(drop)),
    format("size", "a size", |t| t.parse::<ByteSize>().map(drop).map_err(|e| e.to_string())),
    format("listen", "an IP address and a port", |t| parse_listen_address(t).map(drop)),
    format("public-url", "a URL of scheme and host", |t| parse_public_url(t).map(drop)),
    format("rate", "a rate", |t| compiled::Rate::parse(t).map(drop)),
    format("network", "an IP address or a network", |t| parse_network(t).map(drop)),
    format("allowed-network", "an IP address or a network", |t| parse_allowed_network(t).map(drop)),
    format("until", "a date or time", |t| parse_until(t).map(drop)),
    format("event-glob", "SOURCE/TYPE", |t| routing::TypeGlob::parse(t).map(drop)),
    format("data-address", "a data address", |t| routing::DataAddress::parse(t).map(drop)),
    format("expression", "an expression", |t| routing::Condition::compile(t).map(drop)),
    format("route-path", "a URL path", |t| parse_path(t).map(drop)),
];

/// Finds a format by its name in the schema.
pub(super) fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.name == name)
}

/// Defines a type that is decoded from text by `$parse` and has the `$format` in the schema.
macro_rules! text_type {
    ($name:ident($parsed:ty), $format:literal, $parse:expr) => {
        #[derive(Debug)]
        pub(super) struct $name(pub(super) $parsed);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                $parse(&text).map(Self).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}

text_type!(DurationText(std::time::Duration), "period", parse_duration);
text_type!(PositiveDurationText(std::time::Duration), "period-above-zero", parse_positive_duration);
text_type!(ListenText(SocketAddr), "listen", parse_listen_address);
text_type!(PublicUrlText(String), "public-url", parse_public_url);
text_type!(RateText(compiled::Rate), "rate", compiled::Rate::parse);
text_type!(NetworkText(IpNet), "network", parse_network);
text_type!(AllowedNetworkText(AllowedNetwork), "allowed-network", parse_allowed_network);
text_type!(UntilText(Timestamp), "until", parse_until);
text_type!(GlobText(routing::TypeGlob), "event-glob", routing::TypeGlob::parse);
text_type!(AddressText(routing::DataAddress), "data-address", routing::DataAddress::parse);
text_type!(ExpressionText(routing::Condition), "expression", routing::Condition::compile);
text_type!(PathText(String), "route-path", parse_path);

/// A number of bytes above zero, as a number or as text with a unit.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct SizeText(pub(super) ByteSize);

impl JsonSchema for SizeText {
    fn schema_name() -> Cow<'static, str> {
        "SizeText".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "minimum": 1, "format": "size" })
    }
}

/// The schema of a secret; its value is decoded as [`Secret`](hookward_core::Secret).
#[derive(Debug)]
pub(super) struct SecretText;

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// An item of `allow_ips`.
#[derive(Debug, Clone, Copy)]
pub(super) enum AllowedNetwork {
    /// The networks that the sender publishes.
    Provider,
    /// This network.
    Network(IpNet),
}

fn parse_allowed_network(text: &str) -> Result<AllowedNetwork, String> {
    match text {
        "provider" => Ok(AllowedNetwork::Provider),
        _ => parse_network(text).map(AllowedNetwork::Network),
    }
}

fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    text.parse::<HumanDuration>().map(|d| d.0).map_err(|e| e.to_string())
}

fn parse_positive_duration(text: &str) -> Result<std::time::Duration, String> {
    match parse_duration(text)? {
        span if span.is_zero() => {
            Err(format!("`{text}` is zero; write a duration above zero, such as 30s"))
        }
        span => Ok(span),
    }
}

fn parse_listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an IP address with a port; write one such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080")
    })
}

fn parse_public_url(text: &str) -> Result<String, String> {
    let error = |problem: &str| {
        format!(
            "`{text}` {problem}; write the scheme and host that senders call, such as https://hooks.example.com"
        )
    };
    let uri: http::Uri = text.parse().map_err(|_| error("is not an http or https URL"))?;
    let authority = uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https")));
    let authority = authority.ok_or_else(|| error("is not an http or https URL"))?;
    if authority.as_str().contains('@') {
        return Err(error("has a user name"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#') {
        return Err(error("has a path or a query"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| {
        format!("`{text}` is not an IP address or network; write one such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32")
    })
}

fn parse_until(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_end_of_date(text).or_else(|| Timestamp::parse_rfc3339(text)).ok_or_else(|| {
        format!("`{text}` is not a date or time; write a date such as 2026-12-31, which includes that day in UTC, or a time such as 2026-12-31T12:00:00Z")
    })
}

fn parse_path(text: &str) -> Result<String, String> {
    let is_path_byte = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
    let problem = if !text.starts_with('/') {
        "does not start with `/`"
    } else if text == "/health" {
        "is the path of the health page"
    } else if text.len() == 1 {
        "is the root path"
    } else if text.contains("//") || text.split('/').any(|s| matches!(s, "." | "..")) {
        "has an empty or relative segment"
    } else if text.contains("/:") || text.contains("/*") {
        // The router of an app that embeds Hookward reads these as patterns, and may panic on them.
        "has a segment that starts with `:` or `*`"
    } else if !text.bytes().all(is_path_byte) {
        "has a character that a URL path cannot have"
    } else {
        return Ok(text.to_owned());
    };
    Err(format!("`{text}` {problem}; write a path such as /hooks/stripe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host_alone() {
        assert_eq!(parse_public_url("https://h.example/"), Ok("https://h.example".to_owned()));
        for wrong in ["h.example", "ftp://h", "https://h/x", "https://h?x", "https://u@h", "/x"] {
            assert!(parse_public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_and_relative_paths_are_not_url_paths() {
        assert!(parse_path("/hooks/stripe").is_ok());
        for wrong in ["hooks", "/", "/health", "/a//b", "/a/../b", "/a b", "/a?b", "/a/:b", "/*"] {
            assert!(parse_path(wrong).is_err(), "{wrong}");
        }
    }
}
