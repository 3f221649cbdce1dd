//! The settings table of a plugin's `docs.md`, generated from its settings.
//!
//! A binary prints its table with the hidden flag `--settings-markdown`; `docs.md` holds it between two
//! markers, and CI compares.

use crate::settings::{Fallback, Form, Setting, Table};

/// Where the table begins in `docs.md`.
pub const BEGIN: &str = "<!-- settings:begin -->";
/// Where it ends.
pub const END: &str = "<!-- settings:end -->";

/// The page has no place for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the page does not contain {BEGIN} and, after it, {END}")]
pub struct MarkersMissing;

/// One table per group, in the form of Woodpecker's plugin index.
pub fn render(table: &Table) -> String {
    let groups = table.groups().iter().map(|group| {
        let rows = group.settings.iter().filter(|setting| setting.not_yet.is_none()).map(|setting| {
            let default = match setting.fallback {
                Fallback::None => "_none_".to_owned(),
                Fallback::Value(value) => format!("`{value}`"),
                Fallback::Told(words) => words.to_owned(),
            };
            let aliases = table.told_spellings(setting);
            let aliases = match aliases.is_empty() {
                true => String::new(),
                false => format!(" Also `{}`.", aliases.join("`, `")),
            };
            let secret = if setting.secret { " A secret." } else { "" };
            let accepted = accepted(setting);
            let cells = [
                format!("`{}`", setting.name),
                default,
                format!("{}{accepted}{secret}{aliases}", setting.help),
            ];
            format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|").replace('\n', " ")).join(" | "))
        });
        let rows: String = rows.collect();
        format!(
            "### {}\n\n| Settings Name | Default | Description |\n| --- | --- | --- |\n{rows}",
            group.title
        )
    });
    groups.collect::<Vec<_>>().join("\n")
}

/// Says the form where name and help alone do not.
pub(crate) fn accepted(setting: &Setting) -> String {
    match setting.form {
        Form::Text | Form::Bool | Form::Pem => String::new(),
        form => format!(" Accepts {}.", form.accepted()),
    }
}

/// `page` with `rendered` between its markers.
///
/// # Errors
/// [`MarkersMissing`].
pub fn splice(page: &str, rendered: &str) -> Result<String, MarkersMissing> {
    let (before, rest) = page.split_once(BEGIN).ok_or(MarkersMissing)?;
    let (_, after) = rest.split_once(END).ok_or(MarkersMissing)?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", rendered.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Group;

    const OWN: Group = Group {
        title: "Settings",
        settings: &[
            Setting::new("tags", Form::List, "Further tags."),
            Setting::new("mode", Form::Choice(&["a", "b"]), "Either | or.").default("a"),
            Setting::new("password", Form::Text, "The password.").default_told("the auth file").secret(),
            Setting::not_yet("floating", ""),
        ],
    };

    #[test]
    fn one_row_per_built_setting() {
        assert_eq!(
            render(&Table::new(&[&OWN])),
            "### Settings\n\n\
             | Settings Name | Default | Description |\n\
             | --- | --- | --- |\n\
             | `tags` | _none_ | Further tags. Accepts a comma-separated or JSON list. Also `tag`. |\n\
             | `mode` | `a` | Either \\| or. Accepts one of a, b. |\n\
             | `password` | the auth file | The password. A secret. |\n"
        );
    }

    #[test]
    fn splicing_twice_changes_nothing_more() {
        let page = format!("# x\n\n{BEGIN}\nold\n{END}\n\nrest\n");
        let once = splice(&page, "new\n").unwrap();
        assert_eq!(once, format!("# x\n\n{BEGIN}\n\nnew\n\n{END}\n\nrest\n"));
        assert_eq!(splice(&once, "new\n").unwrap(), once);
        assert_eq!(splice("# x", "new"), Err(MarkersMissing));
    }
}
