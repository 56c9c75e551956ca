//! `limits:` of a source, and the text form of a rate.

use std::time::Duration;

use ipnet::IpNet;

/// The compiled `limits:` block of a source.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// The maximum size of a body, in bytes.
    pub body: usize,
    /// The maximum rate of verified requests; `None` sets no limit.
    pub rate: Option<Rate>,
    /// The networks that may call; empty allows any.
    pub allow_ips: Vec<IpNet>,
}

/// A rate limit in the manner of a token bucket: `count` tokens refill evenly over `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of requests in one span.
    pub count: u32,
    /// The span in which `count` requests are allowed.
    pub per: Duration,
    /// The maximum number of requests at the same time; `None` allows `count`.
    pub burst: Option<u32>,
}

impl Rate {
    /// Parses `100/min`: a number and one of `s`, `sec`, `second`, `m`, `min`, `minute`, `h`,
    /// `hour`, `d`, `day`. The result has no `burst`, which is a key of its own.
    ///
    /// # Errors
    /// What was found and what to write, for anything else and for a count of zero.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "`{text}` is not a rate; write a number from 1 and a span, such as 100/min, 20/s or 5000/h"
            )
        };
        let (count, per) = text.split_once('/').ok_or_else(error)?;
        let count = count.trim().parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(error)?;
        let secs = match per.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            "d" | "day" => 86_400,
            _ => return Err(error()),
        };
        Ok(Self { count, per: Duration::from_secs(secs), burst: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_span() {
        let rate = Rate::parse("100/min").unwrap();
        assert_eq!((rate.count, rate.per), (100, Duration::from_secs(60)));
        for wrong in ["100", "0/min", "-1/s", "x/min", "10/fortnight"] {
            assert!(Rate::parse(wrong).unwrap_err().contains("100/min"), "{wrong}");
        }
    }
}
