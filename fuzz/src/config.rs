//! Target `config`: routes.yaml from its text to a compiled configuration or to diagnostics.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hookward_engine::compiled::CompiledConfig;
use hookward_engine::config::{Diagnostics, Environment, LoadCx, Loaded, load_text};

use super::input::text;
use super::senders::{NOW, registry};

/// The value of secrets in the environment, which no message may show.
const SECRET_VALUE: &str = "hidden-in-the-environment";

/// An environment in which the first letter of a variable decides its value, with three files.
struct FuzzEnvironment;

impl Environment for FuzzEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        match name.as_bytes().first()? {
            b'N' => Some("8".to_owned()),
            b'E' => Some(String::new()),
            b'U' => None,
            _ => Some(SECRET_VALUE.to_owned()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("schema.json") => Ok(br#"{"type":"object"}"#.to_vec()),
            Some("wrong.json") => Ok(br#"{"type":"objct"}"#.to_vec()),
            Some("secret.txt") => Ok(format!("{SECRET_VALUE}\n").into_bytes()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Loads the text as routes.yaml.
pub fn run(data: &[u8]) {
    let Some(file) = text(data) else { return };
    match load(file) {
        Ok(loaded) => {
            check_diagnostics(file, &loaded.warnings);
            assert_eq!(loaded.warnings.errors(), 0);
            let shown = format!("{:?}", loaded.config.sources);
            assert!(!shown.contains(SECRET_VALUE), "the Debug output shows a secret");
        }
        Err(diagnostics) => {
            assert!(diagnostics.errors() > 0, "loading failed without an error");
            check_diagnostics(file, &diagnostics);
        }
    }
}

/// Compiles a routes.yaml, `None` if it has errors.
pub fn load_config(file: &str) -> Option<CompiledConfig> {
    load(file).ok().map(|loaded| loaded.config)
}

fn load(file: &str) -> Result<Loaded, Diagnostics> {
    let handlers = BTreeMap::new();
    let cx = LoadCx {
        registry: registry(),
        environment: &FuzzEnvironment,
        builtin_schemas: &[("stripe/invoice.paid", r#"{"type":"object"}"#)],
        handlers: &handlers,
        now: NOW,
    };
    load_text(Path::new("routes.yaml"), file, &cx)
}

/// Checks that every message has a position within the file and shows no secret.
fn check_diagnostics(file: &str, diagnostics: &Diagnostics) {
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let text = file.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    for d in diagnostics {
        assert!((1..=lines.len()).contains(&d.line), "line {} of {}", d.line, lines.len());
        let width = lines[d.line - 1].chars().count();
        assert!((1..=width + 1).contains(&d.column), "column {} of {width}: {d:?}", d.column);
        assert!(!d.message.is_empty());
    }
    for shown in [diagnostics.render(false), diagnostics.render(true)] {
        assert!(!shown.contains(SECRET_VALUE), "{shown}");
    }
}
