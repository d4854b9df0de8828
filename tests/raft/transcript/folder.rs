//! Runs every file of a folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::kind::Kind;
use super::run::{Interpreter, Mode, run_file};

/// Runs all the files in a folder and in the folders inside, in the order of their names, each with its own
/// interpreter. Panics with every file that failed, and if there is none to run. Returns how many were run.
pub(crate) fn run_folder(
    folder: &Path,
    mode: Mode,
    interpreter: &dyn Fn(Kind) -> Box<dyn Interpreter>,
) -> usize {
    let (count, failures) = failures(folder, mode, interpreter);
    assert!(count > 0, "{}: no transcripts", folder.display());
    assert!(failures.is_empty(), "{} of {count} failed\n{}", failures.len(), failures.join("\n"));
    count
}

/// How many files there are, and what is wrong with those that failed.
pub(crate) fn failures(
    folder: &Path,
    mode: Mode,
    interpreter: &dyn Fn(Kind) -> Box<dyn Interpreter>,
) -> (usize, Vec<String>) {
    let mut files = Vec::new();
    collect(folder, &mut files).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let failure = |file: &PathBuf| run_file(file, mode, interpreter).err().map(|it| it.at(file));
    (files.len(), files.iter().filter_map(failure).collect())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    for path in paths.into_iter().filter(|it| !is_passed_over(it)) {
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Hidden, or what editors leave.
fn is_passed_over(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with('~') || name.starts_with('#') && name.ends_with('#')
}
