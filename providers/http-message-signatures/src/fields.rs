//! Structured fields (RFC 8941), as far as signatures need them: dictionaries of inner lists and of
//! bytes. Strict: what is not of the form is refused, and so is a key that stands there twice.

use hookward_core::crypto::Encoding;

/// More members of a dictionary, or items of a list, than any sender needs.
const MAX_MEMBERS: usize = 64;

/// A bare item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bare {
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    Token(String),
    Truth(bool),
}

/// Parameters in their order.
pub(crate) type Params = Vec<(String, Bare)>;

/// A list of texts, each with parameters, and the parameters of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InnerList {
    pub(crate) items: Vec<(String, Params)>,
    pub(crate) params: Params,
}

/// `a=("x" "y");created=1, b=…`
pub(crate) fn lists(text: &str) -> Option<Vec<(String, InnerList)>> {
    dictionary(text, |reader| {
        let items = reader.items()?;
        Some(InnerList { items, params: reader.params()? })
    })
}

/// `a=:YmFzZTY0:, b=…`
pub(crate) fn byte_sequences(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
    dictionary(text, |reader| {
        let Bare::Bytes(bytes) = reader.bare()? else { return None };
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
        if !reader.eat('=')
            || members.len() >= MAX_MEMBERS
            || members.iter().any(|(k, _)| *k == key)
        {
            return None;
        }
        let value = value(&mut reader)?;
        members.push((key, value));
        reader.spaces();
        if reader.0.is_empty() {
            return Some(members);
        }
        if !reader.eat(',') {
            return None;
        }
        reader.spaces();
    }
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn eat(&mut self, wanted: char) -> bool {
        match self.0.strip_prefix(wanted) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// The longest start of such characters.
    fn run(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !of(c)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }

    fn key(&mut self) -> Option<String> {
        let first = |c: char| c.is_ascii_lowercase() || c == '*';
        self.0
            .starts_with(first)
            .then(|| self.run(|c| first(c) || c.is_ascii_digit() || "_-.".contains(c)).to_owned())
    }

    fn params(&mut self) -> Option<Params> {
        let mut params: Params = Vec::new();
        while self.eat(';') {
            self.0 = self.0.trim_start_matches(' ');
            let key = self.key()?;
            let value = if self.eat('=') { self.bare()? } else { Bare::Truth(true) };
            if params.len() >= MAX_MEMBERS || params.iter().any(|(k, _)| *k == key) {
                return None;
            }
            params.push((key, value));
        }
        Some(params)
    }

    fn items(&mut self) -> Option<Vec<(String, Params)>> {
        let mut items = Vec::new();
        if !self.eat('(') {
            return None;
        }
        loop {
            let before = self.0.len();
            self.0 = self.0.trim_start_matches(' ');
            if self.eat(')') {
                return Some(items);
            }
            if items.len() >= MAX_MEMBERS || (!items.is_empty() && self.0.len() == before) {
                return None;
            }
            let Bare::Text(text) = self.bare()? else { return None };
            items.push((text, self.params()?));
        }
    }

    fn bare(&mut self) -> Option<Bare> {
        let first = self.0.chars().next()?;
        match first {
            '"' => self.text().map(Bare::Text),
            ':' => {
                self.eat(':');
                let (coded, rest) = self.0.split_once(':')?;
                self.0 = rest;
                Encoding::Base64.decode(coded).map(Bare::Bytes)
            }
            '?' => {
                self.eat('?');
                if self.eat('1') { Some(true) } else { self.eat('0').then_some(false) }
                    .map(Bare::Truth)
            }
            '-' | '0'..='9' => {
                let negative = self.eat('-');
                let digits = self.run(|c| c.is_ascii_digit());
                let number: i64 =
                    (1..=15).contains(&digits.len()).then(|| digits.parse().ok())??;
                Some(Bare::Integer(if negative { -number } else { number }))
            }
            c if c.is_ascii_alphabetic() || c == '*' => {
                let token =
                    self.run(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c));
                Some(Bare::Token(token.to_owned()))
            }
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        self.eat('"');
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

/// A list as the signature covers it: written in the one canonical way.
pub(crate) fn written(list: &InnerList) -> String {
    let items: Vec<_> = list.items.iter().map(|(text, params)| item(text, params)).collect();
    format!("({}){}", items.join(" "), parameters(&list.params))
}

/// A text with its parameters.
pub(crate) fn item(text: &str, params: &Params) -> String {
    format!("{}{}", quoted(text), parameters(params))
}

fn parameters(params: &Params) -> String {
    let mut out = String::new();
    for (key, value) in params {
        out.push(';');
        out.push_str(key);
        match value {
            Bare::Truth(true) => continue,
            Bare::Truth(false) => out.push_str("=?0"),
            Bare::Integer(number) => out.push_str(&format!("={number}")),
            Bare::Text(text) => out.push_str(&format!("={}", quoted(text))),
            Bare::Token(token) => out.push_str(&format!("={token}")),
            Bare::Bytes(bytes) => out.push_str(&format!("=:{}:", Encoding::Base64.encode(bytes))),
        }
    }
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_canonically() {
        let text =
            r#"sig1=("@method"   "x-a";sf;key="b\"c" );created=12; nonce=:AA==: , sig2=();alg=tok"#;
        let found = lists(text).unwrap();
        assert_eq!(
            written(&found[0].1),
            r#"("@method" "x-a";sf;key="b\"c");created=12;nonce=:AA==:"#
        );
        assert_eq!((found[1].0.as_str(), written(&found[1].1)), ("sig2", "();alg=tok".to_owned()));
        assert_eq!(byte_sequences("a=:AA==:").unwrap(), [("a".to_owned(), vec![0])]);
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
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
            assert!(lists(wrong).is_none(), "{wrong}");
        }
        for wrong in ["a=:AA=:", "a=AA==", "a=:AB==:", "a=:AA==", "a=::x"] {
            assert!(byte_sequences(wrong).is_none(), "{wrong}");
        }
    }
}
