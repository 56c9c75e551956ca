//! The limit of open files: every connection is one, and a process without free file descriptors
//! can neither accept nor store. Called by the listener and by servers at their start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::telemetry;

/// File descriptors that connections leave free, for the store, handlers and the admin port.
const RESERVED_FILES: usize = 128;

/// Raises the soft limit of open files to the hard limit and returns the limit now in force; `None`
/// means unlimited.
///
/// Shells and service managers often start processes with a soft limit of 1,024, too low for a
/// server. Call it once, before [`serve`](crate::serve()).
///
/// ```
/// let limit = hookward::raise_file_limit();
/// assert!(limit.is_none_or(|files| files >= 64));
/// ```
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current
}

/// Returns how many of `wanted` connections the limit of open files allows, and logs if it is
/// fewer.
pub(crate) fn allowed_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let allowed = connections_within(wanted, limit.and_then(|limit| usize::try_from(limit).ok()));
    if allowed < wanted {
        telemetry::connections_limited(wanted, allowed);
    }
    allowed
}

/// The smaller of `wanted` and the limit without the reserve, but at least half of the limit: under
/// a very small limit the reserve would leave no connection at all.
fn connections_within(wanted: usize, limit: Option<usize>) -> usize {
    let Some(limit) = limit else { return wanted };
    wanted.min(limit.saturating_sub(RESERVED_FILES).max(limit / 2))
}

#[cfg(test)]
mod tests {
    use super::connections_within;

    #[test]
    fn connections_leave_file_descriptors_for_the_store() {
        assert_eq!(connections_within(10_000, None), 10_000);
        assert_eq!(connections_within(10_000, Some(1 << 20)), 10_000);
        assert_eq!(connections_within(10_000, Some(1024)), 896);
        assert_eq!(connections_within(10_000, Some(100)), 50);
        assert_eq!(connections_within(20, Some(1024)), 20);
    }
}
