//! The shop on a free port with a store of its own, and senders that sign their requests.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use example_embed::{Fakes, app, webhooks};
use hookward::{Environment, Hooks, SystemEnvironment};
use hookward_core::plugin::{BuildCx, Plugin, ProviderDescriptor};
use hookward_core::store::{EventDetail, EventStatus, JobState};
use hookward_core::{Body, Clock, EventDraft, Secret, SystemClock};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const STRIPE_SECRET: &str = "whsec_of_the_test";
const GITHUB_SECRET: &str = "hub-of-the-test";

pub fn routes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.yaml")
}

/// The variables of routes.yaml; files are read from the disk.
#[derive(Debug)]
struct Variables(HashMap<&'static str, String>);

impl Environment for Variables {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        SystemEnvironment.read(path)
    }
}

/// A running shop. Its fakes show what the handlers did, its hooks the stored events.
#[derive(Debug)]
pub struct Shop {
    pub fakes: Fakes,
    pub hooks: Hooks,
    address: String,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

impl Shop {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = Variables(HashMap::from([
            ("SHOP_STORE", folder.path().join("shop.db").display().to_string()),
            ("STRIPE_WEBHOOK_SECRET", STRIPE_SECRET.to_owned()),
            ("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET.to_owned()),
        ]));
        let fakes = Fakes::default();
        let services = fakes.services();
        let webhooks = webhooks(routes(), &services).unwrap().environment(Arc::new(variables));
        let (router, hooks) = app(webhooks, &services).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (shutdown, stopped) = oneshot::channel();
        let shutdown_signal = async { drop(stopped.await) };
        let server = hookward::serve(listener, router, shutdown_signal).with(hooks.clone());
        let server = tokio::spawn(server.into_future());
        Self { fakes, hooks, address, shutdown, server, _folder: folder }
    }

    /// Stops the server as a signal would and waits until the store is closed.
    pub async fn close(self) {
        self.shutdown.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }

    pub async fn get(&self, target: &str) -> (u16, String) {
        self.call("GET", target, &[], b"").await
    }

    /// Posts Stripe's sample of `kind` after `change`, signed as Stripe signs.
    pub async fn stripe(
        &self,
        kind: &str,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) -> (u16, Value) {
        self.post(hookward_provider_stripe::PLUGINS, STRIPE_SECRET, kind, id, change).await
    }

    /// Posts GitHub's sample of `kind` after `change`, signed as GitHub signs.
    pub async fn github(
        &self,
        kind: &str,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) -> (u16, Value) {
        self.post(hookward_provider_github::PLUGINS, GITHUB_SECRET, kind, id, change).await
    }

    async fn post(
        &self,
        plugins: &[Plugin],
        secret: &str,
        kind: &str,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) -> (u16, Value) {
        let Some(Plugin::Provider(provider)) = plugins.first() else { panic!("no provider") };
        let now = SystemClock.now();
        let mut body: Value = serde_json::from_str(&sample(provider, kind, id)).unwrap();
        change(&mut body);
        let draft = EventDraft::new(
            kind.to_owned(),
            id.to_owned(),
            Body::from_json(body),
            format!("http://{}/webhooks/{}", self.address, provider.name),
            now,
        );
        let cx = BuildCx::new(Path::new("."), provider.name);
        let built = (provider.build)(Value::Null, &cx).unwrap();
        let request = built.signer().unwrap().sign(&draft, &Secret::new(secret)).unwrap();
        let text = |v: &[u8]| String::from_utf8(v.to_vec()).unwrap();
        let headers = request.head.headers.iter();
        let headers: Vec<_> = headers.map(|(n, v)| (n.to_string(), text(v.as_bytes()))).collect();
        let (status, answer) =
            self.call("POST", draft.target(), &headers, draft.body.bytes()).await;
        (status, serde_json::from_str(&answer).unwrap())
    }

    async fn call(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> (u16, String) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        head += &format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Waits until no job of the event with this provider's id is pending, and returns it.
    pub async fn settled(&self, event_id: &str) -> EventDetail {
        let store = self.hooks.store().clone();
        let browse = store.browse().unwrap();
        for _ in 0..1000 {
            let found = browse.find(event_id, 1).await.unwrap();
            if let Some(id) = found.first() {
                let detail = browse.show(*id).await.unwrap().unwrap();
                if detail.summary.status != EventStatus::Pending {
                    return detail;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{event_id} is not settled after ten seconds");
    }
}

fn sample(provider: &ProviderDescriptor, kind: &str, id: &str) -> String {
    let sample = provider.samples.iter().find(|s| s.event_type == kind).unwrap();
    sample.render(kind, id, SystemClock.now())
}

/// The job of an event in `route`: its state, its number of attempts, and the error or outcome of
/// the last one.
pub fn job(detail: &EventDetail, route: &str) -> (JobState, u32, String) {
    let job = detail.jobs.iter().find(|job| job.route == route).unwrap();
    let last = job.attempts.last().unwrap();
    (job.state, job.attempt, last.error.clone().unwrap_or_else(|| last.outcome.to_string()))
}
