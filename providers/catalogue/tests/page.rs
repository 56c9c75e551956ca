//! The page of senders says what the data says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../examples/page.rs"]
#[allow(dead_code, unreachable_pub)]
mod page;

#[test]
fn the_page_of_senders_is_the_one_that_the_data_makes() {
    let shipped = include_str!("../../../docs/providers.md");
    assert!(
        shipped == page::page().unwrap(),
        "run `cargo run -p hookward-provider-catalogue --example page > docs/providers.md`"
    );
}

#[test]
fn the_readme_counts_the_senders() {
    let readme = include_str!("../../../README.md");
    let many = format!("{} more senders as data", hookward_provider_catalogue::DATA.len());
    assert!(readme.contains(&many), "it should say `{many}`");
}
