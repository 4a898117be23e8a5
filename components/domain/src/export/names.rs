//! Names of the files that phones download (reference: the same).

use crate::ports::exports::Window;

/// Name of export file `number` (from 1) of a batch. `reprocess_count` moves both times of the name, so that files that
/// are made again get new names and caches and phones take them for new files.
pub fn export_file(filename_root: &str, window: Window, reprocess_count: u32, number: u32) -> String {
    let [start, end] = [window.start, window.end].map(|time| time.plus_seconds(reprocess_count.into()).unix());
    format!("{filename_root}/{start}-{end}-{number:05}.zip")
}

/// Name of the index file of an export config.
pub fn index_file(filename_root: &str) -> String {
    format!("{filename_root}/index.txt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::Timestamp;

    #[test]
    fn reprocess_count_moves_both_times() {
        let window = Window { start: Timestamp::from_unix(100), end: Timestamp::from_unix(300) };
        assert_eq!(export_file("v2", window, 3, 1), "v2/103-303-00001.zip");
        assert_eq!(export_file("a/b", window, 0, 12), "a/b/100-300-00012.zip");
        assert_eq!(index_file("v2"), "v2/index.txt");
    }
}
