//! The numbered rules of the three specifications, `docs/spec/{provider,handler,store}.md`. Each rule is
//! checked by the test of its number, and a failing test prints number and sentence.

use std::fmt;

/// One rule of a specification: "PROVIDER-2: a provider MUST reject …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Family and number, such as `STORE-14`. A number is never given to another rule.
    pub number: &'static str,
    /// What an implementation MUST do, as it follows "a store MUST".
    pub must: &'static str,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.number.split('-').next().unwrap_or_default().to_ascii_lowercase();
        write!(f, "{}: a {family} MUST {}", self.number, self.must)
    }
}

const fn rule(number: &'static str, must: &'static str) -> Rule {
    Rule { number, must }
}

/// The rules of `docs/spec/provider.md`.
pub const PROVIDER: &[Rule] = &[
    rule("PROVIDER-1", "accept every genuine recording, and identify its event as recorded"),
    rule("PROVIDER-2", "reject every change of one bit of a signed body"),
    rule(
        "PROVIDER-3",
        "reject every change of one bit of a tag, or of anything signed in the head",
    ),
    rule(
        "PROVIDER-4",
        "reject a request that lacks a header which the proof uses, as `MISSING_SIGNATURE`",
    ),
    rule("PROVIDER-5", "reject a request in which a header that the proof uses is empty"),
    rule(
        "PROVIDER-6",
        "reject a request in which a header that the proof uses, or one that identifies the event, has two different values",
    ),
    rule(
        "PROVIDER-7",
        "accept a request in which a header that the proof uses appears twice with the same value",
    ),
    rule("PROVIDER-8", "reject a request in which a header that the proof uses has 20 KB"),
    rule(
        "PROVIDER-9",
        "accept a signed time up to the edge of the tolerance in both directions, and not beyond",
    ),
    rule(
        "PROVIDER-10",
        "accept each secret until its end, report which one matched, and accept nothing without a secret",
    ),
    rule("PROVIDER-11", "verify what its own signer signed, and identify it as the signed event"),
    rule("PROVIDER-12", "never show a secret in `Debug`, an error or a sample"),
    rule("PROVIDER-13", "never panic and never accept arbitrary bytes"),
    rule("PROVIDER-14", "reject in `verify`, with the same code, what it rejects in `precheck`"),
    rule(
        "PROVIDER-15",
        "reject unknown keys of its `with:` block, in the config type and in the JSON Schema",
    ),
    rule(
        "PROVIDER-16",
        "have samples that are JSON, can be signed, and are identified as the type they claim",
    ),
    rule(
        "PROVIDER-17",
        "describe itself with a snake_case name and a one-line summary, and keep no header that carries a signature or token",
    ),
    rule(
        "PROVIDER-18",
        "accept usable secrets in `check_secret`, and show no secret in its errors",
    ),
    rule(
        "PROVIDER-19",
        "answer an accepted delivery with a 2xx that shows no secret, whatever became of its events",
    ),
];

/// The rules of `docs/spec/handler.md`.
pub const HANDLER: &[Rule] = &[
    rule(
        "HANDLER-1",
        "build from its documented config, under a snake_case name with a one-line summary",
    ),
    rule("HANDLER-2", "reject unknown keys of its `with:` block"),
    rule("HANDLER-3", "describe every key of its `with:` block in its JSON Schema"),
    rule("HANDLER-4", "build without I/O: no file is written, and no folder has to exist"),
    rule("HANDLER-5", "never panic, whatever the body, type, id or headers of an event are"),
    rule(
        "HANDLER-6",
        "succeed again when a step runs a second time under the same idempotency key",
    ),
    rule("HANDLER-7", "never show a secret of its config in `Debug`"),
    rule("HANDLER-8", "never put payload into an error"),
];

/// The rules of `docs/spec/store.md`.
pub const STORE: &[Rule] = &[
    rule(
        "STORE-1",
        "answer a repeated delivery with the stored answer, byte for byte, and make no job for it",
    ),
    rule("STORE-2", "accept one dedupe key once within one call and within one delivery"),
    rule("STORE-3", "accept one dedupe key once among concurrent calls"),
    rule(
        "STORE-4",
        "accept the new events of a batch that is partly known, and answer a fully known batch with the answer of its newest event",
    ),
    rule(
        "STORE-5",
        "record a content duplicate with the event that it repeats, and prefer the id where id and bytes name different events",
    ),
    rule("STORE-6", "ignore dedupe keys that are older than `dedupe_since`"),
    rule("STORE-7", "return body, headers, type and id exactly as they were accepted"),
    rule("STORE-8", "give each job of a batch the bytes of its own item"),
    rule("STORE-9", "store unrouted and invalid events with their notes, and without jobs"),
    rule("STORE-10", "claim at most as many jobs per route as the claim has free slots"),
    rule("STORE-11", "lease each job to one worker at a time"),
    rule("STORE-12", "claim no job before it is due, and report when the next one is"),
    rule("STORE-13", "run the jobs of one order key one at a time, in the order of acceptance"),
    rule("STORE-14", "change nothing for a stale lease, and report it as stale"),
    rule("STORE-15", "reclaim a job when its lease ends, with the cause `lease`"),
    rule("STORE-16", "resume a retried job at the step and with the body of its settlement"),
    rule("STORE-17", "not count the attempt of a released job"),
    rule("STORE-18", "revive a dead job at the step that failed, with its attempts counted from 1"),
    rule("STORE-19", "replay a route as a new job of the event, and skip unknown events"),
    rule("STORE-20", "settle a job without a route as unrouted"),
    rule(
        "STORE-21",
        "purge only finished events before `events_before` and dead ones before `dead_before`, at most `limit` per call",
    ),
    rule("STORE-22", "list events newest first, page by page, without gaps or repetitions"),
    rule("STORE-23", "apply every filter of a listing"),
    rule("STORE-24", "report open and dead jobs per route, and the oldest waiting event"),
    rule("STORE-25", "report that it is closed, and allow closing twice"),
    rule(
        "STORE-26",
        "keep events, jobs, dedupe keys and answers over a restart, and never reuse a lease token",
    ),
    rule(
        "STORE-27",
        "void all leases at a restart, record the crash as the cause, and run crash suspects one at a time",
    ),
    rule(
        "STORE-28",
        "dead-letter a job that was running at more deaths of the process than the crash limit allows",
    ),
    rule(
        "STORE-29",
        "return the state of the retention clock that was saved last, also over a restart",
    ),
    rule(
        "STORE-30",
        "let jobs be claimed from the delivery's `due` on, and purge its events by `received_at`",
    ),
    rule(
        "STORE-31",
        "take no event for a duplicate by its unsigned id alone, note the reuse, and report a content duplicate of the id's owner as a duplicate by id",
    ),
    rule(
        "STORE-32",
        "give each new event the first free of its variant keys, and answer an event that finds none free as a content duplicate of the first one's owner",
    ),
    rule(
        "STORE-33",
        "keep the dedupe keys of the sources in `keep_keys` after a purge, also over a restart, until they are older than every `since`",
    ),
];

/// The rule with this number.
///
/// # Panics
/// If there is no such rule: then a test names a number that the specification does not have.
#[allow(clippy::panic, reason = "a suite reports by panicking")]
pub(crate) fn rule_of(rules: &[Rule], number: &str) -> Rule {
    match rules.iter().find(|rule| rule.number == number) {
        Some(rule) => *rule,
        None => panic!("{number} is not in the specification"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_numbered_from_one_without_gaps() {
        for (family, rules) in [("PROVIDER", PROVIDER), ("HANDLER", HANDLER), ("STORE", STORE)] {
            for (index, rule) in rules.iter().enumerate() {
                assert_eq!(rule.number, format!("{family}-{}", index + 1));
            }
        }
    }

    #[test]
    fn a_rule_prints_its_number_and_sentence() {
        let rule = rule_of(STORE, "STORE-20");
        assert_eq!(
            rule.to_string(),
            "STORE-20: a store MUST settle a job without a route as unrouted"
        );
    }
}
