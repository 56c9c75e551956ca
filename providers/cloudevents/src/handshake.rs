//! The handshake of the HTTP web hook specification (section 4): before it delivers, a sender asks
//! for permission with OPTIONS, and the headers of the reply grant it.

use hookward_core::plugin::BuildError;
use hookward_core::{Head, Reply, VerifyError, check_echo_token};
use http::{HeaderName, HeaderValue, StatusCode, header};

const ORIGIN: &str = "webhook-request-origin";
const RATE: &str = "webhook-request-rate";
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// Maximum length of a host name (RFC 1035, section 2.3.4).
const MAX_ORIGIN: usize = 253;

/// The origins that may send, and at what rate.
#[derive(Debug)]
pub(crate) struct Permission {
    origins: Vec<String>,
    rate: Option<u32>,
}

impl Permission {
    pub(crate) fn new(origins: Vec<String>, rate: Option<u32>) -> Result<Self, BuildError> {
        for (n, origin) in origins.iter().enumerate() {
            if origin != "*" && !is_host(origin) {
                let message = format!("`{origin}` is not a host name such as `sender.example.com`");
                return Err(BuildError::at(format!("/origins/{n}"), message)
                    .help("write it without scheme, port and path, or `*` for every origin"));
            }
        }
        if rate == Some(0) {
            return Err(BuildError::at("/rate", "a rate of 0 permits nothing; write at least 1"));
        }
        Ok(Self { origins, rate })
    }

    /// Grants permission to a known origin; any other gets 405 without the headers that would grant
    /// it.
    pub(crate) fn answer(&self, head: &Head) -> Result<Reply, VerifyError> {
        let origin = head.required(ORIGIN)?;
        let asked = head.single(RATE)?;
        let digits =
            |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !is_host(origin) || asked.is_some_and(|rate| !digits(rate) || rate.starts_with('0')) {
            return Err(VerifyError::invalid_format(
                "WebHook-Request-Origin is not a host name, or WebHook-Request-Rate is not a number",
            ));
        }
        let post = (header::ALLOW, HeaderValue::from_static("POST"));
        let known = |o: &String| o == "*" || o.eq_ignore_ascii_case(origin);
        if !self.origins.iter().any(known) {
            let mut reply = Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
            reply.headers.push(post);
            return Ok(reply);
        }
        let text = |text: &str| {
            let value =
                HeaderValue::from_str(check_echo_token(text, "the request for permission")?);
            value.map_err(|_| VerifyError::invalid_format("the origin is not a header value"))
        };
        let mut reply = Reply::empty(StatusCode::OK);
        reply.headers.push((ALLOWED_ORIGIN, text(origin)?));
        let configured = self.rate.map(|rate| rate.to_string());
        if let Some(rate) = configured.as_deref().or(asked) {
            reply.headers.push((ALLOWED_RATE, text(rate)?));
        }
        reply.headers.push(post);
        Ok(reply)
    }

    pub(crate) fn config_warnings(&self) -> Vec<String> {
        let none = self.origins.is_empty().then(|| {
            "senders that ask for permission before they deliver are rejected; set `with: { origins: […] }`"
                .to_owned()
        });
        let any = self.origins.iter().any(|o| o == "*").then(|| {
            "every origin is permitted to send, so anyone can make this endpoint the target of their events; \
             list the hosts in `with: { origins: […] }`"
                .to_owned()
        });
        none.into_iter().chain(any).collect()
    }
}

fn is_host(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=MAX_ORIGIN).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn reply_to(
        origins: &[&str],
        rate: Option<u32>,
        headers: &[(&str, &str)],
    ) -> Result<String, String> {
        let origins = origins.iter().map(|o| (*o).to_owned()).collect();
        let permission = Permission::new(origins, rate).map_err(|e| e.to_string())?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let head = Head::default().with_headers(map);
        let reply = permission.answer(&head).map_err(|e| e.code().to_owned())?;
        let headers = reply.headers.iter().map(|(n, v)| format!(" {n}={}", v.to_str().unwrap()));
        Ok(format!("{}{}", reply.status.as_u16(), headers.collect::<String>()))
    }

    #[test]
    fn a_known_origin_is_permitted_at_the_requested_or_configured_rate() {
        let a = ("WebHook-Request-Origin", "A.example");
        let ok = "200 webhook-allowed-origin=A.example";
        assert_eq!(reply_to(&["a.example"], None, &[a]), Ok(format!("{ok} allow=POST")));
        let rate = ("WebHook-Request-Rate", "120");
        let at = |n| Ok(format!("{ok} webhook-allowed-rate={n} allow=POST"));
        assert_eq!(reply_to(&["b", "a.example"], None, &[a, rate]), at(120));
        assert_eq!(reply_to(&["*"], Some(60), &[a, rate]), at(60));
        assert_eq!(reply_to(&["a.example"], Some(60), &[a]), at(60));
    }

    #[test]
    fn an_unknown_origin_gets_405_without_the_granting_headers() {
        for known in [&["a.example"][..], &["sub.evil.example"], &["example"], &[]] {
            let origin = ("WebHook-Request-Origin", "evil.example");
            assert_eq!(reply_to(known, None, &[origin]), Ok("405 allow=POST".to_owned()));
        }
        assert_eq!(reply_to(&["*"], None, &[]), Err("MISSING_SIGNATURE".to_owned()));
        let odd = ["", "a b", "a\"", "http://a.example"];
        for origin in odd {
            let reply = reply_to(&["*"], None, &[("WebHook-Request-Origin", origin)]);
            assert_eq!(reply, Err("INVALID_FORMAT".to_owned()), "{origin}");
        }
        for rate in ["0", "-1", "1e9", "", "9999999999"] {
            let headers = [("WebHook-Request-Origin", "a"), ("WebHook-Request-Rate", rate)];
            assert_eq!(reply_to(&["*"], None, &headers), Err("INVALID_FORMAT".to_owned()));
        }
    }

    #[test]
    fn origins_must_be_host_names() {
        for odd in ["https://a.example", "a.example:443", ""] {
            assert!(Permission::new(vec![odd.to_owned()], None).is_err());
        }
        assert!(Permission::new(Vec::new(), Some(0)).is_err());
    }
}
