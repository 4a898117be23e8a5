//! Which of the found inputs are worth a place in the repository.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// An input must reach so many places that no other reaches. libFuzzer's own merge keeps one for each single place,
/// which is ten times the files, most of them about one more letter of a name.
const MIN_GAIN: usize = 3;

/// One input, as libFuzzer's control file of a merge tells of it.
#[derive(Debug, Default, Clone, PartialEq)]
struct Input {
    path: PathBuf,
    size: usize,
    /// Numbers of the places in the code that it reaches.
    reached: HashSet<u64>,
}

/// The inputs to add to those in the folder `kept`, most useful first.
pub(super) fn choose(control_file: &str, kept: &Path) -> Result<Vec<PathBuf>, String> {
    let (old, mut new): (Vec<_>, Vec<_>) =
        parse(control_file)?.into_iter().partition(|input| input.path.starts_with(kept));
    let mut known: HashSet<u64> = old.into_iter().flat_map(|input| input.reached).collect();
    let mut chosen = Vec::new();
    loop {
        for input in &mut new {
            input.reached.retain(|place| !known.contains(place));
        }
        new.retain(|input| input.reached.len() >= MIN_GAIN);
        // Of equally useful ones the smallest.
        let best = new.iter().max_by_key(|input| (input.reached.len(), std::cmp::Reverse(input.size)));
        let Some(Input { path, reached, .. }) = best else { return Ok(chosen) };
        chosen.push(path.clone());
        known.extend(reached);
    }
}

/// Two numbers, of which the first is that of the files; a line for the path of each; then lines like `STARTED 7 120`
/// (number of the file, bytes) and `FT 7 12 34` (number of the file, places).
fn parse(control_file: &str) -> Result<Vec<Input>, String> {
    let mut lines = control_file.lines();
    let count = lines.next().and_then(|line| line.parse::<usize>().ok()).ok_or("no number of files")?;
    lines.next();
    let mut inputs: Vec<Input> =
        lines.by_ref().take(count).map(|path| Input { path: path.into(), ..Input::default() }).collect();
    for line in lines {
        let mut words = line.split(' ');
        let (Some(what @ ("STARTED" | "FT")), Some(file)) = (words.next(), words.next()) else { continue };
        let input = file.parse::<usize>().ok().and_then(|file| inputs.get_mut(file)).ok_or("no such file")?;
        if what == "FT" {
            input.reached.extend(words.filter_map(|place| place.parse::<u64>().ok()));
        } else {
            input.size = words.next().and_then(|size| size.parse().ok()).ok_or("no size")?;
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(lines: &str) -> Vec<String> {
        let control_file = format!("4\n0\n/kept/a\n/found/b\n/found/c\n/found/d\n{lines}");
        let paths = choose(&control_file, Path::new("/kept")).expect("well-formed");
        paths.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn inputs_that_reach_enough_new_places_are_kept_until_none_is_left() {
        let kept = "STARTED 0 5\nFT 0 1 2 3\nCOV 0 1\n";
        assert_eq!(chosen(&format!("{kept}STARTED 1 9\nFT 1 1 2 3 4 5\n")), Vec::<String>::new());
        assert_eq!(chosen(&format!("{kept}STARTED 1 9\nFT 1 3 4 5 6\n")), ["/found/b"]);
        // c reaches most; then b has nothing left and d has three.
        let found = "FT 1 4 5 6\nFT 2 4 5 6 7 8\nFT 3 8 9 10 11\n";
        assert_eq!(chosen(&format!("{kept}{found}")), ["/found/c", "/found/d"]);
    }

    #[test]
    fn smaller_one_of_equal_inputs_is_kept() {
        assert_eq!(chosen("STARTED 1 9\nFT 1 4 5 6\nSTARTED 2 8\nFT 2 4 5 6\n"), ["/found/c"]);
    }

    #[test]
    fn other_files_are_refused() {
        for bad in ["", "x\n", "1\n0\n/a\nFT 1 2\n", "1\n0\n/a\nSTARTED 0\n"] {
            assert!(choose(bad, Path::new("/kept")).is_err(), "{bad:?}");
        }
    }
}
