//! The only place that knows the YAML library.

use serde_yaml::Value;

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
