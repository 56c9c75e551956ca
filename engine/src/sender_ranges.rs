//! The networks from which senders call, as they publish them, for `allow_ips: provider`.
//!
//! `data/sender_ranges.json` is shipped: what each sender's page said on a date, and where a program
//! can read it. `hookward ranges update` writes a newer state to [`LOCAL_FILE`] beside routes.yaml,
//! which then takes precedence. Nothing is fetched by the server itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use hookward_core::{Timestamp, is_public_address};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The file beside routes.yaml that `hookward ranges update` writes.
pub const LOCAL_FILE: &str = "hookward-ranges.json";

/// The age from which `check` warns about ranges.
pub const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The maximum number of networks of one sender.
const MAX_NETWORKS: usize = 5000;
/// The shortest prefixes of a plausible network. A shorter one admits a large part of the internet.
const MIN_PREFIX_V4: u8 = 8;
const MIN_PREFIX_V6: u8 = 24;

static SHIPPED: LazyLock<BTreeMap<String, PublishedRanges>> = LazyLock::new(|| {
    // A test parses the same text, so the fallback is never used in a build that passes it.
    serde_json::from_str(include_str!("../data/sender_ranges.json")).unwrap_or_default()
});

/// What is shipped about the networks of one sender.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRanges {
    /// The sender's page about its addresses.
    pub page: String,
    /// Where a program can read the networks; empty where the sender publishes them as text alone.
    #[serde(default)]
    pub feeds: Vec<RangeFeed>,
    /// The day on which the networks were published so, such as `2026-02-11`.
    #[serde(default)]
    date: Option<String>,
    #[serde(default)]
    networks: Vec<String>,
}

/// A JSON document of a sender that lists its networks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeFeed {
    /// The address of the document.
    pub url: String,
    /// The JSON pointer of the list in it.
    list: String,
    /// The member of an item that is the network; `None` where the items themselves are.
    #[serde(default)]
    member: Option<String>,
    /// Members that an item must have with this value, or with this value in a list.
    #[serde(default)]
    r#where: BTreeMap<String, String>,
}

/// The networks of one sender as of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedRanges {
    /// The day as of which the sender published them, such as `2026-02-11`.
    pub date: String,
    /// Where they were published.
    pub source: String,
    /// Networks and addresses.
    pub networks: Vec<String>,
}

/// The content of [`LOCAL_FILE`], by the name of the provider.
pub type LocalRanges = BTreeMap<String, DatedRanges>;

/// Returns everything that is shipped, by the name of the provider.
pub fn shipped() -> impl Iterator<Item = (&'static str, &'static PublishedRanges)> {
    SHIPPED.iter().map(|(name, ranges)| (name.as_str(), ranges))
}

/// Finds what is shipped about a provider's sender; `None` where no published ranges are known.
pub fn find(provider: &str) -> Option<&'static PublishedRanges> {
    SHIPPED.get(provider)
}

/// Parses the content of [`LOCAL_FILE`].
///
/// # Errors
/// What is wrong with it.
pub fn parse_local(text: &[u8]) -> Result<LocalRanges, String> {
    let local: LocalRanges = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    for (provider, ranges) in &local {
        ranges.parse().map_err(|reason| format!("`{provider}`: {reason}"))?;
    }
    Ok(local)
}

impl PublishedRanges {
    /// Returns the shipped networks; `None` where the sender's list is too long-winded to ship and
    /// must be fetched first.
    pub fn dated(&self) -> Option<DatedRanges> {
        let date = self.date.clone()?;
        let source = self.feeds.first().map_or(&self.page, |feed| &feed.url).clone();
        Some(DatedRanges { date, source, networks: self.networks.clone() })
    }
}

impl DatedRanges {
    /// Parses the day and the networks.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(&self) -> Result<(Timestamp, Vec<IpNet>), String> {
        let date = Timestamp::parse_end_of_date(&self.date)
            .ok_or_else(|| format!("`{}` is not a date such as 2026-12-31", self.date))?;
        Ok((date, parse_networks(self.networks.iter().map(String::as_str))?))
    }
}

impl RangeFeed {
    /// Reads the networks in a document that was fetched from [`url`](Self::url).
    ///
    /// # Errors
    /// What the document lacks, or which network is implausible. An error page or a list of
    /// everything must not replace ranges that are in use.
    pub fn read(&self, document: &[u8]) -> Result<Vec<String>, String> {
        let document: Value =
            serde_json::from_slice(document).map_err(|e| format!("it is not JSON: {e}"))?;
        let list = document.pointer(&self.list).and_then(Value::as_array);
        let list = list.ok_or_else(|| format!("it has no list at `{}`", self.list))?;
        let has = |item: &Value, member: &str, wanted: &str| match item.get(member) {
            Some(Value::Array(values)) => values.iter().any(|v| v == wanted),
            Some(value) => value == wanted,
            None => false,
        };
        let wanted = list
            .iter()
            .filter(|item| self.r#where.iter().all(|(member, value)| has(item, member, value)));
        let text = |item: &Value| {
            let network = match &self.member {
                Some(member) => item.get(member),
                None => Some(item),
            };
            network.and_then(Value::as_str).map(str::to_owned)
        };
        let networks: Option<Vec<String>> = wanted.map(text).collect();
        let mut networks = networks.ok_or("an item of its list is not a network")?;
        parse_networks(networks.iter().map(String::as_str))?;
        networks.sort();
        networks.dedup();
        Ok(networks)
    }
}

/// Parses networks and addresses, and rejects implausible ones.
fn parse_networks<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<IpNet>, String> {
    let mut networks = Vec::new();
    for text in texts {
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        let net: IpNet =
            text.parse().or_else(|_| address()).map_err(|_| format!("`{text}` is no network"))?;
        let min_prefix = if net.addr().is_ipv4() { MIN_PREFIX_V4 } else { MIN_PREFIX_V6 };
        if net.prefix_len() < min_prefix {
            return Err(format!("`{text}` is implausibly large"));
        }
        if !is_public_address(net.network()) {
            return Err(format!("`{text}` is not a public network"));
        }
        networks.push(net);
    }
    match networks.len() {
        0 => Err("it lists no networks".to_owned()),
        n if n > MAX_NETWORKS => Err(format!("it lists {n} networks, more than {MAX_NETWORKS}")),
        _ => Ok(networks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_parses_and_names_its_source() {
        let text = include_str!("../data/sender_ranges.json");
        let parsed: BTreeMap<String, PublishedRanges> = serde_json::from_str(text).unwrap();
        assert_eq!(parsed.len(), shipped().count());
        for (name, ranges) in parsed {
            assert!(ranges.page.starts_with("https://"), "{name}");
            assert!(ranges.feeds.iter().all(|feed| feed.url.starts_with("https://")), "{name}");
            assert_eq!(ranges.date.is_some(), !ranges.networks.is_empty(), "{name}");
            assert!(ranges.date.is_some() || !ranges.feeds.is_empty(), "{name}");
            if let Some(dated) = ranges.dated() {
                dated.parse().unwrap_or_else(|reason| panic!("{name}: {reason}"));
            }
        }
    }

    #[test]
    fn each_feed_reads_a_document_of_its_shape() {
        let read =
            |name: &str, document: &str| find(name).unwrap().feeds[0].read(document.as_bytes());
        let github = r#"{"hooks":["192.30.252.0/22","2a0a:a440::/29"],"web":["1.1.1.1/32"]}"#;
        assert_eq!(read("github", github).unwrap(), ["192.30.252.0/22", "2a0a:a440::/29"]);
        assert_eq!(read("stripe", r#"{"WEBHOOKS":["3.18.12.63"]}"#).unwrap(), ["3.18.12.63"]);
        let paddle = r#"{"data":{"ipv4_cidrs":["34.232.58.13/32","34.232.58.13/32"]}}"#;
        assert_eq!(read("paddle", paddle).unwrap(), ["34.232.58.13/32"]);
        assert_eq!(read("pagerduty", r#"["44.242.69.192"]"#).unwrap(), ["44.242.69.192"]);
        let atlassian = r#"{"items":[
            {"cidr":"104.192.136.0/21","product":["jira","bitbucket"],"direction":["ingress","egress"]},
            {"cidr":"18.234.32.128/25","product":["bitbucket"],"direction":["ingress"]},
            {"cidr":"13.52.5.0/25","product":["trello"],"direction":["egress"]}]}"#;
        assert_eq!(read("bitbucket", atlassian).unwrap(), ["104.192.136.0/21"]);
        assert_eq!(read("trello", atlassian).unwrap(), ["13.52.5.0/25"]);
    }

    #[test]
    fn a_document_that_would_admit_nobody_or_everybody_is_an_error() {
        let read = |document: &str| find("github").unwrap().feeds[0].read(document.as_bytes());
        for document in [
            "",
            "<html>",
            "{}",
            r#"{"hooks":[]}"#,
            r#"{"hooks":"192.30.252.0/22"}"#,
            r#"{"hooks":[1]}"#,
            r#"{"hooks":["192.30.252.0/22","example.com"]}"#,
            r#"{"hooks":["0.0.0.0/0"]}"#,
            r#"{"hooks":["::/0"]}"#,
            r#"{"hooks":["10.0.0.0/8"]}"#,
            r#"{"hooks":["127.0.0.1"]}"#,
        ] {
            assert!(read(document).is_err(), "{document}");
        }
    }
}
