//! Message templates: what is signed, compiled to segments.

use crate::scheme::spec::SchemeError;

/// A piece of the signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    Body,
    Timestamp,
    Url,
    Method,
    Key,
    Header(String),
    Sig(String),
    Json(String),
    Form(String),
}

/// Reads `v0:{timestamp}:{body}` and the like.
pub(crate) fn parse(template: &str) -> Result<Vec<Segment>, SchemeError> {
    let wrong = |message: String| SchemeError::new("/message", message);
    let mut segments = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (literal, after) = rest.split_at(open);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal.to_owned()));
        }
        let Some((name, tail)) = after.strip_prefix('{').and_then(|a| a.split_once('}')) else {
            return Err(wrong("a `{` is not closed".to_owned()));
        };
        segments.push(variable(name).ok_or_else(|| {
            wrong(format!(
                "`{{{name}}}` is unknown; allowed are {{body}} {{timestamp}} {{header:NAME}} \
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
        Some(("sig", key)) if !key.is_empty() => Segment::Sig(key.to_owned()),
        Some(("json", pointer)) if pointer.starts_with('/') => Segment::Json(pointer.to_owned()),
        Some(("form", field)) if !field.is_empty() => Segment::Form(field.to_owned()),
        Some(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_read_and_unknown_variables_are_named() {
        let slack = parse("v0:{timestamp}:{body}").unwrap();
        assert_eq!(slack.len(), 4);
        assert_eq!(parse("{sig:t}.{body}").unwrap().first(), Some(&Segment::Sig("t".into())));
        assert!(parse("{boddy}").unwrap_err().message.contains("{boddy}"));
        assert!(parse("{body").is_err());
        assert!(parse("{header:}").is_err());
    }
}
