//! How many files this process may open: a connection is one, and a process that has none left can
//! neither accept nor store. Called by the accept loop and by servers at their start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for everything that is no connection of this listener: the store, handlers, the admin port.
const RESERVED: usize = 128;

/// Lets this process open as many files as the system allows it, and says how many that is.
/// What starts processes often sets a low limit for old programs' sake, 1,024; a server needs more.
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current
}

/// So many of the wanted connections fit under the limit as it is.
pub(crate) fn fitting(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let fits = under(wanted, limit.and_then(|limit| usize::try_from(limit).ok()));
    if fits < wanted {
        tracing::warn!(
            wanted,
            fits,
            "this process may not open files for so many connections; raise its limit (ulimit -n)"
        );
    }
    fits
}

/// Of a small limit, half.
fn under(wanted: usize, limit: Option<usize>) -> usize {
    let Some(limit) = limit else { return wanted };
    wanted.min(limit.saturating_sub(RESERVED).max(limit / 2))
}

#[cfg(test)]
mod tests {
    use super::under;

    #[test]
    fn connections_leave_files_for_the_store() {
        assert_eq!(under(10_000, None), 10_000);
        assert_eq!(under(10_000, Some(1 << 20)), 10_000);
        assert_eq!(under(10_000, Some(1024)), 896);
        assert_eq!(under(10_000, Some(100)), 50);
        assert_eq!(under(20, Some(1024)), 20);
    }
}
