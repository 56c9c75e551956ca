//! "Did you mean": the nearest of several names, and lists of names for messages.

/// The minimum Jaro–Winkler similarity of a suggestion, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.86;

/// The maximum number of names that a message lists.
const MAX_LISTED_NAMES: usize = 30;

/// Returns the most similar name, if it is similar enough to be the one that was meant.
pub(super) fn nearest<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let fold = |s: &str| s.to_ascii_lowercase().replace('-', "_");
    let wanted = fold(wanted);
    let score = |name: &str| {
        let name = fold(name);
        let similarity = strsim::jaro_winkler(&wanted, &name);
        let edits = strsim::damerau_levenshtein(&wanted, &name);
        let is_near =
            similarity >= MIN_SIMILARITY || (edits <= 2 && name.len() >= 4 && wanted.len() >= 4);
        is_near.then_some(similarity)
    };
    names
        .into_iter()
        .filter_map(|name| Some((score(name)?, name)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Formats names as `a`, `b`, `c`; of more than thirty, the first thirty and the number of others.
pub(super) fn quoted_list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| format!("`{}`", n.as_ref())).collect();
    let more = names.len().saturating_sub(MAX_LISTED_NAMES);
    let listed =
        names.iter().take(MAX_LISTED_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let keys = ["retry", "concurrency", "order_by", "on_invalid"];
        assert_eq!(nearest("retrys", keys), Some("retry"));
        assert_eq!(nearest("orderBy", keys), Some("order_by"));
        assert_eq!(nearest("on-invalid", keys), Some("on_invalid"));
        assert_eq!(nearest("color", keys), None);
    }
}
