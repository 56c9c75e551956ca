//! The one way to a peer. Names are resolved here, the addresses are judged here, and exactly a
//! judged address is connected to: nothing looks the name up again in between, so a resolver that
//! changes its mind gains nothing. Addresses written in the URL take the same way.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hookward_core::is_public_address;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tower::Service;

/// An address that does not answer gives way to the next one after this long.
const EACH_BUT_THE_LAST: Duration = Duration::from_secs(3);

/// Every address of the host is in a network that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host} leads to {address}, which is not a public address; set `allow_private: true` if this \
     step shall reach it"
)]
pub(crate) struct Refused {
    host: String,
    address: IpAddr,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0} cannot be resolved: {1}")]
    Unresolved(String, io::Error),
    #[error("no connection to {0}: {1}")]
    Unreachable(String, io::Error),
}

type Addresses = io::Result<Vec<SocketAddr>>;
/// Looks up a host.
pub(crate) type Resolve =
    dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = Addresses> + Send>> + Send + Sync;

/// Connects to hosts, to public addresses only unless told otherwise.
#[derive(Clone)]
pub(crate) struct Connector {
    allow_private: bool,
    resolve: Arc<Resolve>,
}

impl Connector {
    /// With the resolver of the system.
    pub(crate) fn new(allow_private: bool) -> Self {
        let resolve = |host: String, port| -> Pin<Box<dyn Future<Output = Addresses> + Send>> {
            Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
        };
        Self { allow_private, resolve: Arc::new(resolve) }
    }

    /// A connection to the host and port of `uri`.
    pub(crate) async fn connect(&self, uri: &Uri) -> Result<TcpStream, ConnectError> {
        let (host, allowed) = self.judged(uri).await?;
        match first_to_answer(&allowed).await {
            Ok(stream) => {
                // Small requests shall not wait for company; a refusal to say so is no reason to fail.
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Err(error) => Err(ConnectError::Unreachable(host, error)),
        }
    }

    /// The host, looked up once, and those of its addresses that may be reached.
    async fn judged(&self, uri: &Uri) -> Result<(String, Vec<SocketAddr>), ConnectError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let found = match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
            Err(_) => (self.resolve)(host.clone(), port).await,
        };
        let found = found.map_err(|e| ConnectError::Unresolved(host.clone(), e))?;
        let allowed = self.allowed(&host, found)?;
        Ok((host, allowed))
    }

    fn allowed(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let refused = found.first().map(SocketAddr::ip);
        let may = |address: &SocketAddr| self.allow_private || is_public_address(address.ip());
        let allowed: Vec<_> = found.into_iter().filter(may).collect();
        match refused {
            Some(address) if allowed.is_empty() => Err(Refused { host: host.to_owned(), address }),
            _ => Ok(allowed),
        }
    }
}

async fn first_to_answer(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    };
    for address in others {
        let attempt = tokio::time::timeout(EACH_BUT_THE_LAST, TcpStream::connect(address)).await;
        if let Ok(Ok(stream)) = attempt {
            return Ok(stream);
        }
    }
    TcpStream::connect(last).await
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn resolving_to(answer: impl Fn(u16) -> Vec<SocketAddr> + Send + Sync + 'static) -> Connector {
        let resolve = move |_: String, port| -> Pin<Box<dyn Future<Output = Addresses> + Send>> {
            let found = answer(port);
            Box::pin(async move { Ok(found) })
        };
        Connector { allow_private: false, resolve: Arc::new(resolve) }
    }

    #[tokio::test]
    async fn a_resolver_that_flips_between_public_and_private_never_leads_to_the_private_address() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let connector = resolving_to(move |port| {
            let odd = count.fetch_add(1, Ordering::SeqCst) % 2 == 1;
            let ip = if odd { [127, 0, 0, 1] } else { [9, 9, 9, 9] };
            vec![SocketAddr::from((ip, port))]
        });
        let uri: Uri = "http://rebind.example:80/".parse().unwrap();
        for round in 0..4 {
            // Judged only: a test connects to nobody outside.
            let answer = connector.judged(&uri).await;
            assert_eq!(asked.load(Ordering::SeqCst), round + 1, "one look-up per connection");
            match answer {
                Ok((_, addresses)) => {
                    assert_eq!((round % 2, addresses), (0, vec![([9, 9, 9, 9], 80).into()]));
                }
                Err(e) => assert!(round % 2 == 1 && matches!(e, ConnectError::Refused(_))),
            }
        }
    }

    #[test]
    fn of_several_addresses_only_the_public_ones_are_used() {
        let connector = Connector::new(false);
        let (private, public) = (([10, 0, 0, 1], 80).into(), ([9, 9, 9, 9], 80).into());
        assert_eq!(connector.allowed("mixed", vec![private, public]).unwrap(), [public]);
        let error = connector.allowed("inside", vec![private]).unwrap_err().to_string();
        assert!(error.contains("10.0.0.1") && error.contains("allow_private"), "{error}");
    }
}
