//! Renders the YAML templates of policies.
//!
//! A parameter is `$name`, in lower-case letters and underscores. In an `expression` it becomes a
//! CEL literal: a text, a number, a list or a map. Anywhere else it becomes its text. A value is
//! not searched for parameters again. An unknown parameter is an error, and so is one that the
//! template does not use.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The value of a parameter.
#[derive(Clone, Debug)]
pub(super) enum Parameter {
    Text(String),
    Number(i32),
    List(Vec<String>),
    Map(Vec<(&'static str, String)>),
}

/// The parameters of a template by their names.
pub(super) type Parameters = Vec<(&'static str, Parameter)>;

/// A template that does not render.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template is not YAML.
    #[error("internal error: the policy template is not YAML")]
    Yaml(#[source] Box<serde_saphyr::Error>),
    /// The rendered document is not the expected object.
    #[error("internal error: the policy template does not render a policy and its binding")]
    Object(#[source] Option<serde_json::Error>),
    /// The template uses a parameter that does not exist.
    #[error("internal error: the policy template uses the unknown parameter ${name} in {text:?}")]
    Unknown {
        /// The parameter.
        name: String,
        /// The text that uses it.
        text: String,
    },
    /// The parameter is not a text and stands outside of an expression.
    #[error(
        "internal error: the policy template uses ${0}, which is not a text, outside of an expression"
    )]
    NotAText(String),
    /// The template does not use a parameter.
    #[error("internal error: the policy template does not use the parameter ${0}")]
    Unused(&'static str),
}

/// Renders the documents of a template.
pub(super) fn render(template: &str, parameters: &Parameters) -> Result<Vec<Value>, TemplateError> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(template)
        .map_err(|error| TemplateError::Yaml(Box::new(error)))?;
    let mut filler = Filler { parameters, used: BTreeSet::new() };
    for document in &mut documents {
        filler.fill(document, false)?;
    }
    let unused = parameters.iter().find(|(name, _)| !filler.used.contains(name));
    unused.map_or(Ok(documents), |(name, _)| Err(TemplateError::Unused(name)))
}

/// Fills in parameters and notes which were used.
struct Filler<'a> {
    parameters: &'a Parameters,
    used: BTreeSet<&'static str>,
}

impl Filler<'_> {
    fn fill(&mut self, value: &mut Value, is_expression: bool) -> Result<(), TemplateError> {
        match value {
            Value::String(text) => *text = self.text(text, is_expression)?,
            Value::Array(values) => {
                values.iter_mut().try_for_each(|value| self.fill(value, is_expression))?;
            }
            Value::Object(map) => {
                let mut entries = map.iter_mut();
                entries.try_for_each(|(key, value)| self.fill(value, key == "expression"))?;
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str, is_expression: bool) -> Result<String, TemplateError> {
        let mut parts = text.split('$');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            let end = part.find(|c| !is_name(c)).unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            let found = self.parameters.iter().find(|(known, _)| *known == name);
            let (known, value) = found.ok_or_else(|| TemplateError::Unknown {
                name: name.to_owned(),
                text: text.to_owned(),
            })?;
            self.used.insert(known);
            match (value, is_expression) {
                (value, true) => filled.push_str(&value.cel()),
                (Parameter::Text(value), false) => filled.push_str(value),
                (_, false) => return Err(TemplateError::NotAText(name.to_owned())),
            }
            filled.push_str(rest);
        }
        Ok(filled)
    }
}

impl Parameter {
    /// Returns the value as a CEL literal.
    fn cel(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::List(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Self::Map(entries) => {
                let entry =
                    |(key, value): &(&str, String)| format!("{}: {}", quoted(key), quoted(value));
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\\' | '\'' => quoted.extend(['\\', c]),
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Parameter {
        Parameter::Text(value.to_owned())
    }

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
            assert_eq!(text(value).cel(), wanted);
        }
        assert_eq!(Parameter::List(vec!["a".into(), "b'".into()]).cel(), r"['a', 'b\'']");
        assert_eq!(Parameter::List(Vec::new()).cel(), "[]");
        let map = Parameter::Map(vec![("a", "1".into()), ("b", "'".into())]);
        assert_eq!(map.cel(), r"{'a': '1', 'b': '\''}");
        assert_eq!(Parameter::Number(8123).cel(), "8123");
    }

    #[test]
    fn a_parameter_is_a_literal_in_an_expression_and_its_text_elsewhere() {
        let template =
            "name: a-$node\nvalues: [$node, x]\nlist:\n- expression: $node == $node_long\n";
        let parameters = vec![("node", text("'$node'")), ("node_long", Parameter::Number(2))];
        let rendered = render(template, &parameters).unwrap();
        let wanted = serde_json::json!({"name": "a-'$node'", "values": ["'$node'", "x"],
            "list": [{"expression": r"'\'$node\'' == 2"}]});
        assert_eq!(rendered, [wanted]);
    }

    #[test]
    fn unknown_unused_and_misplaced_parameters_are_errors() {
        for (template, parameters, error) in [
            ("a: $other", vec![], "unknown parameter $other"),
            ("a: cost $ 5", vec![], "unknown parameter $ in"),
            ("a: b", vec![("node", text("n"))], "does not use the parameter $node"),
            ("a: $list", vec![("list", Parameter::List(Vec::new()))], "which is not a text"),
            ("a: [", vec![], "not YAML"),
        ] {
            let found = render(template, &parameters).unwrap_err().to_string();
            assert!(found.contains(error), "{template}: {found}");
        }
    }
}
