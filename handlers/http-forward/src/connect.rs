//! Opens all connections of the handler. It resolves a name once, checks the addresses, and
//! connects to exactly a checked address. No second lookup happens in between, so DNS rebinding
//! cannot reach a private address. Addresses in the URL are checked in the same way.

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

/// How long an address may take to connect if there is another one to try.
const FALLBACK_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Every address of the host is in a network that the step may not reach.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host} resolves to {address}, which is not a public address; set `allow_private: true` if this \
     step may reach it"
)]
pub(crate) struct PrivateAddress {
    host: String,
    address: IpAddr,
}

/// Reasons for which a connection fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Private(#[from] PrivateAddress),
    #[error("{0} cannot be resolved: {1}")]
    Unresolved(String, io::Error),
    #[error("no connection to {0}: {1}")]
    Unreachable(String, io::Error),
}

type Addresses = io::Result<Vec<SocketAddr>>;
/// Resolves a host and a port to addresses.
pub(crate) type Resolve =
    dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = Addresses> + Send>> + Send + Sync;

/// Connects to hosts; to public addresses only, unless `allow_private` is set.
#[derive(Clone)]
pub(crate) struct Connector {
    allow_private: bool,
    resolve: Arc<Resolve>,
}

impl Connector {
    /// Creates a connector with the resolver of the system.
    pub(crate) fn new(allow_private: bool) -> Self {
        let resolve = |host: String, port| -> Pin<Box<dyn Future<Output = Addresses> + Send>> {
            Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
        };
        Self { allow_private, resolve: Arc::new(resolve) }
    }

    /// Connects to host and port of `uri`.
    pub(crate) async fn connect(&self, uri: &Uri) -> Result<TcpStream, ConnectError> {
        let (host, allowed) = self.resolve_allowed(uri).await?;
        match connect_to_first(&allowed).await {
            Ok(stream) => {
                // Nagle's algorithm would delay small requests. A failure to disable it is not an
                // error.
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Err(error) => Err(ConnectError::Unreachable(host, error)),
        }
    }

    /// Resolves the host once and returns it with the addresses that the step may reach.
    async fn resolve_allowed(&self, uri: &Uri) -> Result<(String, Vec<SocketAddr>), ConnectError> {
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

    fn allowed(
        &self,
        host: &str,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, PrivateAddress> {
        let first_address = found.first().map(SocketAddr::ip);
        let is_allowed =
            |address: &SocketAddr| self.allow_private || is_public_address(address.ip());
        let allowed: Vec<_> = found.into_iter().filter(is_allowed).collect();
        match first_address {
            Some(address) if allowed.is_empty() => {
                Err(PrivateAddress { host: host.to_owned(), address })
            }
            _ => Ok(allowed),
        }
    }
}

async fn connect_to_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    };
    for address in others {
        let attempt =
            tokio::time::timeout(FALLBACK_CONNECT_TIMEOUT, TcpStream::connect(address)).await;
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
    async fn dns_rebinding_never_reaches_a_private_address() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let connector = resolving_to(move |port| {
            let odd = count.fetch_add(1, Ordering::SeqCst) % 2 == 1;
            let ip = if odd { [127, 0, 0, 1] } else { [9, 9, 9, 9] };
            vec![SocketAddr::from((ip, port))]
        });
        let uri: Uri = "http://rebind.example:80/".parse().unwrap();
        for round in 0..4 {
            // Resolved only: tests do not connect to the internet.
            let answer = connector.resolve_allowed(&uri).await;
            assert_eq!(asked.load(Ordering::SeqCst), round + 1, "one look-up per connection");
            match answer {
                Ok((_, addresses)) => {
                    assert_eq!((round % 2, addresses), (0, vec![([9, 9, 9, 9], 80).into()]));
                }
                Err(e) => assert!(round % 2 == 1 && matches!(e, ConnectError::Private(_))),
            }
        }
    }

    #[test]
    fn only_the_public_ones_of_several_addresses_are_used() {
        let connector = Connector::new(false);
        let (private, public) = (([10, 0, 0, 1], 80).into(), ([9, 9, 9, 9], 80).into());
        assert_eq!(connector.allowed("mixed", vec![private, public]).unwrap(), [public]);
        let error = connector.allowed("inside", vec![private]).unwrap_err().to_string();
        assert!(error.contains("10.0.0.1") && error.contains("allow_private"), "{error}");
    }
}
