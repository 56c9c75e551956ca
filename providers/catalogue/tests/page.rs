//! The repository's README states the number of senders in the catalogue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[test]
fn the_readme_states_the_number_of_senders() {
    let readme = include_str!("../../../README.md");
    let count =
        format!("{} more senders described as data", hookward_provider_catalogue::DATA.len());
    assert!(readme.contains(&count), "README.md should contain `{count}`");
}
