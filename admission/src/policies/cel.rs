//! Small helpers to write CEL from Rust: texts, names put into templates, and the expression that
//! turns "these are to be set, those to be unset" into a JSON Patch. It knows no rule of fastrak's.
//!
//! Of the two kinds of mutation only a JSON Patch can take something off an object, and it needs
//! no schema to merge by. One form for all keeps the policies short.

use std::fmt::Write as _;

/// A text as CEL writes it.
pub(super) fn text(value: &str) -> String {
    let mut quoted = String::from("'");
    for c in value.chars() {
        match c {
            '\\' | '\'' => quoted.extend(['\\', c]),
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A list of texts as CEL writes it.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<_> = values.into_iter().map(text).collect();
    format!("[{}]", values.join(", "))
}

/// A map of texts as CEL writes it.
pub(super) fn map(entries: &[(&str, String)]) -> String {
    let entries = entries.iter().map(|(key, value)| format!("{}: {}", text(key), text(value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

/// A template with each `$name` replaced. What a name stands for is not looked at again, and a
/// name that stands for nothing stays: the API server takes no expression with a `$` in it.
pub(super) fn fill(template: &str, names: &[(&str, String)]) -> String {
    let mut parts = template.trim().split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        match names.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => filled.push_str(value),
            None => filled.extend(["$", name]),
        }
        filled.push_str(rest);
    }
    filled
}

/// The operations that set what is in the map `set` and take off what is in the list `unset`, of the
/// annotations or the labels of an object; both are names of variables, as is `map` itself.
///
/// What is so already gives no operation: a change of nothing would have every other policy and
/// webhook asked again. A map that is missing is made, or the patch would not apply.
pub(super) fn edits(map: &str, set: &str, unset: &str) -> String {
    let template = "
(has(object.metadata.$map) || variables.$set.size() == 0 ? [] : [
  JSONPatch{op: 'add', path: '/metadata/$map', value: {}}
])
+ variables.$set.map(key, variables.$map[?key] != optional.of(variables.$set[key]),
  JSONPatch{op: 'add', path: '/metadata/$map/' + jsonpatch.escapeKey(key), value: variables.$set[key]})
+ variables.$unset.filter(key, key in variables.$map).map(key,
  JSONPatch{op: 'remove', path: '/metadata/$map/' + jsonpatch.escapeKey(key)})";
    let names = [("map", map), ("set", set), ("unset", unset)];
    fill(template, &names.map(|(name, value)| (name, value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_so_that_nothing_in_it_is_code() {
        for (value, wanted) in [
            ("", "''"),
            ("fastrak.io/node", "'fastrak.io/node'"),
            ("it's", r"'it\'s'"),
            (r"a\b", r"'a\\b'"),
            ("a\nb", r"'a\u000ab'"),
            ("é", "'é'"),
        ] {
            assert_eq!(text(value), wanted);
        }
        assert_eq!(texts(["a", "b'"]), r"['a', 'b\'']");
        assert_eq!(texts([]), "[]");
        assert_eq!(map(&[("a", "1".to_owned()), ("b", "'".to_owned())]), r"{'a': '1', 'b': '\''}");
    }

    #[test]
    fn names_are_filled_in_once_and_whole() {
        let names = [("node", "'$node'".to_owned()), ("node_long", "2".to_owned())];
        assert_eq!(fill("\n$node == $node_long\n", &names), "'$node' == 2");
        assert_eq!(fill("$other[$node]", &names), "$other['$node']");
        assert_eq!(fill("no name", &names), "no name");
    }
}
