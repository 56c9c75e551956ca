//! "Did you mean": the nearest of several names, and lists of them for messages.

/// The nearest name, if it is near enough to be meant.
pub(super) fn nearest<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |s: &str| s.to_ascii_lowercase().replace('-', "_");
    let wanted = plain(wanted);
    let score = |name: &str| {
        let name = plain(name);
        let near = strsim::jaro_winkler(&wanted, &name);
        let edits = strsim::damerau_levenshtein(&wanted, &name);
        let close = near >= 0.86 || (edits <= 2 && name.len() >= 4 && wanted.len() >= 4);
        close.then_some(near)
    };
    names
        .into_iter()
        .filter_map(|name| Some((score(name)?, name)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// `a`, `b`, `c`; of very many the first ones.
pub(super) fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const MOST: usize = 30;
    let names: Vec<String> = names.into_iter().map(|n| format!("`{}`", n.as_ref())).collect();
    let more = names.len().saturating_sub(MOST);
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let keys = ["retry", "concurrency", "order_by", "on_invalid"];
        assert_eq!(nearest("retrys", keys), Some("retry"));
        assert_eq!(nearest("orderBy", keys), Some("order_by"));
        assert_eq!(nearest("on-invalid", keys), Some("on_invalid"));
        assert_eq!(nearest("color", keys), None);
    }
}
