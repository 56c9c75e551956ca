//! Message templates: what is signed, parsed into segments.

use crate::scheme::error::SchemeError;

/// A piece of the signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Text outside of braces.
    Literal(String),
    /// The body as received.
    Body,
    /// The timestamp as received.
    Timestamp,
    /// The URL that the sender called.
    Url,
    /// The HTTP method.
    Method,
    /// The shared key.
    Key,
    /// The value of a header; its name in lower case.
    Header(String),
    /// The value of a key in the signature's list.
    SignatureListValue(String),
    /// The text at a JSON pointer into the body.
    Json(String),
    /// The value of a form field.
    Form(String),
}

/// Parses a template such as `v0:{timestamp}:{body}`.
pub(super) fn parse(template: &str) -> Result<Vec<Segment>, SchemeError> {
    let error = |message: String| SchemeError::new("/message", message);
    let mut segments = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (literal, after) = rest.split_at(open);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal.to_owned()));
        }
        let Some((name, tail)) = after.strip_prefix('{').and_then(|a| a.split_once('}')) else {
            return Err(error("a `{` is not closed; add a `}`".to_owned()));
        };
        segments.push(variable(name).ok_or_else(|| {
            error(format!(
                "`{{{name}}}` is not a variable; allowed are {{body}} {{timestamp}} {{header:NAME}} \
                 {{sig:KEY}} {{url}} {{method}} {{json:/pointer}} {{form:FIELD}} {{key}}"
            ))
        })?);
        rest = tail;
    }
    if !rest.is_empty() {
        segments.push(Segment::Literal(rest.to_owned()));
    }
    Ok(segments)
}

/// The segment of a variable; `None` where there is no such variable.
fn variable(name: &str) -> Option<Segment> {
    Some(match name.split_once(':') {
        None => match name {
            "body" => Segment::Body,
            "timestamp" => Segment::Timestamp,
            "url" => Segment::Url,
            "method" => Segment::Method,
            "key" => Segment::Key,
            _ => return None,
        },
        Some(("header", header)) => {
            http::HeaderName::from_bytes(header.as_bytes()).ok()?;
            Segment::Header(header.to_ascii_lowercase())
        }
        Some(("sig", key)) if !key.is_empty() => Segment::SignatureListValue(key.to_owned()),
        Some(("json", pointer)) if pointer.starts_with('/') => Segment::Json(pointer.to_owned()),
        Some(("form", field)) if !field.is_empty() => Segment::Form(field.to_owned()),
        Some(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_split_into_segments_and_unknown_variables_are_named() {
        let slack = parse("v0:{timestamp}:{body}").unwrap();
        assert_eq!(slack.len(), 4);
        assert_eq!(
            parse("{sig:t}.{body}").unwrap().first(),
            Some(&Segment::SignatureListValue("t".into()))
        );
        assert!(parse("{boddy}").unwrap_err().message.contains("{boddy}"));
        assert!(parse("{body").is_err());
        assert!(parse("{header:}").is_err());
    }
}
