//! Texts for people.

use std::borrow::Cow;

/// Longest text of a client that is quoted back, in characters.
const MAX_QUOTED: usize = 100;

/// Enough of a client's own text to recognize it, so that an answer does not grow with the request.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Several errors as one text, in the form of the reference (hashicorp/go-multierror).
pub(crate) fn joined(errors: &[String]) -> String {
    let mut text = match errors.len() {
        1 => "1 error occurred:\n".to_owned(),
        count => format!("{count} errors occurred:\n"),
    };
    for error in errors {
        text.push_str("\t* ");
        text.push_str(error);
        text.push('\n');
    }
    text.push('\n');
    text
}
