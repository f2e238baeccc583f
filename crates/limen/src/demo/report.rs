//! The story as one self-contained page.

use super::story::Story;

/// The page.
pub(super) fn page(story: &Story, sabotage: Option<&str>) -> String {
    let _ = (story, sabotage);
    String::new()
}
