//! Limits of a source.

use std::time::Duration;

use ipnet::IpNet;

/// `limits:`
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Bytes of a body at most.
    pub body: usize,
    /// Proven requests in a span; `None`: no limit.
    pub rate: Option<Rate>,
    /// Who may call; empty: anyone.
    pub allow_ips: Vec<IpNet>,
}

/// So many in a span: they may come at once, and refill evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in a span.
    pub count: u32,
    /// The span.
    pub per: Duration,
    /// How many at once; the count where not given.
    pub burst: Option<u32>,
}

impl Rate {
    /// Reads `100/min`: a number and one of `s`, `sec`, `min`, `m`, `h`, `hour`, `d`, `day`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a rate; write a number from 1 and a span, such as 100/min, 20/s or 5000/h"
            )
        };
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
        let secs = match per.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            "d" | "day" => 86_400,
            _ => return Err(wrong()),
        };
        Ok(Self { count, per: Duration::from_secs(secs), burst: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them() {
        let rate = Rate::parse("100/min").unwrap();
        assert_eq!((rate.count, rate.per), (100, Duration::from_secs(60)));
        for wrong in ["100", "0/min", "-1/s", "x/min", "10/fortnight"] {
            assert!(Rate::parse(wrong).unwrap_err().contains("100/min"), "{wrong}");
        }
    }
}
