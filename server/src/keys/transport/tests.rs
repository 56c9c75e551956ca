//! The https client against a server on this machine, whose certificate is for certs.example.com
//! and issued by a test root.

use std::sync::Mutex;

use data_encoding::BASE64;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const URL: &str = "https://certs.example.com/keys";
const ROOT: &str = include_str!("../../../tests/data/root.pem");
const CHAIN: &str = include_str!("../../../tests/data/chain.pem");
const KEY: &str = include_str!("../../../tests/data/rsa.pk8.b64");

type Seen = Arc<Mutex<Vec<String>>>;

/// Serves this response to every connection and records the requests.
async fn start_server(answer: Vec<u8>) -> (SocketAddr, Seen) {
    let chain = CertificateDer::pem_slice_iter(CHAIN.as_bytes()).map(Result::unwrap).collect();
    let key: String = KEY.split_whitespace().collect();
    let key = PrivatePkcs8KeyDer::from(BASE64.decode(key.as_bytes()).unwrap());
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from(key))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let recorded = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            recorded.lock().unwrap().push(String::from_utf8_lossy(&buffer[..read]).into_owned());
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, seen)
}

fn https(address: SocketAddr, is_allowed: fn(SocketAddr) -> bool) -> Https {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ROOT.as_bytes()).unwrap()).unwrap();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let resolve = move |_: String, _| -> Pin<Box<dyn Future<Output = Addresses> + Send>> {
        Box::pin(async move { Ok(vec![address]) })
    };
    let connector = Connector { resolve: Arc::new(resolve), is_allowed };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
    Https::with_connector(builder.wrap_connector(connector))
}

async fn fetched(answer: impl Into<Vec<u8>>, url: &str) -> Result<Fetched, String> {
    let (address, _) = start_server(answer.into()).await;
    https(address, |_| true).fetch(url, None).await
}

#[tokio::test]
async fn a_document_is_fetched_with_its_max_age_and_a_question_is_posted_as_json() {
    let answer =
        "HTTP/1.1 200 OK\r\ncache-control: public, max-age=900\r\ncontent-length: 4\r\n\r\nkeys";
    let (address, seen) = start_server(answer.into()).await;
    let https = https(address, |_| true);
    let found = https.fetch(URL, None).await.unwrap();
    assert_eq!(
        (found.bytes.as_ref(), found.max_age),
        (&b"keys"[..], Some(Duration::from_secs(900)))
    );
    https.fetch(URL, Some(&Bytes::from_static(b"{\"key_id\":1}"))).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert!(seen[0].starts_with("GET /keys HTTP/1.1\r\n") && seen[0].contains("certs.example.com"));
    assert!(seen[1].starts_with("POST /keys HTTP/1.1\r\n"), "{}", seen[1]);
    assert!(seen[1].contains("application/json") && seen[1].ends_with("{\"key_id\":1}"));
}

#[tokio::test]
async fn wrong_hosts_unknown_roots_and_private_addresses_get_no_request() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nkeys";
    let (address, seen) = start_server(answer.into()).await;
    let other = https(address, |_| true).fetch("https://other.example.com/keys", None).await;
    assert!(other.unwrap_err().contains("certificate"));
    let private = https(address, |address| is_public_address(address.ip())).fetch(URL, None).await;
    assert!(private.unwrap_err().contains("no public address"));
    let plain = https(address, |_| true).fetch("http://certs.example.com/keys", None).await;
    assert!(plain.is_err());
    // The public roots do not contain the test root.
    let crypto = rustls::crypto::ring::default_provider();
    let resolve = move |_: String, _| -> Pin<Box<dyn Future<Output = Addresses> + Send>> {
        Box::pin(async move { Ok(vec![address]) })
    };
    let connector = Connector { resolve: Arc::new(resolve), is_allowed: |_| true };
    let public = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(crypto).unwrap();
    let public =
        Https::with_connector(public.https_only().enable_http1().wrap_connector(connector));
    assert!(public.fetch(URL, None).await.unwrap_err().contains("certificate"));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn redirects_error_statuses_and_overlong_documents_are_errors() {
    let away =
        "HTTP/1.1 302 Found\r\nlocation: https://certs.example.com/x\r\ncontent-length: 0\r\n\r\n";
    assert!(fetched(away, URL).await.unwrap_err().contains("302"));
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    assert!(fetched(gone, URL).await.unwrap_err().contains("404"));
    let mut long = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    long.resize(MAX_DOCUMENT_BYTES + 1000, b'a');
    assert!(fetched(long, URL).await.unwrap_err().contains("could not be read"));
    assert!(fetched("nonsense", URL).await.is_err());
}

#[test]
fn max_age_is_read_from_cache_control_and_no_store_is_zero() {
    let seconds = |text: &str| max_age(text).map(|age| age.as_secs());
    assert_eq!(seconds("public, max-age=22000, must-revalidate"), Some(22_000));
    assert_eq!(seconds("Max-Age=\"5\""), Some(5));
    assert_eq!(seconds("no-cache, max-age=5"), Some(0));
    assert_eq!(seconds("no-store"), Some(0));
    for absent in ["", "public", "max-age=", "max-age=-1", "max-age=soon", "s-maxage=5"] {
        assert_eq!(seconds(absent), None, "{absent}");
    }
}
