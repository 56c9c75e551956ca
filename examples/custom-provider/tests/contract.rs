//! The numbered promises of every provider, checked for this one. It has no recordings, so the kit
//! starts from requests that the provider signs itself.

use example_custom_provider::PLUGINS;
use hookward_testkit::provider::Subject;

#[test]
fn acme_keeps_the_contract() {
    Subject::of(PLUGINS, "the shop's key", "another key").check();
}
