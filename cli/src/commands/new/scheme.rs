//! How a new provider's sender signs: from flags, from a file, or asked for at the terminal.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use hookward_core::scheme::{CompiledScheme, Scheme};
use serde_json::{Map, Value, json};

use super::name::Name;

/// The scheme grammar as flags. An omitted flag has the most common value.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SchemeArgs {
    /// A scheme as JSON, in the words of `provider: hmac`, instead of the flags below
    #[arg(long, value_name = "FILE.json")]
    scheme: Option<PathBuf>,
    /// The header with the signature; default: X-NAME-Signature
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// Text before the signature, such as `sha256=`
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// How the signature is written: hex, base64, base64url
    #[arg(long, value_name = "E")]
    encoding: Option<String>,
    /// hmac-sha256, hmac-sha1, hmac-sha512, or equal for a plain token
    #[arg(long, value_name = "ALG")]
    alg: Option<String>,
    /// What is signed; default: `{body}`, with --timestamp `{timestamp}.{body}`
    #[arg(long, value_name = "TEMPLATE")]
    message: Option<String>,
    /// How the secret becomes the key: utf8, hex, whsec
    #[arg(long, value_name = "FORM")]
    key: Option<String>,
    /// Where the signed time is, such as `header:X-Acme-Time`
    #[arg(long, value_name = "PLACE")]
    timestamp: Option<String>,
    /// How the time is written: s, ms, rfc3339
    #[arg(long, value_name = "UNIT", requires = "timestamp")]
    timestamp_unit: Option<String>,
    /// Where the event type is: `/pointer` or `header:NAME`; default: /type
    #[arg(long, value_name = "PLACE")]
    event_type: Option<String>,
    /// Where the event id is; default: /id
    #[arg(long, value_name = "PLACE")]
    event_id: Option<String>,
}

/// A valid scheme, as it is written to its file.
pub(super) struct NewScheme {
    pub(super) json: Value,
    pub(super) compiled: CompiledScheme,
}

pub(super) fn choose(args: &SchemeArgs, name: &Name) -> Result<NewScheme, String> {
    let json = match &args.scheme {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| format!("--scheme {}: {e}", path.display()))?;
            serde_json::from_str(&text).map_err(|e| format!("--scheme {}: {e}", path.display()))?
        }
        None if args.is_empty() && std::io::stdin().is_terminal() => {
            from_flags(&ask_for_flags(name)?, name)
        }
        None => from_flags(args, name),
    };
    let compiled = Scheme::from_json(&json.to_string()).and_then(Scheme::compile).map_err(|e| {
        let at = if e.pointer.is_empty() { String::new() } else { format!(" at {}", e.pointer) };
        format!("this scheme cannot be used{at}: {e}")
    })?;
    Ok(NewScheme { json, compiled })
}

impl SchemeArgs {
    fn is_empty(&self) -> bool {
        let given = [
            &self.header,
            &self.prefix,
            &self.encoding,
            &self.alg,
            &self.message,
            &self.key,
            &self.timestamp,
            &self.event_type,
            &self.event_id,
        ];
        self.scheme.is_none() && given.iter().all(|flag| flag.is_none())
    }
}

fn from_flags(args: &SchemeArgs, name: &Name) -> Value {
    let text = |flag: &Option<String>, default: &str| {
        json!(flag.as_deref().filter(|t| !t.is_empty()).unwrap_or(default))
    };
    let header = format!("X-{}-Signature", name.camel);
    let mut signature = Map::new();
    signature.insert("in".to_owned(), json!("header"));
    signature.insert("name".to_owned(), text(&args.header, &header));
    if let Some(prefix) = args.prefix.as_deref().filter(|p| !p.is_empty()) {
        signature.insert("prefix".to_owned(), json!(prefix));
    }
    signature.insert("encoding".to_owned(), text(&args.encoding, "hex"));
    let mut scheme = Map::new();
    scheme.insert("signature".to_owned(), Value::Object(signature));
    let timed = args.timestamp.as_deref().filter(|t| !t.is_empty());
    let message = if timed.is_some() { "{timestamp}.{body}" } else { "{body}" };
    let alg = text(&args.alg, "hmac-sha256");
    if alg != "equal" {
        scheme.insert("message".to_owned(), text(&args.message, message));
    }
    scheme.insert("alg".to_owned(), alg);
    if let Some(key) = args.key.as_deref().filter(|k| *k != "utf8" && !k.is_empty()) {
        scheme.insert("key".to_owned(), json!(key));
    }
    if let Some(place) = timed {
        let unit = text(&args.timestamp_unit, "s");
        let time = json!({ "from": place, "unit": unit, "past": 300, "future": 300 });
        scheme.insert("timestamp".to_owned(), time);
    }
    scheme.insert("event_type".to_owned(), text(&args.event_type, "/type"));
    scheme.insert("event_id".to_owned(), text(&args.event_id, "/id"));
    Value::Object(scheme)
}

/// Asks for the facts of the sender's documentation. An empty line takes the default in brackets.
fn ask_for_flags(name: &Name) -> Result<SchemeArgs, String> {
    let ask = |question: &str, default: &str| -> Result<Option<String>, String> {
        let mut err = std::io::stderr();
        let _ = write!(err, "{question} [{default}]: ");
        let _ = err.flush();
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).map_err(|e| e.to_string())?;
        if read == 0 {
            return Err("the questions were not answered; `hookward new provider --help` lists the equivalent flags".to_owned());
        }
        Ok(Some(line.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let header = ask("Header with the signature", &format!("X-{}-Signature", name.camel))?;
    let prefix = ask("Prefix of the signature, such as sha256=", "nothing")?;
    let encoding = ask("Encoding of the signature: hex, base64, base64url", "hex")?;
    let alg = ask("Algorithm: hmac-sha256, hmac-sha1, hmac-sha512, equal", "hmac-sha256")?;
    let timestamp = ask("Place of the signed time, such as header:X-Time", "none")?;
    let message = match &timestamp {
        Some(_) => ask("Signed message", "{timestamp}.{body}")?,
        None => ask("Signed message", "{body}")?,
    };
    let event_type = ask("Place of the event type: /pointer or header:NAME", "/type")?;
    let event_id = ask("Place of the event id", "/id")?;
    Ok(SchemeArgs {
        scheme: None,
        header,
        prefix,
        encoding,
        alg,
        message,
        key: None,
        timestamp,
        timestamp_unit: None,
        event_type,
        event_id,
    })
}
