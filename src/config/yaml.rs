//! The only place that knows the YAML library, and writes JSON of the same.

use serde_yaml::{Mapping, Value};

use super::section::{Node, Scalar};

/// Parses a document. An empty one is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    Ok(match value {
        Value::Null => Node::Map(Vec::new()),
        value => node(value),
    })
}

fn node(value: Value) -> Node {
    match value {
        Value::Null => Node::Scalar(Scalar::Null),
        Value::Bool(value) => Node::Scalar(Scalar::Other(value.to_string())),
        Value::Number(value) => Node::Scalar(Scalar::Other(value.to_string())),
        Value::String(value) => Node::Scalar(Scalar::Text(value)),
        Value::Sequence(values) => Node::List(values.into_iter().map(node).collect()),
        Value::Mapping(entries) => {
            let key = |key: Value| match node(key) {
                Node::Scalar(Scalar::Text(text) | Scalar::Other(text)) => text,
                Node::Scalar(Scalar::Null) => "null".to_owned(),
                Node::List(_) | Node::Map(_) => "(not a name)".to_owned(),
            };
            Node::Map(entries.into_iter().map(|(name, value)| (key(name), node(value))).collect())
        }
        Value::Tagged(tagged) => node(tagged.value),
    }
}

/// The same as text.
pub(super) fn render(node: &Node) -> String {
    serde_yaml::to_string(&value(node)).expect("texts, lists and mappings can be written")
}

pub(super) fn json(node: &Node) -> serde_json::Value {
    serde_json::to_value(value(node)).expect("every key is a text")
}

fn value(node: &Node) -> Value {
    match node {
        Node::Scalar(Scalar::Null) => Value::Null,
        // As it was written: a number or a boolean.
        Node::Scalar(Scalar::Other(text)) => {
            serde_yaml::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        Node::Scalar(Scalar::Text(text)) => Value::String(text.clone()),
        Node::List(items) => Value::Sequence(items.iter().map(value).collect()),
        Node::Map(entries) => {
            let entries = entries.iter().map(|(name, node)| (Value::String(name.clone()), value(node)));
            Value::Mapping(entries.collect::<Mapping>())
        }
    }
}
