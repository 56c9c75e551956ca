//! Parses and serializes structured fields (RFC 8941), as far as signatures need them: dictionaries
//! of inner lists and of byte sequences. The parser is strict: it rejects every other form, and
//! also a repeated key, of which RFC 8941 would use the last.

use hookward_core::crypto::Encoding;

/// Maximum number of members of a dictionary, items of a list, and parameters.
const MAX_MEMBERS: usize = 64;

/// A bare item (section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BareItem {
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    Token(String),
    Boolean(bool),
}

/// Parameters in their order (section 3.1.2).
pub(crate) type Params = Vec<(String, BareItem)>;

/// An inner list of strings, each with parameters, and the parameters of the list (section 3.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InnerList {
    pub(crate) items: Vec<(String, Params)>,
    pub(crate) params: Params,
}

/// Parses a dictionary of inner lists: `a=("x" "y");created=1, b=…`.
pub(crate) fn parse_inner_lists(text: &str) -> Option<Vec<(String, InnerList)>> {
    dictionary(text, |reader| {
        let items = reader.items()?;
        Some(InnerList { items, params: reader.params()? })
    })
}

/// Parses a dictionary of byte sequences: `a=:YmFzZTY0:, b=…`.
pub(crate) fn parse_byte_sequences(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
    dictionary(text, |reader| {
        let BareItem::Bytes(bytes) = reader.bare()? else { return None };
        reader.params()?;
        Some(bytes)
    })
}

fn dictionary<T>(
    text: &str,
    mut value: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<(String, T)>> {
    let mut reader = Reader(text.trim_matches(' '));
    let mut members: Vec<(String, T)> = Vec::new();
    loop {
        let key = reader.key()?;
        if !reader.consume('=')
            || members.len() >= MAX_MEMBERS
            || members.iter().any(|(k, _)| *k == key)
        {
            return None;
        }
        let value = value(&mut reader)?;
        members.push((key, value));
        reader.skip_spaces();
        if reader.0.is_empty() {
            return Some(members);
        }
        if !reader.consume(',') {
            return None;
        }
        reader.skip_spaces();
    }
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn consume(&mut self, wanted: char) -> bool {
        match self.0.strip_prefix(wanted) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Consumes and returns the longest prefix of matching characters.
    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !accepts(c)).unwrap_or(self.0.len());
        let (prefix, rest) = self.0.split_at(end);
        self.0 = rest;
        prefix
    }

    fn key(&mut self) -> Option<String> {
        let first = |c: char| c.is_ascii_lowercase() || c == '*';
        self.0.starts_with(first).then(|| {
            self.take_while(|c| first(c) || c.is_ascii_digit() || "_-.".contains(c)).to_owned()
        })
    }

    fn params(&mut self) -> Option<Params> {
        let mut params: Params = Vec::new();
        while self.consume(';') {
            self.0 = self.0.trim_start_matches(' ');
            let key = self.key()?;
            let value = if self.consume('=') { self.bare()? } else { BareItem::Boolean(true) };
            if params.len() >= MAX_MEMBERS || params.iter().any(|(k, _)| *k == key) {
                return None;
            }
            params.push((key, value));
        }
        Some(params)
    }

    fn items(&mut self) -> Option<Vec<(String, Params)>> {
        let mut items = Vec::new();
        if !self.consume('(') {
            return None;
        }
        loop {
            let before = self.0.len();
            self.0 = self.0.trim_start_matches(' ');
            if self.consume(')') {
                return Some(items);
            }
            if items.len() >= MAX_MEMBERS || (!items.is_empty() && self.0.len() == before) {
                return None;
            }
            let BareItem::Text(text) = self.bare()? else { return None };
            items.push((text, self.params()?));
        }
    }

    fn bare(&mut self) -> Option<BareItem> {
        let first = self.0.chars().next()?;
        match first {
            '"' => self.text().map(BareItem::Text),
            ':' => {
                self.consume(':');
                let (coded, rest) = self.0.split_once(':')?;
                self.0 = rest;
                Encoding::Base64.decode(coded).map(BareItem::Bytes)
            }
            '?' => {
                self.consume('?');
                if self.consume('1') { Some(true) } else { self.consume('0').then_some(false) }
                    .map(BareItem::Boolean)
            }
            '-' | '0'..='9' => {
                let negative = self.consume('-');
                let digits = self.take_while(|c| c.is_ascii_digit());
                let number: i64 =
                    (1..=15).contains(&digits.len()).then(|| digits.parse().ok())??;
                Some(BareItem::Integer(if negative { -number } else { number }))
            }
            c if c.is_ascii_alphabetic() || c == '*' => {
                let token = self
                    .take_while(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c));
                Some(BareItem::Token(token.to_owned()))
            }
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        self.consume('"');
        let mut out = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = self.0.get(at + 1..)?;
                    return Some(out);
                }
                '\\' => out.push(chars.next().map(|(_, c)| c).filter(|c| "\"\\".contains(*c))?),
                ' '..='~' => out.push(c),
                _ => return None,
            }
        }
        None
    }
}

/// Serializes a list in the canonical form, which the signature covers (section 4.1.1.1).
pub(crate) fn serialize_list(list: &InnerList) -> String {
    let items: Vec<_> =
        list.items.iter().map(|(text, params)| serialize_item(text, params)).collect();
    format!("({}){}", items.join(" "), serialize_params(&list.params))
}

/// Serializes a string with its parameters.
pub(crate) fn serialize_item(text: &str, params: &Params) -> String {
    format!("{}{}", quote(text), serialize_params(params))
}

fn serialize_params(params: &Params) -> String {
    let mut out = String::new();
    for (key, value) in params {
        out.push(';');
        out.push_str(key);
        match value {
            BareItem::Boolean(true) => continue,
            BareItem::Boolean(false) => out.push_str("=?0"),
            BareItem::Integer(number) => out.push_str(&format!("={number}")),
            BareItem::Text(text) => out.push_str(&format!("={}", quote(text))),
            BareItem::Token(token) => out.push_str(&format!("={token}")),
            BareItem::Bytes(bytes) => {
                out.push_str(&format!("=:{}:", Encoding::Base64.encode(bytes)))
            }
        }
    }
    out
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_lists_are_serialized_canonically() {
        let text =
            r#"sig1=("@method"   "x-a";sf;key="b\"c" );created=12; nonce=:AA==: , sig2=();alg=tok"#;
        let found = parse_inner_lists(text).unwrap();
        assert_eq!(
            serialize_list(&found[0].1),
            r#"("@method" "x-a";sf;key="b\"c");created=12;nonce=:AA==:"#
        );
        assert_eq!(
            (found[1].0.as_str(), serialize_list(&found[1].1)),
            ("sig2", "();alg=tok".to_owned())
        );
        assert_eq!(parse_byte_sequences("a=:AA==:").unwrap(), [("a".to_owned(), vec![0])]);
    }

    #[test]
    fn malformed_fields_are_rejected() {
        for wrong in [
            "",
            "sig1",
            "sig1=",
            "sig1=(",
            "sig1=()x",
            "sig1=(\"a\"\"b\")",
            "sig1=(a)",
            "Sig1=()",
            "sig1=(),",
            "sig1=(),sig1=()",
            "sig1=();a=1;a=2",
            "sig1=(\"\u{e9}\")",
            "sig1=();a=1.5",
            "sig1=(\"a\\b\")",
            "sig1=();a=1234567890123456",
        ] {
            assert!(parse_inner_lists(wrong).is_none(), "{wrong}");
        }
        for wrong in ["a=:AA=:", "a=AA==", "a=:AB==:", "a=:AA==", "a=::x"] {
            assert!(parse_byte_sequences(wrong).is_none(), "{wrong}");
        }
    }
}
