//! The validation of a callback URL: Trello sends an empty HEAD and requires 200. A GET gets the
//! same, for people who open the URL. The reply reveals only that the endpoint exists.

use hookward_core::{Head, Reply};
use http::{Method, StatusCode};

/// Returns the reply to a HEAD or GET; `None` for other methods.
pub(crate) fn answer(head: &Head) -> Option<Reply> {
    matches!(head.method, Method::HEAD | Method::GET).then(|| Reply::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_get_get_an_empty_200_and_post_does_not() {
        let status = |method| {
            let reply = answer(&Head::default().with_method(method))?;
            Some((reply.status.as_u16(), reply.body.len()))
        };
        assert_eq!(status(Method::HEAD), Some((200, 0)));
        assert_eq!(status(Method::GET), Some((200, 0)));
        assert_eq!(status(Method::POST), None);
    }
}
