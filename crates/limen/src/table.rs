//! Lists as people read them: aligned columns; and pages as the server hands them out.

use std::process::ExitCode;

use api::page::{PAGE_ROWS_MAX, Page};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use crate::tree::Tree;

/// Pages that are followed for one list.
const PAGES_MAX: usize = 10_000;
/// Characters of a cell that people are shown; JSON holds it whole.
const CELL_CHARACTERS_MAX: usize = 60;

/// A thing of the server that is shown in lists and by itself.
pub(crate) trait Shown: Serialize {
    /// The headings of a list.
    const COLUMNS: &'static [&'static str];

    /// One row, a cell for each heading.
    fn cells(&self) -> Vec<String>;

    /// The thing by itself.
    fn tree(&self) -> Tree {
        columns(self)
    }
}

/// The cells of a thing, each with its heading.
pub(crate) fn columns<T: Shown + ?Sized>(thing: &T) -> Tree {
    let mut tree = Tree::new();
    let cells = T::COLUMNS.iter().zip(thing.cells());
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        tree.leaf(*column, cell);
    }
    tree
}

/// Which part of a list is wanted.
#[derive(Args)]
pub(crate) struct Part {
    /// Rows at the most.
    #[arg(long, value_name = "ROWS", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE_ROWS_MAX)))]
    limit: u32,
    /// Begin after this cursor, which the page before ended with.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Follow the cursors to the end.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Part {
    /// Fetches the part of the list at `path` and prints it.
    pub(crate) fn list<T: Shown + DeserializeOwned>(
        self,
        call: &Call,
        path: &str,
    ) -> Result<ExitCode, Failure> {
        let client = call.client()?;
        let page: Page<T> = if self.all {
            Page { items: all(&client, path)?, next: None }
        } else {
            client.get_json(&query(path, self.limit, self.after.as_deref()))?
        };
        if call.json {
            return call.value(&page);
        }
        let mut text = table(&page.items);
        if let Some(next) = page.next {
            let next = output::printable(&next);
            text.push_str(&format!("\nThere is more: add --after '{next}', or --all.\n"));
        }
        output::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every row of the list at `path`.
pub(crate) fn all<T: DeserializeOwned>(client: &Client, path: &str) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let page: Page<T> = client.get_json(&query(path, PAGE_ROWS_MAX, after.as_deref()))?;
        let is_last = page.next.is_none() || page.next == after;
        items.extend(page.items);
        after = page.next;
        if is_last {
            return Ok(items);
        }
    }
    Err(Failure::broken(format!("the list exceeds {PAGES_MAX} pages"))
        .hint("read it in parts, with --after"))
}

fn query(path: &str, limit: u32, after: Option<&str>) -> String {
    let after = after.map(|cursor| format!("&after={}", percent_encode(cursor)));
    format!("{path}?limit={limit}{}", after.unwrap_or_default())
}

/// RFC 3986, section 2.1: everything that is not unreserved is encoded.
fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The rows under their headings.
pub(crate) fn table<T: Shown>(items: &[T]) -> String {
    if items.is_empty() {
        return String::from("There is nothing in this list.\n");
    }
    let heading = T::COLUMNS.iter().map(|column| column.to_uppercase()).collect();
    let mut rows: Vec<Vec<String>> = vec![heading];
    rows.extend(items.iter().map(|item| item.cells().iter().map(|cell| cut(cell)).collect()));
    let widths: Vec<usize> = (0..T::COLUMNS.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cut(cell: &str) -> String {
    let cell = output::printable(cell);
    if cell.chars().count() <= CELL_CHARACTERS_MAX {
        return cell;
    }
    let shown: String = cell.chars().take(CELL_CHARACTERS_MAX - 3).collect();
    format!("{shown}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row(&'static str, &'static str);

    impl Shown for Row {
        const COLUMNS: &'static [&'static str] = &["code", "name"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.into(), self.1.into()]
        }
    }

    #[test]
    fn columns_are_aligned_and_cells_cannot_steer_the_terminal() {
        let long = "x".repeat(CELL_CHARACTERS_MAX);
        let longer: &'static str = Box::leak(format!("{long}y").into_boxed_str());
        let rows = [Row("tram", "Süd \u{1b}[2J"), Row("harbour-transit", ""), Row("a", longer)];
        let expected = format!(
            "CODE             NAME\n\
             tram             Süd \\u{{1b}}[2J\n\
             harbour-transit\n\
             a                {}...\n",
            "x".repeat(CELL_CHARACTERS_MAX - 3)
        );
        assert_eq!(table(&rows), expected);
        assert_eq!(cut(&long), long);
        assert_eq!(table::<Row>(&[]), "There is nothing in this list.\n");
    }

    #[test]
    fn a_cursor_cannot_change_the_request() {
        assert_eq!(query("/v1/passes", 5, None), "/v1/passes?limit=5");
        assert_eq!(
            query("/p", 5, Some("a&limit=9 é#")),
            "/p?limit=5&after=a%26limit%3D9%20%C3%A9%23"
        );
    }
}
