//! The README counts the senders that are data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[test]
fn the_readme_counts_the_senders() {
    let readme = include_str!("../../../README.md");
    let many =
        format!("{} more senders described as data", hookward_provider_catalogue::DATA.len());
    assert!(readme.contains(&many), "it should say `{many}`");
}
