//! Placeholders in the words of `command` and `teardown` (DESIGN §7, "Names").
//!
//! Pure. Words are split before anything is put into them, so a value can never become two words, and no
//! shell ever sees one. Refuses a placeholder that it does not know: a test command that receives
//! `{digets}` as text would test something else than what was meant.
//!
//! # Design
//! A placeholder is `{word}` or `{word:argument}`: ASCII letters, digits, `_` and `-` beginning with a
//! letter, the argument without blanks, quotes and braces. What has another shape is text and stays as it
//! is: `{"json":1}`, `{}`, `{1..3}`, `{a,b}`, `{ print $1 }`, `{.Name}`. So does `${name}`, which belongs
//! to a shell, and `{{name}}`, which belongs to another template language. What has the shape and is not
//! known is an error; an `awk '{print}'` gets past it with blanks, `{ print }`.

use thiserror::Error;

/// The placeholders, as an error and the documentation list them.
pub const PLACEHOLDERS: &str =
    "{image} {image:NAME} {tag} {digest} {digest:NAME} {version} {candidate} {results}";

/// What the placeholders stand for in one run.
#[derive(Clone, Debug)]
pub struct Values {
    /// Every member of the release set.
    pub members: Vec<Member>,
    /// Name of the member that `{image}` and `{digest}` without a name mean.
    pub lead: String,
    /// The tag that was resolved.
    pub tag: String,
    /// X.Y.Z, what the candidate would become.
    pub version: String,
    /// X.Y.Z-rc.N.
    pub candidate: String,
    /// The file that the tests are to write, where the settings name exactly one.
    pub results: Option<String>,
}

/// One artifact of the release set.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name in the set.
    pub name: String,
    /// `host/path`.
    pub repository: String,
    /// `algorithm:hex`.
    pub digest: String,
}

/// Why the words of a command cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// The shape of a placeholder, but none of ours.
    #[error("unknown placeholder `{placeholder}` in `{word}`, known are {PLACEHOLDERS}")]
    Unknown {
        /// The placeholder with its braces.
        placeholder: String,
        /// The word that it stands in.
        word: String,
    },
    /// A name behind a placeholder that takes none.
    #[error("`{placeholder}` in `{word}` takes no name, known are {PLACEHOLDERS}")]
    TakesNoName {
        /// The placeholder with its braces.
        placeholder: String,
        /// The word that it stands in.
        word: String,
    },
    /// A name that is not in the release set.
    #[error("`{placeholder}` names no member of the release set, its members are {known}")]
    UnknownMember {
        /// The placeholder with its braces.
        placeholder: String,
        /// The names that would do.
        known: String,
    },
    /// `{results}` where the settings do not name exactly one file.
    #[error("`{{results}}` needs the setting `results` with one file name without wildcards")]
    NoResults,
}

/// The words of a command, with the placeholders found but not filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    words: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Image(Option<String>),
    Tag,
    Digest(Option<String>),
    Version,
    Candidate,
    Results,
}

impl Template {
    /// Finds the placeholders. Needs no values, so a misspelt one is reported with the other bad settings,
    /// before anything is asked of a registry.
    ///
    /// # Errors
    /// The first placeholder that is unknown or has a name it cannot have.
    pub fn parse<W: AsRef<str>>(words: &[W]) -> Result<Self, TemplateError> {
        let words = words.iter().map(|word| parse_word(word.as_ref())).collect::<Result<_, _>>()?;
        Ok(Template { words })
    }

    /// Whether `{results}` is among the placeholders.
    pub fn needs_results(&self) -> bool {
        self.words.iter().flatten().any(|piece| matches!(piece, Piece::Results))
    }

    /// The words as the setting has them, on one line, quoted as for a shell where they need it.
    pub fn text(&self) -> String {
        let word = |pieces: &Vec<Piece>| quoted(&pieces.iter().map(Piece::text).collect::<String>());
        self.words.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The words with the values in their places: as many words as before.
    ///
    /// # Errors
    /// A name that is not in the set, `{results}` without a file.
    pub fn expand(&self, values: &Values) -> Result<Vec<String>, TemplateError> {
        let word = |pieces: &Vec<Piece>| pieces.iter().map(|piece| piece.value(values)).collect();
        self.words.iter().map(word).collect()
    }
}

impl Piece {
    /// The placeholder itself.
    fn text(&self) -> String {
        let named = |keyword: &str, name: &Option<String>| match name {
            Some(name) => format!("{{{keyword}:{name}}}"),
            None => format!("{{{keyword}}}"),
        };
        match self {
            Piece::Text(text) => text.clone(),
            Piece::Image(name) => named("image", name),
            Piece::Digest(name) => named("digest", name),
            Piece::Tag => named("tag", &None),
            Piece::Version => named("version", &None),
            Piece::Candidate => named("candidate", &None),
            Piece::Results => named("results", &None),
        }
    }

    fn value(&self, values: &Values) -> Result<String, TemplateError> {
        Ok(match self {
            Piece::Text(text) => text.clone(),
            Piece::Image(name) => {
                let member = member(values, "image", name.as_deref())?;
                format!("{}@{}", member.repository, member.digest)
            }
            Piece::Digest(name) => member(values, "digest", name.as_deref())?.digest.clone(),
            Piece::Tag => values.tag.clone(),
            Piece::Version => values.version.clone(),
            Piece::Candidate => values.candidate.clone(),
            Piece::Results => values.results.clone().ok_or(TemplateError::NoResults)?,
        })
    }
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-{}".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn member<'v>(values: &'v Values, keyword: &str, name: Option<&str>) -> Result<&'v Member, TemplateError> {
    let wanted = name.unwrap_or(&values.lead);
    values.members.iter().find(|member| member.name == wanted).ok_or_else(|| TemplateError::UnknownMember {
        placeholder: name.map_or_else(|| format!("{{{keyword}}}"), |name| format!("{{{keyword}:{name}}}")),
        known: values.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

fn parse_word(word: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        let (before, from_brace) = rest.split_at(at);
        text.push_str(before);
        let doubled = from_brace.len() - from_brace.trim_start_matches('{').len();
        let of_a_shell = text.ends_with('$');
        match placeholder(from_brace) {
            Some(inner) if doubled == 1 && !of_a_shell => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(keyword(inner, word)?);
                rest = &from_brace[inner.len() + 2..];
            }
            _ => {
                text.push_str(&from_brace[..doubled]);
                rest = &from_brace[doubled..];
            }
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// What stands between the braces, if a text that begins with `{` begins with the shape of a placeholder.
fn placeholder(text: &str) -> Option<&str> {
    let inner = &text[1..text.find('}')?];
    let (name, argument) = inner.split_once(':').unwrap_or((inner, ""));
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let is_argument =
        !argument.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '"' | '\'' | '`' | ','));
    (is_name && is_argument).then_some(inner)
}

fn keyword(inner: &str, word: &str) -> Result<Piece, TemplateError> {
    let (name, argument) = match inner.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (inner, None),
    };
    let piece = match name {
        "image" => return Ok(Piece::Image(argument.map(str::to_owned))),
        "digest" => return Ok(Piece::Digest(argument.map(str::to_owned))),
        "tag" => Piece::Tag,
        "version" => Piece::Version,
        "candidate" => Piece::Candidate,
        "results" => Piece::Results,
        _ => {
            return Err(TemplateError::Unknown {
                placeholder: format!("{{{inner}}}"),
                word: word.to_owned(),
            });
        }
    };
    match argument {
        None => Ok(piece),
        Some(_) => {
            Err(TemplateError::TakesNoName { placeholder: format!("{{{inner}}}"), word: word.to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let member = |name: &str, digest: &str| Member {
            name: name.to_owned(),
            repository: format!("registry.example.test/acme/{name}"),
            digest: digest.to_owned(),
        };
        Values {
            members: vec![member("api", "sha256:aa"), member("web", "sha256:bb")],
            lead: "api".to_owned(),
            tag: "0.1.1-rc.7".to_owned(),
            version: "0.1.1".to_owned(),
            candidate: "0.1.1-rc.7".to_owned(),
            results: Some("out dir/results.json".to_owned()),
        }
    }

    fn expand(word: &str) -> Result<String, TemplateError> {
        let words = Template::parse(&[word])?.expand(&values())?;
        assert_eq!(words.len(), 1);
        Ok(words.into_iter().next().unwrap())
    }

    #[test]
    fn the_text_is_what_was_set() {
        let words = ["sh", "-c", "a 'b' {digest:web}{results}", "", "{image}", "${HOME}"];
        let text = Template::parse(&words).unwrap().text();
        assert_eq!(text, r"sh -c 'a '\''b'\'' {digest:web}{results}' '' {image} '${HOME}'");
    }

    #[test]
    fn placeholders_are_filled_in_and_all_else_stays() {
        let table = [
            ("{image}", "registry.example.test/acme/api@sha256:aa"),
            ("{image:web}", "registry.example.test/acme/web@sha256:bb"),
            ("{digest}{digest:web}", "sha256:aasha256:bb"),
            ("--tag={tag}", "--tag=0.1.1-rc.7"),
            ("v{version}-{candidate}", "v0.1.1-0.1.1-rc.7"),
            ("{results}", "out dir/results.json"),
            // JSON keeps its braces, and gets values inside its strings.
            (r#"{"digest":"{digest}"}"#, r#"{"digest":"sha256:aa"}"#),
            (r#"{"a":{"b":"{tag}"}}"#, r#"{"a":{"b":"0.1.1-rc.7"}}"#),
            // A shell's own, also where the name is one of ours.
            ("${tag} ${tag:-x} $$ $ {tag}", "${tag} ${tag:-x} $$ $ 0.1.1-rc.7"),
            // Other template languages.
            ("{{tag}}", "{{tag}}"),
            ("{{.Names}} {{json .}}", "{{.Names}} {{json .}}"),
            ("{{{tag}}}", "{{{tag}}}"),
            // Not the shape of a placeholder.
            (
                "{} {1..3} {a,b} {tag,x} { print $1 } {.tag} { tag }",
                "{} {1..3} {a,b} {tag,x} { print $1 } {.tag} { tag }",
            ),
            ("{", "{"),
            ("tag}", "tag}"),
            ("{tag", "{tag"),
            ("{tag {tag}", "{tag 0.1.1-rc.7"),
            ("ü{tag}ü", "ü0.1.1-rc.7ü"),
            ("", ""),
        ];
        for (given, expected) in table {
            assert_eq!(expand(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn a_value_stays_inside_its_word() {
        let mut values = values();
        values.tag = "a b; rm -rf / {digest} $(x)".to_owned();
        let words = Template::parse(&["test.sh", "--tag", "{tag}"]).unwrap().expand(&values).unwrap();
        assert_eq!(words, ["test.sh", "--tag", "a b; rm -rf / {digest} $(x)"]);
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let table = [
            (
                "x={digets}",
                "unknown placeholder `{digets}` in `x={digets}`, known are {image} {image:NAME} {tag} {digest} \
                 {digest:NAME} {version} {candidate} {results}",
            ),
            (
                "{Tag}",
                "unknown placeholder `{Tag}` in `{Tag}`, known are {image} {image:NAME} {tag} {digest} {digest:NAME} {version} {candidate} {results}",
            ),
            (
                "{tag:web}",
                "`{tag:web}` in `{tag:web}` takes no name, known are {image} {image:NAME} {tag} {digest} {digest:NAME} {version} {candidate} {results}",
            ),
            ("{image:db}", "`{image:db}` names no member of the release set, its members are api, web"),
            ("{digest:}", "`{digest:}` names no member of the release set, its members are api, web"),
        ];
        for (given, expected) in table {
            assert_eq!(expand(given).unwrap_err().to_string(), expected, "{given}");
        }
        let nowhere = Values { results: None, ..values() };
        let error = Template::parse(&["{results}"]).unwrap().expand(&nowhere).unwrap_err();
        assert_eq!(error, TemplateError::NoResults);
        assert!(error.to_string().starts_with("`{results}` needs"), "{error}");
    }
}
