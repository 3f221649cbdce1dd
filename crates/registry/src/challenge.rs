//! `WWW-Authenticate`, read as it is really sent: pure.

/// One challenge of a 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case: `bearer`, `basic`, …
    pub(crate) scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter; empty values count as absent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Reads one header value. One value may hold several challenges, and commas stand both between
    /// challenges, between parameters, and inside a quoted scope (`"repository:a/b:pull,push"`), so a
    /// split at commas does not do. What cannot be read is left out.
    pub(crate) fn parse(value: &str) -> Vec<Challenge> {
        let mut challenges: Vec<Challenge> = Vec::new();
        let mut rest = value;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let after = after.trim_start_matches([' ', '\t']);
            match after.strip_prefix('=') {
                Some(after) => {
                    let (text, after) = parameter_value(after.trim_start_matches([' ', '\t']));
                    if let Some(challenge) = challenges.last_mut() {
                        challenge.parameters.push((word.to_ascii_lowercase(), text));
                    }
                    rest = after;
                }
                None if word.is_empty() => return challenges,
                None => {
                    challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                    rest = after;
                }
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[position + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> Vec<String> {
        let show = |challenge: &Challenge| {
            let parameters: Vec<String> =
                challenge.parameters.iter().map(|(name, value)| format!("{name}=[{value}]")).collect();
            format!("{} {}", challenge.scheme, parameters.join(" ")).trim_end().to_owned()
        };
        Challenge::parse(value).iter().map(show).collect()
    }

    #[test]
    fn as_servers_send_them() {
        let table: [(&str, &[&str]); 8] = [
            (
                r#"Bearer realm="https://h.test/token",service="s",scope="repository:a/b:pull,push""#,
                &["bearer realm=[https://h.test/token] service=[s] scope=[repository:a/b:pull,push]"],
            ),
            (
                r#"Basic realm="x, y", Bearer realm="https://h.test/token" , service = "s""#,
                &["basic realm=[x, y]", "bearer realm=[https://h.test/token] service=[s]"],
            ),
            (
                r#"BEARER Realm=https://h.test/token,error="insufficient_scope""#,
                &["bearer realm=[https://h.test/token] error=[insufficient_scope]"],
            ),
            (r#"Basic realm="a \"quoted\" one""#, &[r#"basic realm=[a "quoted" one]"#]),
            ("Basic", &["basic"]),
            ("Negotiate, Basic realm=r", &["negotiate", "basic realm=[r]"]),
            (r#"Bearer realm="never closed"#, &["bearer realm=[never closed]"]),
            ("", &[]),
        ];
        for (value, expected) in table {
            assert_eq!(shown(value), expected, "{value}");
        }
        assert_eq!(Challenge::parse(r#"Bearer scope="""#)[0].parameter("scope"), None);
    }

    proptest! {
        #[test]
        fn nonsense_ends(value in "[ -~]{0,80}") {
            Challenge::parse(&value);
        }
    }
}
