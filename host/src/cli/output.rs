//! How results look: tables, figures, progress.

use super::Global;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// Prints a line. When nobody reads any more, the process ends quietly, as other tools do.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Prints a result: as JSON if that was asked for, and otherwise as `text` says.
pub(super) fn show(global: &Global, value: &Value, text: impl FnOnce() -> String) {
    if global.json {
        say(&value.to_string());
    } else {
        say(text().trim_end());
    }
}

/// Says something to people only, on standard error.
pub(super) fn warn(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr().lock(), "warning: {text}");
}

/// Rows under a head, columns aligned: figures to the right, everything else to the left.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With the names of the columns.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&name| name.to_owned()).collect()] }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, or `empty` when it has no rows.
    pub(super) fn text_or(&self, empty: &str) -> String {
        if self.rows.len() == 1 { empty.to_owned() } else { self.text() }
    }

    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| width(&cell(row, column))).max().unwrap_or(0))
            .collect();
        let right: Vec<bool> =
            (0..columns).map(|column| self.rows.iter().skip(1).all(|row| is_figure(&cell(row, column)))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for column in 0..columns {
                let cell = cell(row, column);
                let space = " ".repeat(widths[column] - width(&cell));
                let gap = if column == 0 { "" } else { "  " };
                line.push_str(gap);
                line.push_str(&if right[column] { space + &cell } else { cell + &space });
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn is_figure(cell: &str) -> bool {
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit() || b",.".contains(&byte))
}

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 key`, `2,000 keys`.
pub(super) fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", count(number), if number == 1 { singular } else { plural })
}

/// `0.42 ms`, `12 ms`, `1.25 s`.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        short if short < 0.01 => format!("{:.2} ms", short * 1000.0),
        short if short < 1.0 => format!("{:.0} ms", short * 1000.0),
        long => format!("{long:.2} s"),
    }
}

/// Items joined by commas, or a dash.
pub(super) fn joined(items: &[String]) -> String {
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

/// A line on a terminal that is written over again and again; elsewhere nothing.
#[derive(Debug)]
pub(super) struct Progress {
    is_on: bool,
}

impl Progress {
    /// On standard error, if that is a terminal.
    pub(super) fn new() -> Self {
        Self { is_on: std::io::stderr().is_terminal() }
    }

    /// Writes over the line.
    pub(super) fn show(&self, text: &str) {
        if self.is_on {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped() {
        for (number, expect) in [(0, "0"), (999, "999"), (1000, "1,000"), (14_000, "14,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), expect);
        }
        assert_eq!(counted(1, "key", "keys"), "1 key");
        assert_eq!(counted(2000, "key", "keys"), "2,000 keys");
    }

    #[test]
    fn table_aligns_figures_to_the_right_and_text_to_the_left() {
        let mut table = Table::new(&["name", "keys", "region"]);
        table.row(["a".to_owned(), "1,000".to_owned(), "US".to_owned()]);
        table.row(["längst".to_owned(), "7".to_owned(), "CA".to_owned()]);
        assert_eq!(table.text_or(""), "name     keys  region\na       1,000  US\nlängst      7  CA\n");
        assert_eq!(Table::new(&["name"]).text_or("none"), "none");
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        for (time, expect) in [(0.000_42, "0.42 ms"), (0.0123, "12 ms"), (1.25, "1.25 s"), (0.9, "900 ms")] {
            assert_eq!(seconds(time), expect);
        }
    }
}
