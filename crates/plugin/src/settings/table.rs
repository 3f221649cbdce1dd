//! All settings of one plugin, by every spelling of their names.

use super::{Fallback, Group, Setting};

/// The settings of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    groups: &'static [&'static Group],
}

impl Table {
    /// The table of these groups.
    pub const fn new(groups: &'static [&'static Group]) -> Self {
        Table { groups }
    }

    /// The groups, in order.
    pub fn groups(&self) -> &'static [&'static Group] {
        self.groups
    }

    /// Every setting, also those that are not built yet.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        self.groups.iter().flat_map(|group| group.settings)
    }

    /// The setting that a spelling means: kebab or snake, any case, alias, singular or plural.
    pub fn find(&self, spelling: &str) -> Option<&'static Setting> {
        let name = snake(spelling);
        let exact = self.settings().find(|setting| setting.name == name);
        exact.or_else(|| {
            self.settings().find(|setting| {
                setting.aliases.contains(&name.as_str())
                    || (setting.form.is_plural() && other_number(setting.name) == name)
            })
        })
    }

    /// The other spellings of a setting's name, none of which means something else.
    pub fn other_spellings(&self, setting: &Setting) -> Vec<String> {
        let mut spellings: Vec<String> = setting.aliases.iter().map(|&alias| alias.to_owned()).collect();
        if setting.form.is_plural() {
            spellings.push(other_number(setting.name));
        }
        spellings.retain(|spelling| {
            self.find(spelling).is_some_and(|found| std::ptr::eq(found.name, setting.name))
        });
        spellings
    }

    /// Those of them that are worth mentioning: not the plural of `only`.
    pub(crate) fn told_spellings(&self, setting: &Setting) -> Vec<String> {
        let told =
            |spelling: &String| setting.name.ends_with('s') || setting.aliases.contains(&spelling.as_str());
        self.other_spellings(setting).into_iter().filter(told).collect()
    }

    /// The flag under which a setting is given by hand, without the dashes. A secret has none but
    /// `<name>-file`; one whose file flag would be another setting's (`env` and `env_file`) has none at all.
    pub fn flag(&self, setting: &Setting) -> Option<String> {
        let name = kebab(setting.name);
        match setting.secret {
            false => Some(name),
            true => {
                let taken = self.find(&format!("{}_file", setting.name)).is_some();
                (!taken).then(|| format!("{name}-file"))
            }
        }
    }

    /// The known name that is nearest to a misspelt one, where one is near.
    pub fn nearest(&self, spelling: &str) -> Option<&'static str> {
        let built = self.settings().filter(|setting| setting.not_yet.is_none());
        nearest(&snake(spelling), built.map(|setting| setting.name))
    }

    /// What is wrong with the table itself, for each plugin's own tests: names that are not snake case,
    /// not unique or taken, defaults that cannot be read.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for setting in self.settings() {
            let name = setting.name;
            if self.settings().filter(|other| other.name == name).count() > 1 {
                problems.push(format!("{name} is there twice"));
            }
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                problems.push(format!("{name} is not snake case"));
            }
            if ["help", "version"].contains(&name) {
                problems.push(format!("{name} is taken: every program has a flag of that name"));
            }
            if setting.not_yet.is_none() && setting.help.is_empty() {
                problems.push(format!("{name} has no help"));
            }
            if let Fallback::Value(text) = setting.fallback
                && let Err(error) = super::value::check(setting.form, text)
            {
                problems.push(format!("the default of {name}: {error}"));
            }
        }
        problems
    }
}

/// Lower case, with `_` for `-` and `.`, as Woodpecker makes variables of settings.
pub(super) fn snake(spelling: &str) -> String {
    spelling.to_ascii_lowercase().replace(['-', '.'], "_")
}

/// The name as a flag.
fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

/// The plural of a singular, and the other way round.
fn other_number(name: &str) -> String {
    const HISSING: [&str; 4] = ["ch", "sh", "x", "ss"];
    if let Some(singular) =
        name.strip_suffix("es").filter(|stem| HISSING.iter().any(|end| stem.ends_with(end)))
    {
        return singular.to_owned();
    }
    match name.strip_suffix('s').filter(|stem| !stem.ends_with('s')) {
        Some(singular) => singular.to_owned(),
        None if HISSING.iter().any(|end| name.ends_with(end)) => format!("{name}es"),
        None => format!("{name}s"),
    }
}

/// The one of these names that is nearest to a misspelt one, where one is near.
pub(super) fn nearest(wrong: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let near = (wrong.len() / 3).clamp(1, 3);
    let steps = names.map(|name| (distance(wrong, name), name)).filter(|(steps, _)| *steps <= near);
    steps.min().map(|(_, name)| name)
}

/// The edit distance of two names: letters inserted, deleted or replaced.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::super::{COMMON, Form, REGISTRY};
    use super::*;

    const OWN: Group = Group {
        title: "Own",
        settings: &[
            Setting::new("tags", Form::List, "x"),
            Setting::new("branches", Form::List, "x"),
            Setting::new("names", Form::List, "x"),
            Setting::new("name", Form::Text, "x"),
            Setting::new("env", Form::Map, "x").secret(),
            Setting::new("base_version", Form::Version, "x").aliases(&["from_version"]),
        ],
    };
    const TABLE: Table = Table::new(&[&COMMON, &REGISTRY, &OWN]);

    #[test]
    fn every_spelling_finds_its_setting() {
        for (spelling, name) in [
            ("dry_run", Some("dry_run")),
            ("dry-run", Some("dry_run")),
            ("DRY-RUN", Some("dry_run")),
            ("tag", Some("tags")),
            ("branch", Some("branches")),
            ("from-version", Some("base_version")),
            ("name", Some("name")),
            ("repos", None),
            ("base_versions", None),
        ] {
            assert_eq!(TABLE.find(spelling).map(|setting| setting.name), name, "{spelling}");
        }
    }

    #[test]
    fn a_singular_that_is_a_setting_of_its_own_is_no_alias() {
        let names = TABLE.find("names").unwrap();
        assert_eq!(TABLE.other_spellings(names), Vec::<String>::new());
        assert_eq!(TABLE.other_spellings(TABLE.find("tags").unwrap()), ["tag"]);
    }

    #[test]
    fn singular_and_plural() {
        for (one, many) in [("tag", "tags"), ("branch", "branches"), ("source", "sources"), ("box", "boxes")]
        {
            assert_eq!(other_number(one), many);
            assert_eq!(other_number(many), one);
        }
    }

    #[test]
    fn secrets_have_a_file_flag_or_none() {
        let flag = |name: &str| TABLE.flag(TABLE.find(name).unwrap());
        assert_eq!(flag("dry_run").as_deref(), Some("dry-run"));
        assert_eq!(flag("password").as_deref(), Some("password-file"));
        assert_eq!(flag("env"), None, "--env-file is the setting env_file");
    }

    #[test]
    fn typos_are_matched_and_strangers_are_not() {
        assert_eq!(TABLE.nearest("pasword"), Some("password"));
        assert_eq!(TABLE.nearest("dryrun"), Some("dry_run"));
        assert_eq!(TABLE.nearest("camelname"), None);
    }

    #[test]
    fn the_shared_groups_are_sound_and_problems_are_found() {
        assert_eq!(Table::new(&[&COMMON, &REGISTRY]).problems(), Vec::<String>::new());
        const BAD: Group = Group {
            title: "Bad",
            settings: &[
                Setting::new("Wait", Form::Duration, "x").default("30"),
                Setting::new("retries", Form::Integer, ""),
                Setting::new("version", Form::Version, "x"),
            ],
        };
        let problems = Table::new(&[&COMMON, &BAD]).problems();
        assert_eq!(
            problems,
            [
                "retries is there twice",
                "Wait is not snake case",
                "the default of Wait: a number without a unit",
                "retries is there twice",
                "retries has no help",
                "version is taken: every program has a flag of that name"
            ]
        );
    }
}
