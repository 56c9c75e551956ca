//! The record of one attempt at a job: what ran, how it ended and why it ran.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One attempt at a job, as it is stored and shown. Written by the worker when the attempt ends, or
/// by the store where the worker did not live to report.
///
/// Its JSON has the fields in camelCase and is part of the on-disk format of stores; `error` and
/// `cause` are omitted where they are `None`.
///
/// ```
/// use hookward_core::store::{AttemptOutcome, AttemptRecord, Cause};
///
/// let started_at = "2025-10-09T08:53:20Z";
/// let record = AttemptRecord::new(2, started_at, AttemptOutcome::Done)
///     .with_step("deliver".to_owned())
///     .with_duration_ms(12)
///     .with_cause(Cause::Timeout);
/// let json = serde_json::to_string(&record).unwrap();
/// assert!(json.ends_with(r#""durationMs":12,"outcome":"done","cause":"timeout"}"#));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AttemptRecord {
    /// The attempt's number, from 1. A replay of a dead job starts again at 1.
    pub attempt: u32,
    /// The last step that the attempt reached; `None` where it did not reach any.
    pub step: Option<String>,
    /// When it started, in RFC 3339.
    pub started_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// How the attempt ended, as a word that stores write.
    pub outcome: AttemptOutcome,
    /// What went wrong, or why a handler stopped the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it ran; `None` for a job's first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl AttemptRecord {
    /// A record without step, error and cause, of an attempt that took no time. `started_at` is
    /// RFC 3339, as [`Timestamp`](crate::Timestamp) prints it.
    pub fn new(attempt: u32, started_at: impl Into<String>, outcome: AttemptOutcome) -> Self {
        let started_at = started_at.into();
        Self { attempt, step: None, started_at, duration_ms: 0, outcome, error: None, cause: None }
    }

    setters! {
        with_step => step: into Option<String>;
        with_duration_ms => duration_ms: u64;
        with_outcome => outcome: AttemptOutcome;
        with_error => error: into Option<String>;
        with_cause => cause: into Option<Cause>;
    }
}

/// Makes an enum that is stored and shown as one word per variant.
macro_rules! word_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident as $what:literal or $error:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A word that this version does not know: a newer version wrote it. Reading it is no
            /// error, so that one word cannot make a whole record unreadable.
            Unknown,
        }

        impl $name {
            /// The word in stores and JSON; `unknown` for [`Unknown`](Self::Unknown).
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Unknown => "unknown",
                }
            }

            /// Reads a stored word. A word of a newer version is [`Unknown`](Self::Unknown).
            pub fn from_stored(word: &str) -> Self {
                word.parse().unwrap_or(Self::Unknown)
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($error { text: text.to_owned() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from_stored(&Cow::<str>::deserialize(deserializer)?))
            }
        }

        #[doc = concat!("A text that is not ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("`{text}` is not {}; allowed: {}", $what, [$($word),+].join(", "))]
        pub struct $error {
            text: String,
        }
    };
}

word_enum! {
    /// How an attempt ended.
    ///
    /// ```
    /// use hookward_core::store::{AttemptOutcome, Cause};
    ///
    /// assert_eq!("panic".parse(), Ok(AttemptOutcome::Panic));
    /// assert_eq!(AttemptOutcome::Panic.next_cause(), Some(Cause::Error));
    /// assert_eq!(AttemptOutcome::from_stored("a word of tomorrow"), AttemptOutcome::Unknown);
    /// ```
    pub enum AttemptOutcome as "an attempt's outcome" or ParseAttemptOutcomeError {
        /// Every step ended well, and the job is done.
        Done = "done",
        /// A handler stopped the chain ([`Flow::Stop`](crate::Flow::Stop)); the job is done.
        Stopped = "stopped",
        /// A step returned an error.
        Error = "error",
        /// A step ran into its timeout.
        Timeout = "timeout",
        /// A step panicked, which counts as an error.
        Panic = "panic",
        /// The worker stopped before the attempt ended; it does not count.
        Released = "released",
        /// The process died during the attempt. Recorded by the store when it is opened again.
        Crash = "crash",
        /// The worker let its lease expire. Recorded by the store at the next claim.
        Lease = "lease",
    }
}

impl AttemptOutcome {
    /// The cause of the attempt that follows one with this outcome; `None` where no other follows
    /// because of it.
    pub const fn next_cause(self) -> Option<Cause> {
        match self {
            Self::Error | Self::Panic => Some(Cause::Error),
            Self::Timeout => Some(Cause::Timeout),
            Self::Crash => Some(Cause::Crash),
            Self::Lease => Some(Cause::Lease),
            Self::Done | Self::Stopped | Self::Released | Self::Unknown => None,
        }
    }
}

word_enum! {
    /// Why an attempt runs although the job ran before, or although it is the first of a replay.
    ///
    /// ```
    /// use hookward_core::store::Cause;
    ///
    /// assert_eq!(Cause::Lease.as_str(), "lease");
    /// assert_eq!("replay".parse(), Ok(Cause::Replay));
    /// ```
    pub enum Cause as "a cause of an attempt" or ParseCauseError {
        /// A step of the attempt before failed or panicked.
        Error = "error",
        /// A step of the attempt before ran into its timeout.
        Timeout = "timeout",
        /// The process died during the attempt before.
        Crash = "crash",
        /// The lease of the attempt before expired.
        Lease = "lease",
        /// An operator replayed the job.
        Replay = "replay",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_newer_version_is_readable() {
        let json = r#"{"attempt":1,"step":null,"startedAt":"2025-10-09T08:53:20Z","durationMs":1,
            "outcome":"evaporated","cause":"whim"}"#;
        let record: AttemptRecord = serde_json::from_str(json).unwrap();
        assert_eq!((record.outcome, record.cause), (AttemptOutcome::Unknown, Some(Cause::Unknown)));
    }

    #[test]
    fn words_are_read_back_as_they_are_written() {
        for word in ["done", "stopped", "error", "timeout", "panic", "released", "crash", "lease"] {
            assert_eq!(word.parse::<AttemptOutcome>().unwrap().as_str(), word);
        }
        let error = "whim".parse::<Cause>().unwrap_err().to_string();
        assert!(error.contains("allowed: error, timeout, crash, lease, replay"), "{error}");
    }
}
