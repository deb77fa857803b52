//! The tables of module comments, for the tests that walk them: those at the foot of modules, and those on sockets.

/// The rows of the table in a module comment, without its head: `include_str!` the file.
pub(crate) fn table_rows(source: &str) -> Vec<Vec<&str>> {
    let lines = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    let cells = |line| {
        str::split(line, '|')
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
    };
    lines.skip(1).map(|line| cells(line).collect()).collect()
}
