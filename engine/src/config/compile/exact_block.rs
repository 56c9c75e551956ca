//! The numbers of a block with all the digits that are written in the file: the parsed value rounds
//! what does not fit into 64 bits.

use hookward_core::{Body, Decimal};
use serde_json::{Number, Value};

use crate::config::document::Document;
use crate::config::pointer;
use crate::config::source_map::NodeKind;

/// The block at `at` as JSON text in which every number is as exact as the file has it.
pub(super) fn exact_block(document: &Document, at: &str, block: &Value) -> Body {
    let mut text = String::new();
    write_value(document, at, block, &mut text);
    Body::new(text)
}

fn write_value(document: &Document, at: &str, value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                write_value(document, &pointer::item(at, n), item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (n, (name, member)) in members.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_value(document, &pointer::join(at, name), member, out);
            }
            out.push('}');
        }
        Value::Number(number) => match written(document, at, number) {
            Some(exact) => out.push_str(&exact.to_string()),
            None => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}

/// The number as it is written at this place; `None` where it is not a rounded decimal.
fn written(document: &Document, at: &str, number: &Number) -> Option<Decimal> {
    let NodeKind::Scalar(text) = &document.source_map.find_value(at)?.kind else { return None };
    // The nearest place is found too, and its text is another number.
    let is_this = text.parse::<f64>().ok() == number.as_f64();
    Decimal::parse(text).filter(|_| number.is_f64() && is_this)
}
