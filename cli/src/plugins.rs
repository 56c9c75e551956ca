//! Every first-party plugin, named so that it is linked. Naming it is what registers it.

use hookward_handler_exec as _;
use hookward_handler_file as _;
use hookward_handler_http_forward as _;
use hookward_handler_log as _;
use hookward_handler_noop as _;
use hookward_provider_catalogue as _;
use hookward_provider_github as _;
use hookward_provider_hmac as _;
use hookward_provider_none as _;
use hookward_provider_shopify as _;
use hookward_provider_slack as _;
use hookward_provider_standard_webhooks as _;
use hookward_provider_stripe as _;
use hookward_store_sqlite as _;
