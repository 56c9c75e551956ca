//! Globs of `events:`, in the form `SOURCE/TYPE`.
//!
//! The source ends at the first `/`. The type is split into segments at `.` and `/`; `*` matches
//! one whole segment and `**` any number of them, none included.

use std::fmt;

/// A compiled `SOURCE/TYPE` glob of `events:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeGlob {
    source: String,
    segments: Vec<Segment>,
    text: String,
}

/// One segment of the type part of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A name, which matches the same text.
    Literal(String),
    /// `*`, which matches one segment.
    One,
    /// `**`, which matches any number of segments.
    Any,
}

/// Splits an event type into its segments.
pub(crate) fn segments_of(event_type: &str) -> impl Iterator<Item = &str> {
    event_type.split(['.', '/'])
}

impl TypeGlob {
    /// Parses the form used in routes.yaml.
    ///
    /// # Errors
    /// What was found and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((source, event_type)) = text.split_once('/') else {
            return Err(format!(
                "`{text}` has no event type; write SOURCE/TYPE, such as stripe/payment_intent.succeeded, stripe/invoice.* or stripe/**"
            ));
        };
        if source.is_empty() || event_type.is_empty() {
            return Err(format!(
                "`{text}` is not of the form SOURCE/TYPE; write both, such as stripe/invoice.paid"
            ));
        }
        let star = |part: &str| {
            format!(
                "`{part}` in `{text}` mixes a `*` with other characters; a `*` stands for one whole segment and `**` for any number, such as stripe/invoice.*"
            )
        };
        if source.contains('*') && source != "*" {
            return Err(star(source));
        }
        let segments = segments_of(event_type)
            .map(|part| match part {
                "*" => Ok(Segment::One),
                "**" => Ok(Segment::Any),
                "" => Err(format!(
                    "`{text}` has an empty segment; write a name, `*` or `**` between two separators"
                )),
                part if part.contains('*') => Err(star(part)),
                part => Ok(Segment::Literal(part.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { source: source.to_owned(), segments, text: text.to_owned() })
    }

    /// Returns the source's name, or `*` for any source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the glob takes an event whatever its type.
    pub(crate) fn takes_every_type(&self) -> bool {
        self.segments.iter().all(|segment| *segment == Segment::Any)
    }

    /// Returns the segments of the type part.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Display for TypeGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
