//! What commands are given: text from a file or standard input, and the objects in it. It does not
//! know what the objects are.

use super::CommandError;
use serde_json::Value;
use std::io::{self, Read as _};
use std::path::Path;

/// What standard input is called.
pub(super) const STDIN: &str = "standard input";

/// All of standard input.
pub(super) fn stdin() -> Result<String, CommandError> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(|source| read(STDIN, source))?;
    Ok(text)
}

/// All of a file.
pub(super) fn file(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|source| read(&path.display().to_string(), source))
}

fn read(from: &str, source: io::Error) -> CommandError {
    CommandError::Read { from: from.to_owned(), source }
}

/// The objects of a text in YAML or JSON, one after another; a list is what is in it.
pub(super) fn objects(text: &str, from: &str) -> Result<Vec<Value>, CommandError> {
    let mut found = Vec::new();
    for document in documents(text, from)? {
        gather(document, from, &mut found)?;
    }
    if found.is_empty() {
        return Err(CommandError::Empty(from.to_owned()));
    }
    Ok(found)
}

fn documents(text: &str, from: &str) -> Result<Vec<Value>, CommandError> {
    // JSON is YAML too, but a parser of JSON is far faster and says better what is wrong.
    if text.trim_start().starts_with('{') {
        let all: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        return all.map_err(|source| CommandError::Json { from: from.to_owned(), source });
    }
    // The usual limits are for what strangers send; this is the user's own, and may be every node
    // of a large cluster.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000_000,
            max_nodes: 100_000_000,
            max_documents: 1_000_000,
            max_total_scalar_bytes: 1 << 30,
        },
    };
    let all = serde_saphyr::from_multiple_with_options(text, options);
    all.map_err(|error| CommandError::Yaml { from: from.to_owned(), source: Box::new(error) })
}

fn gather(document: Value, from: &str, found: &mut Vec<Value>) -> Result<(), CommandError> {
    let found_kind = match &document {
        // A document of nothing but comments.
        Value::Null => return Ok(()),
        Value::Object(_) => None,
        Value::Array(_) => Some("list without a kind"),
        Value::String(_) => Some("text"),
        Value::Bool(_) | Value::Number(_) => Some("single value"),
    };
    if let Some(kind) = found_kind {
        return Err(CommandError::NoObject { from: from.to_owned(), found: kind });
    }
    match document {
        Value::Object(mut list) if is_list(&list) => {
            let items = list.remove("items").unwrap_or_default();
            let items = if let Value::Array(items) = items { items } else { Vec::new() };
            items.into_iter().try_for_each(|item| gather(item, from, found))
        }
        object => {
            found.push(object);
            Ok(())
        }
    }
}

fn is_list(object: &serde_json::Map<String, Value>) -> bool {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List") && object.get("items").is_some_and(Value::is_array)
}

/// A text within an object, by its path.
pub(super) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text_: &str) -> Vec<String> {
        let all = objects(text_, "x").unwrap();
        all.iter().map(|object| text(object, "/metadata/name").to_owned()).collect()
    }

    #[test]
    fn objects_come_from_yaml_and_json_one_by_one_or_in_lists() {
        let yaml = "# nothing\n---\nmetadata: {name: a}\n---\nkind: List\nitems:\n- metadata: {name: b}\n- {kind: PodList, items: [{metadata: {name: c}}]}\n";
        assert_eq!(names(yaml), ["a", "b", "c"]);
        assert_eq!(names(r#"{"metadata":{"name":"a"}} {"metadata":{"name":"b"}}"#), ["a", "b"]);
    }

    #[test]
    fn what_is_no_object_is_said_with_its_place() {
        let error = |text: &str| {
            let error = objects(text, "here").unwrap_err();
            fastrak_runtime::chain::Chain(&error).to_string()
        };
        assert_eq!(error(" \n"), "here is empty");
        assert_eq!(error("just words"), "here: a text is no object of Kubernetes");
        assert_eq!(error("[1, 2]"), "here: a list without a kind is no object of Kubernetes");
        assert!(error("{\"a\":\n 1,,}").contains("line 2 column 4"), "{}", error("{\"a\":\n 1,,}"));
        let yaml = error("a: b\n c: d: e\n");
        assert!(yaml.contains("here is not YAML") && yaml.contains("line 2"), "{yaml}");
    }
}
