//! The trial of an address: an empty HEAD (a GET, for people) that wants 200. It says that somebody is
//! here, and nothing else.

use hookward_core::{Head, Reply};
use http::{Method, StatusCode};

/// The answer, if that is what it is.
pub(crate) fn answer(head: &Head) -> Option<Reply> {
    matches!(head.method, Method::HEAD | Method::GET).then(|| Reply::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_get_are_answered_with_nothing_and_post_is_not() {
        let status = |method| {
            let reply = answer(&Head::default().with_method(method))?;
            Some((reply.status.as_u16(), reply.body.len()))
        };
        assert_eq!(status(Method::HEAD), Some((200, 0)));
        assert_eq!(status(Method::GET), Some((200, 0)));
        assert_eq!(status(Method::POST), None);
    }
}
