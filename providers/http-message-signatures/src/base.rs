//! Builds the signature base (RFC 9421, section 2.5): a line for each covered component.
//! Verification and the signer call this module.

use hookward_core::crypto::Encoding;
use hookward_core::scheme::form_pairs;
use hookward_core::{Head, VerifyError};
use sfv::{Dictionary, FieldType, Item, List, Parser};

use crate::fields::{self, BareItem, InnerList, Params};

/// Headers with longer values are rejected.
const MAX_FIELD_BYTES: usize = 16 * 1024;

/// Rejects components that are unsupported or repeated. The base never omits a component: one that
/// cannot be written is an error, since an omitted component would not be signed.
pub(crate) fn check_components(list: &InnerList, head: &Head) -> Result<(), VerifyError> {
    for (n, (name, params)) in list.items.iter().enumerate() {
        if list.items.iter().take(n).any(|other| other == &(name.clone(), params.clone())) {
            return Err(VerifyError::invalid_format(format!("{name} is covered twice")));
        }
        // These need the URL, which is known later; all others are in the head.
        if !matches!(name.as_str(), "@target-uri" | "@authority" | "@scheme") || !params.is_empty()
        {
            component_value(name, params, head, "")?;
        }
    }
    Ok(())
}

/// Returns the signature base; `base_url` is scheme and host.
pub(crate) fn signature_base(
    list: &InnerList,
    head: &Head,
    base_url: &str,
) -> Result<String, VerifyError> {
    let mut out = String::new();
    for (name, params) in &list.items {
        let value = component_value(name, params, head, base_url)?;
        out.push_str(&format!("{}: {value}\n", fields::serialize_item(name, params)));
    }
    out.push_str(&format!("\"@signature-params\": {}", fields::serialize_list(list)));
    Ok(out)
}

fn component_value(
    name: &str,
    params: &Params,
    head: &Head,
    base_url: &str,
) -> Result<String, VerifyError> {
    let unknown = || VerifyError::invalid_format(format!("the component {name} is not supported"));
    if name == "@query-param" {
        return match params.as_slice() {
            [(key, BareItem::Text(wanted))] if key == "name" => query_param(head, wanted),
            _ => Err(unknown()),
        };
    }
    if !params.is_empty() {
        // `tr` is a trailer, `req` a request beside its response: neither is here.
        return match params.as_slice() {
            _ if name.starts_with('@') => Err(unknown()),
            [(key, BareItem::Boolean(true))] if key == "sf" => structured_field(name, head),
            [(key, BareItem::Boolean(true))] if key == "bs" => byte_sequences(name, head),
            [(key, BareItem::Text(member))] if key == "key" => {
                dictionary_member(name, member, head)
            }
            _ => Err(unknown()),
        };
    }
    let path = head.target.split('?').next().unwrap_or_default();
    Ok(match name {
        "@method" => head.method.as_str().to_owned(),
        "@target-uri" => format!("{base_url}{}", head.target),
        "@authority" => authority(base_url),
        "@scheme" => base_url.split("://").next().unwrap_or_default().to_ascii_lowercase(),
        "@request-target" => head.target.clone(),
        "@path" => if path.is_empty() { "/" } else { path }.to_owned(),
        "@query" => format!("?{}", head.query().unwrap_or_default()),
        header if !header.starts_with('@') => field(header, head)?,
        _ => return Err(unknown()),
    })
}

/// Returns the host in lower case, without the default port (section 2.2.3).
fn authority(base_url: &str) -> String {
    let (scheme, host) = base_url.split_once("://").unwrap_or(("https", base_url));
    let host = host.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    host.strip_suffix(port).unwrap_or(&host).to_owned()
}

/// Returns the values of a header in one line (section 2.1). A header that is repeated with the
/// same value counts once.
fn field(name: &str, head: &Head) -> Result<String, VerifyError> {
    let line = field_lines(name, head)?.join(", ");
    match line.is_empty() {
        true => Err(VerifyError::invalid_format(format!("the header {name} is empty"))),
        false => Ok(line),
    }
}

/// Returns the value of each line of a header, trimmed. Lines that all have the same value count as
/// one.
fn field_lines<'a>(name: &str, head: &'a Head) -> Result<Vec<&'a str>, VerifyError> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(VerifyError::invalid_format(format!(
            "the component {name} is not in lower case"
        )));
    }
    let mut values: Vec<&str> = Vec::new();
    let mut bytes = 0;
    for value in head.headers.get_all(name) {
        bytes += value.len();
        let text = value.to_str().map_err(|_| {
            VerifyError::invalid_format(format!("the header {name} is not visible ASCII"))
        })?;
        values.push(text.trim());
    }
    if bytes > MAX_FIELD_BYTES {
        return Err(VerifyError::invalid_format(format!(
            "the header {name} has over {MAX_FIELD_BYTES} bytes"
        )));
    }
    let Some(first) = values.first() else {
        return Err(VerifyError::missing_signature(format!("the header {name}")));
    };
    if values.iter().all(|value| value == first) {
        values.truncate(1);
    }
    Ok(values)
}

/// Returns a structured field in its canonical form (parameter `sf`, section 2.1.1). The field's
/// type is not part of the request: a value that two types read differently is rejected.
fn structured_field(name: &str, head: &Head) -> Result<String, VerifyError> {
    let line = field(name, head)?;
    let mut forms = [
        Parser::new(&line).parse::<Dictionary>().ok().and_then(|value| value.serialize()),
        Parser::new(&line).parse::<List>().ok().and_then(|value| value.serialize()),
        Parser::new(&line).parse::<Item>().ok().map(|value| value.serialize()),
    ]
    .into_iter()
    .flatten();
    match forms.next() {
        Some(form) if forms.all(|other| other == form) => Ok(form),
        Some(_) => Err(VerifyError::invalid_format(format!(
            "the header {name} could be a list or a dictionary, which have different forms"
        ))),
        None => Err(VerifyError::invalid_format(format!(
            "the header {name} is not a structured field (RFC 9651)"
        ))),
    }
}

/// Returns one member of a dictionary in its canonical form (parameter `key`, section 2.1.2).
fn dictionary_member(name: &str, member: &str, head: &Head) -> Result<String, VerifyError> {
    let line = field(name, head)?;
    let mut members = Parser::new(&line).parse::<Dictionary>().map_err(|_| {
        VerifyError::invalid_format(format!("the header {name} is not a dictionary (RFC 9651)"))
    })?;
    let value = members.swap_remove(member);
    // As the only member of a list, a value has the form that it has in a dictionary.
    let value = value.and_then(|value| vec![value].serialize());
    value.ok_or_else(|| {
        VerifyError::missing_signature(format!("the member `{member}` of the header {name}"))
    })
}

/// Returns the lines of a header as byte sequences (parameter `bs`, section 2.1.3).
fn byte_sequences(name: &str, head: &Head) -> Result<String, VerifyError> {
    let encode = |line: &str| format!(":{}:", Encoding::Base64.encode(line.as_bytes()));
    let lines = field_lines(name, head)?;
    Ok(lines.into_iter().map(encode).collect::<Vec<_>>().join(", "))
}

/// Returns the only value of a query parameter, decoded and encoded again (section 2.2.8).
fn query_param(head: &Head, wanted: &str) -> Result<String, VerifyError> {
    let escaped = |bytes: &[u8]| {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"*-._".contains(b);
        let one = |b: &u8| if plain(b) { char::from(*b).to_string() } else { format!("%{b:02X}") };
        bytes.iter().map(one).collect::<String>()
    };
    let mut found = form_pairs(head.query().unwrap_or_default().as_bytes())
        .filter(|(name, _)| escaped(name) == wanted)
        .map(|(_, value)| escaped(&value));
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(VerifyError::missing_signature(format!("the query parameter {wanted}"))),
        _ => Err(VerifyError::invalid_format(format!("the query parameter {wanted} is repeated"))),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::*;

    fn base(input: &str) -> Result<String, VerifyError> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-one", "  a  "),
            ("x-two", "a"),
            ("x-two", "b"),
            ("x-same", "a"),
            ("x-same", "a"),
            ("x-dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
            ("x-bytes", "value, with, lots"),
            ("x-bytes", "of, commas"),
            ("x-number", "1.50"),
            ("x-twice", "a, a"),
            ("x-unstructured", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let target = "/path?q=a+b&r=%7E&q2=1&q2=2".to_owned();
        let head = Head::new(Method::POST, target, headers);
        let list = fields::parse_inner_lists(&format!("s={input}")).unwrap().remove(0).1;
        check_components(&list, &head)?;
        let text = signature_base(&list, &head, "https://WWW.Example.com:443")?;
        Ok(text.rsplit_once("\n\"@signature-params\"").map_or("", |(lines, _)| lines).to_owned())
    }

    #[test]
    fn every_supported_component_has_its_line() {
        for (component, line) in [
            (r#""@method""#, r#""@method": POST"#),
            (r#""@authority""#, r#""@authority": www.example.com"#),
            (r#""@scheme""#, r#""@scheme": https"#),
            (r#""@path""#, r#""@path": /path"#),
            (r#""@query""#, r#""@query": ?q=a+b&r=%7E&q2=1&q2=2"#),
            (r#""@request-target""#, r#""@request-target": /path?q=a+b&r=%7E&q2=1&q2=2"#),
            (r#""@query-param";name="q""#, r#""@query-param";name="q": a%20b"#),
            (r#""@query-param";name="r""#, r#""@query-param";name="r": %7E"#),
            (r#""x-one""#, r#""x-one": a"#),
            (r#""x-two""#, r#""x-two": a, b"#),
            (r#""x-same""#, r#""x-same": a"#),
            // The examples of RFC 9421, sections 2.1.1 to 2.1.3.
            (r#""x-dict";sf"#, r#""x-dict";sf: a=1, b=2;x=1;y=2, c=(a b c), d"#),
            (r#""x-dict";key="a""#, r#""x-dict";key="a": 1"#),
            (r#""x-dict";key="d""#, r#""x-dict";key="d": ?1"#),
            (r#""x-dict";key="b""#, r#""x-dict";key="b": 2;x=1;y=2"#),
            (r#""x-dict";key="c""#, r#""x-dict";key="c": (a b c)"#),
            (r#""x-two";bs"#, r#""x-two";bs: :YQ==:, :Yg==:"#),
            (r#""x-bytes";bs"#, r#""x-bytes";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"#),
            (r#""x-number";sf"#, r#""x-number";sf: 1.5"#),
        ] {
            assert_eq!(base(&format!("({component})")).as_deref(), Ok(line));
        }
    }

    #[test]
    fn unsupported_absent_and_repeated_components_are_rejected() {
        for component in [
            r#""@status""#,
            r#""@signature-params""#,
            r#""@method";req"#,
            r#""@method";sf"#,
            r#""x-one";sf;bs"#,
            r#""x-one";sf=?0"#,
            r#""x-one";tr"#,
            r#""x-unstructured";sf"#,
            r#""x-absent";bs"#,
            r#""x-dict";key="e""#,
            r#""x-number";key="a""#,
            r#""x-dict";sf "x-dict";sf"#,
            // As a dictionary, the second `a` would take the place of the first.
            r#""x-twice";sf"#,
            r#""X-One""#,
            r#""x-absent""#,
            r#""@query-param""#,
            r#""@query-param";name="absent""#,
            r#""@query-param";name="q2""#,
            r#""x-one" "x-one""#,
        ] {
            assert!(base(&format!("({component})")).is_err(), "{component}");
        }
    }
}
