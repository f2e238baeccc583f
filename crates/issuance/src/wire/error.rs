//! Error answers: `{"error", "error_description"}` (RFC 6749, 5.2; OpenID4VCI 1.0, 8.3.1.2).

use serde::Serialize;

/// An error answer.
#[derive(Serialize)]
struct ErrorAnswer<'a> {
    error: &'a str,
    error_description: String,
}

/// The body of an error answer. The description keeps to the characters that the standards allow.
#[must_use]
pub fn write(error: &str, description: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
    let error_description: String =
        description.chars().map(|c| if allowed(c) { c } else { '?' }).collect();
    super::to_json(&ErrorAnswer { error, error_description })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_keeps_to_the_allowed_characters() {
        assert_eq!(
            write("invalid_proof", "a \"quoted\" \\ wörd\n"),
            r#"{"error":"invalid_proof","error_description":"a ?quoted? ? w?rd?"}"#
        );
    }
}
