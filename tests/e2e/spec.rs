//! The pages of `docs/spec/` have every rule of the kit, word for word, and no other.

use std::path::Path;

use hookward_testkit::spec::{HANDLER, PROVIDER, Rule, STORE};

/// The rows `| NUMBER | sentence |` of a page, in the order of their numbers.
fn rows(page: &str, family: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/spec").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let number = |name: &str| name.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
    let mut rows: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .filter(|(name, _)| name.starts_with(family))
        .map(|(name, must)| (name.to_owned(), must.to_owned()))
        .collect();
    rows.sort_by_key(|(name, _)| number(name));
    rows
}

fn assert_same(page: &str, family: &str, rules: &[Rule]) {
    let expected: Vec<_> =
        rules.iter().map(|rule| (rule.number.to_owned(), rule.must.to_owned())).collect();
    assert_eq!(rows(page, family), expected, "docs/spec/{page} differs from the kit");
}

#[test]
fn each_specification_page_has_the_rules_of_the_kit() {
    assert_same("provider.md", "PROVIDER-", PROVIDER);
    assert_same("handler.md", "HANDLER-", HANDLER);
    assert_same("store.md", "STORE-", STORE);
}
