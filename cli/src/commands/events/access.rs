//! Access to the admin API: that of the running server, or, if no server runs, the same API in this process
//! over the embedded store.

use std::path::PathBuf;

use axum::body::Body;
use bytes::Bytes;
use hookward::{BuildAppError, Hooks, Metrics};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tower::ServiceExt;

use crate::{EXIT_ERROR, EXIT_STORE, EXIT_USAGE, client};

/// Selects the server or the store.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreTarget {
    /// The routing table, which configures the admin port, its token and the store
    #[arg(long, value_name = "ROUTES", default_value = "routes.yaml")]
    routes: PathBuf,
    /// URL of the admin port, such as http://127.0.0.1:8081
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Bearer token of the admin port
    #[arg(long, env = "HOOKWARD_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// An error with its exit code.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl CliError {
    fn new(code: u8, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

/// An open connection to the admin API.
pub(crate) struct Access {
    base: String,
    token: Option<String>,
    /// The API in this process, if no server runs.
    in_process: Option<Hooks>,
}

impl StoreTarget {
    /// Connects to the server if one answers; otherwise opens the embedded store.
    pub(crate) async fn open(&self) -> Result<Access, CliError> {
        let given = self.token.clone().filter(|t| !t.is_empty());
        if let Some(admin) = &self.admin {
            let base = admin.trim_end_matches('/');
            let http = if base.contains("://") { "" } else { "http://" };
            let base = format!("{http}{base}");
            return Ok(Access { base, token: given, in_process: None });
        }
        if !self.routes.exists() {
            let file = self.routes.display();
            return Err(CliError::new(
                EXIT_USAGE,
                format!(
                    "there is no {file}; use --routes FILE, or --admin URL for a running server"
                ),
            ));
        }
        let app = super::super::app(&self.routes, Metrics::none());
        let app = app.map_err(|e| CliError::new(EXIT_USAGE, e))?;
        let config = hookward::internal::load(&app)
            .map_err(|d| CliError::new(EXIT_ERROR, d.render(crate::output::colour())))?
            .config;
        let configured = config.admin.token.as_ref().map(|t| t.expose().to_owned());
        let token = given.or(configured);
        let base = format!("http://{}", config.admin.listen);
        let mut access = Access { base, token, in_process: None };
        match access.get("/api/v1/stats", &[]).await {
            Err(e) if e.code == EXIT_STORE => {}
            Err(e) => return Err(e),
            Ok(_) => return Ok(access),
        }
        let hooks = app.open().await.map_err(|e| match e {
            BuildAppError::Store { .. } => CliError::new(
                EXIT_STORE,
                format!("{e}\nhelp: if a server has the store open, use --admin URL"),
            ),
            e => CliError::new(EXIT_ERROR, e),
        })?;
        access.in_process = Some(hooks);
        Ok(access)
    }
}

impl Access {
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Value, CliError> {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        url.extend_pairs(query);
        let query = url.finish();
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        self.call(Method::GET, &target, Bytes::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.call(Method::POST, path, body.to_string().into()).await
    }

    /// Closes the store, if it is open in this process.
    pub(crate) async fn close(&self) {
        if let Some(hooks) = &self.in_process {
            hooks.stop().await;
        }
    }

    async fn call(&self, method: Method, target: &str, body: Bytes) -> Result<Value, CliError> {
        // The router in this process takes a path; a client needs the whole URL.
        let uri = match self.in_process {
            Some(_) => target.to_owned(),
            None => format!("{}{target}", self.base),
        };
        let mut request = http::Request::builder().method(method).uri(&uri);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let usage = |e: http::Error| CliError::new(EXIT_USAGE, format!("{uri}: {e}"));
        let (status, bytes) = match &self.in_process {
            Some(hooks) => {
                let request = request.header(header::HOST, "localhost").body(Body::from(body));
                call_in_process(hooks, request.map_err(usage)?).await?
            }
            None => {
                let request = request.body(body).map_err(usage)?;
                let answer = client::send(request, None).await.map_err(|e| {
                    CliError::new(if e.connect_failed { EXIT_STORE } else { EXIT_ERROR }, e.message)
                })?;
                (answer.status(), answer.into_body())
            }
        };
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let error = value.get("error").and_then(Value::as_str).unwrap_or("no reason given");
        let code = if status == StatusCode::SERVICE_UNAVAILABLE { EXIT_STORE } else { EXIT_ERROR };
        let hint = match status {
            StatusCode::UNAUTHORIZED => {
                "\nhelp: pass the token with --token or HOOKWARD_ADMIN_TOKEN"
            }
            _ => "",
        };
        Err(CliError::new(code, format!("{error}{hint}")))
    }
}

async fn call_in_process(
    hooks: &Hooks,
    request: http::Request<Body>,
) -> Result<(StatusCode, Bytes), CliError> {
    let response = match hooks.admin().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
    let body = Limited::new(response.into_body(), 256 * 1024 * 1024).collect().await;
    let body = body.map_err(|e| CliError::new(EXIT_STORE, e))?;
    Ok((status, body.to_bytes()))
}

/// Percent-encodes a text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
