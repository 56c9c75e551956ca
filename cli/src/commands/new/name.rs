//! A name in the three forms that a crate needs: package, YAML and type.

/// A valid name in its three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// `post-to-ledger`
    pub(super) kebab: String,
    /// `post_to_ledger`
    pub(super) snake: String,
    /// `PostToLedger`
    pub(super) camel: String,
}

impl Name {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<String> =
            text.split(['-', '_']).map(|word| word.to_ascii_lowercase()).collect();
        let plain = |word: &String| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts || text.len() > 40 || !words.iter().all(plain) {
            return Err(format!(
                "`{text}` is not a name for a crate; use up to 40 letters and digits, with `-` between words, such as `post-to-ledger`"
            ));
        }
        let capital = |word: &String| {
            let mut letters = word.chars();
            letters.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(letters).collect()
        };
        let camel = words.iter().map(capital).collect::<Vec<String>>().concat();
        Ok(Self { kebab: words.join("-"), snake: words.join("_"), camel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_three_forms() {
        let name = Name::parse("Post-to_ledger2").unwrap();
        assert_eq!(
            (name.kebab.as_str(), name.snake.as_str(), name.camel.as_str()),
            ("post-to-ledger2", "post_to_ledger2", "PostToLedger2")
        );
    }

    #[test]
    fn an_invalid_crate_name_is_an_error() {
        for bad in ["", "-a", "a--b", "2fast", "a b", "ä", "a/b", &"a".repeat(41)] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }
}
