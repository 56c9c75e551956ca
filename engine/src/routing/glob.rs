//! `events:` globs: `SOURCE/TYPE`. The source ends at the first `/`; a type's segments are split
//! at `.` and `/`; `*` stands for one segment, `**` for any number.

use std::fmt;

/// A pattern for source and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeGlob {
    source: String,
    segments: Vec<Segment>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    One,
    Any,
}

/// The segments of an event type.
pub(crate) fn segments_of(event_type: &str) -> impl Iterator<Item = &str> {
    event_type.split(['.', '/'])
}

impl TypeGlob {
    /// Reads the written form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((source, event_type)) = text.split_once('/') else {
            return Err(format!(
                "`{text}` names no type; write SOURCE/TYPE, such as stripe/payment_intent.succeeded, stripe/invoice.* or stripe/**"
            ));
        };
        if source.is_empty() || event_type.is_empty() {
            return Err(format!("`{text}` is not of the form SOURCE/TYPE"));
        }
        let star = |part: &str| {
            format!(
                "`{part}` in `{text}`: a `*` stands for a whole segment (`*` for one, `**` for any number)"
            )
        };
        if source.contains('*') && source != "*" {
            return Err(star(source));
        }
        let segments = segments_of(event_type)
            .map(|part| match part {
                "*" => Ok(Segment::One),
                "**" => Ok(Segment::Any),
                "" => Err(format!("`{text}` has an empty segment")),
                part if part.contains('*') => Err(star(part)),
                part => Ok(Segment::Literal(part.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { source: source.to_owned(), segments, text: text.to_owned() })
    }

    /// The source's name, or `*`.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Display for TypeGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
