//! The input of commands: the text of a file or of standard input, and the objects in it.

use super::CommandError;
use serde_json::Value;
use std::io::{self, Read as _};
use std::path::Path;

/// The name of standard input in messages.
pub(super) const STDIN: &str = "standard input";

/// Reads standard input.
pub(super) fn stdin() -> Result<String, CommandError> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(|source| read(STDIN, source))?;
    Ok(text)
}

/// Reads a file.
pub(super) fn file(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|source| read(&path.display().to_string(), source))
}

fn read(from: &str, source: io::Error) -> CommandError {
    CommandError::Read { from: from.to_owned(), source }
}

/// Parses the objects of a text in YAML or JSON. A list is replaced by its items.
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
    // JSON is YAML too, but the JSON parser is much faster and has better error messages.
    if text.trim_start().starts_with('{') {
        let all: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        return all.map_err(|source| CommandError::Json { from: from.to_owned(), source });
    }
    // The default limits are for untrusted input. This is the user's own, and may contain every
    // node of a large cluster.
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
    let other = match document {
        // A document with only comments.
        Value::Null => return Ok(()),
        Value::Object(mut list) if is_list(&list) => {
            let items = list.remove("items").unwrap_or_default();
            let items = if let Value::Array(items) = items { items } else { Vec::new() };
            return items.into_iter().try_for_each(|item| gather(item, from, found));
        }
        Value::Object(object) => {
            found.push(Value::Object(object));
            return Ok(());
        }
        Value::Array(_) => "list without a kind",
        Value::String(_) => "text",
        Value::Bool(_) | Value::Number(_) => "single value",
    };
    Err(CommandError::NoObject { from: from.to_owned(), found: other })
}

fn is_list(object: &serde_json::Map<String, Value>) -> bool {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List") && object.get("items").is_some_and(Value::is_array)
}

/// Returns the text at a path of an object, or an empty text.
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
    fn a_document_that_is_not_an_object_is_reported_with_its_position() {
        let error = |text: &str| {
            let error = objects(text, "here").unwrap_err();
            fastrak_runtime::chain::Chain(&error).to_string()
        };
        assert_eq!(error(" \n"), "here is empty");
        assert_eq!(error("just words"), "here: a text is not a Kubernetes object");
        assert_eq!(error("[1, 2]"), "here: a list without a kind is not a Kubernetes object");
        assert!(error("{\"a\":\n 1,,}").contains("line 2 column 4"), "{}", error("{\"a\":\n 1,,}"));
        let yaml = error("a: b\n c: d: e\n");
        assert!(yaml.contains("here is not YAML") && yaml.contains("line 2"), "{yaml}");
    }
}
