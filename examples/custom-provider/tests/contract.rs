//! The rules that every provider must follow, checked by the kit. There are no recorded deliveries
//! of Acme, so the kit starts from samples that the provider signs itself.

use example_custom_provider::PLUGINS;
use hookward_testkit::provider::Subject;

#[test]
fn acme_follows_the_rules_for_providers() {
    Subject::of(PLUGINS, "the shop's key", "another key").check();
}
