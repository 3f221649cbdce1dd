//! `sources`, `names` and `lead`: from texts to named sources, the lead first.

use granary_oci::Reference;
use granary_plugin::Reader;
use granary_suite::RegistrySettings;

use crate::source::{LocalSource, ParseSourceError, SourceSpec, default_name};

/// Where `names` go in an `image:` source.
const PLACEHOLDER: &str = "{name}";

/// A source with the name that its artifact has in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSource {
    /// `[a-z0-9-]+`.
    pub name: String,
    /// Where the bytes are.
    pub place: Place,
}

/// Where the bytes of a source are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On disk.
    Local(LocalSource),
    /// In a registry.
    Image(Reference),
}

/// The sources with their names, lead first.
pub(super) fn sources(
    reader: &mut Reader<'_>,
    registry: Option<&RegistrySettings>,
) -> Option<Vec<NamedSource>> {
    let given = reader.list_or_map("sources");
    let names = reader.list("names");
    if given.is_empty() {
        reader.require::<()>("sources", None);
        return None;
    }
    let expanded = expand(reader, given, names)?;
    // Each is looked at before any of them ends it: all that is wrong is reported at once.
    let named: Vec<Option<NamedSource>> =
        expanded.into_iter().map(|(name, text)| named(reader, name, &text, registry)).collect();
    let mut sources = named.into_iter().collect::<Option<Vec<_>>>()?;
    for (index, source) in sources.iter().enumerate() {
        if sources[..index].iter().any(|other| other.name == source.name) {
            reader.reject("names", format!("`{}` is there twice", source.name), "names that differ");
            return None;
        }
    }
    let registry = registry?;
    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    if let Err(error) = registry.repo.repositories(&names) {
        reader.reject("repo", error.to_string(), "a repository such as `acme/{name}`, in quotes");
    }
    if let Some(lead) = &registry.lead {
        match names.iter().position(|name| name == lead) {
            Some(index) => sources[..=index].rotate_right(1),
            None => reader.reject(
                "lead",
                format!("`{lead}` is none of {}", names.join(", ")),
                "the name of an image",
            ),
        }
    }
    Some(sources)
}

/// Puts names to sources: a map has them, a list takes them from `names`, one `image:…{name}…` is
/// repeated for each of `names`.
fn expand(
    reader: &mut Reader<'_>,
    given: Vec<(Option<String>, String)>,
    names: Vec<String>,
) -> Option<Vec<(Option<String>, String)>> {
    if names.is_empty() {
        return Some(given);
    }
    if given.iter().any(|(name, _)| name.is_some()) {
        reader.reject("names", "`sources` is a map and has names already", "one of the two");
        return None;
    }
    if let [(None, text)] = given.as_slice()
        && text.contains(PLACEHOLDER)
    {
        let each = |name: String| (Some(name.clone()), text.replace(PLACEHOLDER, &name));
        return Some(names.into_iter().map(each).collect());
    }
    if names.len() != given.len() {
        let reason = format!("{} names for {} sources", names.len(), given.len());
        reader.reject("names", reason, "as many names as sources");
        return None;
    }
    Some(names.into_iter().map(Some).zip(given.into_iter().map(|(_, text)| text)).collect())
}

fn named(
    reader: &mut Reader<'_>,
    name: Option<String>,
    text: &str,
    registry: Option<&RegistrySettings>,
) -> Option<NamedSource> {
    const FORM: &str = "`oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` or `image:REF`";
    if text.contains(PLACEHOLDER) {
        reader.reject(
            "names",
            format!("`{text}` has a {{name}} and there are no names for it"),
            "a list of names",
        );
        return None;
    }
    let spec: SourceSpec = text
        .parse()
        .map_err(|error: ParseSourceError| reader.reject("sources", error.to_string(), FORM))
        .ok()?;
    let name = match name {
        Some(name) => name,
        // A single image needs no name of its own: its repository has one.
        None => match (default_name(&spec), registry) {
            (Ok(name), _) => name,
            (Err(_), Some(registry)) if !registry.repo.is_per_member() => registry.repo.last_part(),
            (Err(error), _) => {
                reader.reject("names", error.to_string(), "names of `a-z`, `0-9` and `-`");
                return None;
            }
        },
    };
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(allowed) {
        reader.reject("names", format!("`{name}` is not a name"), "names of `a-z`, `0-9` and `-`");
        return None;
    }
    let place = match spec {
        SourceSpec::Local(local) => Place::Local(local),
        SourceSpec::Image(reference) => Place::Image(reference),
    };
    Some(NamedSource { name, place })
}
