//! Labelled values in order, shown to people as an indented tree and to programs as JSON.

use serde_json::{Map, Value};

use crate::output;

/// Characters of one value that people are shown; JSON holds it whole.
const VALUE_CHARACTERS_MAX: usize = 240;

/// Labelled values in order.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: Vec<(String, Node)>,
}

#[derive(Debug)]
enum Node {
    Leaf(Value),
    Branch(Tree),
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds one value.
    pub(crate) fn leaf(&mut self, label: impl Into<String>, value: impl Into<Value>) {
        self.entries.push((label.into(), Node::Leaf(value.into())));
    }

    /// Adds a group of values.
    pub(crate) fn branch(&mut self, label: impl Into<String>, tree: Self) {
        self.entries.push((label.into(), Node::Branch(tree)));
    }

    /// Labels become names in snake case; a label that stands twice keeps both values.
    pub(crate) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        for (label, node) in &self.entries {
            let value = match node {
                Node::Leaf(value) => value.clone(),
                Node::Branch(tree) => tree.to_json(),
            };
            let mut name = label.replace(' ', "_");
            while fields.contains_key(&name) {
                name.push('+');
            }
            fields.insert(name, value);
        }
        Value::Object(fields)
    }

    /// One line per value, groups indented. Control characters from outside are escaped.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text
    }

    fn write(&self, text: &mut String, depth: usize) {
        let width = self.entries.iter().filter(|(_, node)| matches!(node, Node::Leaf(_)));
        let width = width.map(|(label, _)| label.chars().count()).max().unwrap_or(0).min(32);
        for (label, node) in &self.entries {
            let label = output::printable(label);
            let indent = "  ".repeat(depth);
            match node {
                Node::Leaf(value) => {
                    let value = shorten(match value {
                        Value::String(value) => output::printable(value),
                        value => output::printable(&value.to_string()),
                    });
                    text.push_str(&format!("{indent}{label:width$}  {value}\n"));
                }
                Node::Branch(tree) => {
                    text.push_str(&format!("{indent}{label}\n"));
                    tree.write(text, depth + 1);
                }
            }
        }
    }
}

fn shorten(value: String) -> String {
    let characters = value.chars().count();
    if characters <= VALUE_CHARACTERS_MAX {
        return value;
    }
    let shown: String = value.chars().take(VALUE_CHARACTERS_MAX).collect();
    format!("{shown}... ({characters} characters; --json shows all)")
}
