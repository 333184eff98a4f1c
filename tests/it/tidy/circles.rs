//! No circle of files within a room: of two files, one can be read without the other.
//!
//! An edge goes from a file to the file of a name that it uses, through the re-exports of folders. A file
//! that has a folder beside it (`mod.rs`) only holds its children together, and is no part of the graph.

#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "the source is our own, and every bound was found in it"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::{code_lines, report, rust_files, src};

/// A path of modules, such as `store/spool/open`.
type Module = Vec<String>;

/// The source: the code of each module, and what it re-exports.
struct Source {
    code: BTreeMap<Module, String>,
    exports: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl Source {
    fn read() -> Self {
        let mut code = BTreeMap::new();
        for file in rust_files(&src()) {
            let path = file.strip_prefix(src()).unwrap().with_extension("");
            let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            module.pop_if(|last| last == "mod");
            let is_test = module.last().is_some_and(|last| last.ends_with("tests"));
            let lines = code_lines(&file).into_iter().take_while(|line| line != "mod tests {");
            if !is_test {
                code.insert(module, lines.collect::<Vec<_>>().join(" "));
            }
        }
        let mut source = Self { code, exports: BTreeMap::new() };
        for (module, text) in &source.code {
            let paths =
                uses(text).into_iter().filter(|(is_public, _)| *is_public).flat_map(|(_, paths)| paths);
            let paths = paths.filter_map(|path| source.absolute(module, &path));
            let exports = paths.filter_map(|path| Some((path.last()?.clone(), path)));
            source.exports.insert(module.clone(), exports.collect());
        }
        source
    }

    /// A path as written in `module`, from the root of the crate; `None` if it leads out of it.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let parent = module.split_last()?.1;
                let is_child = rest.first().is_some_and(|next| next != "super" && next != "self");
                if is_child { Some([parent, rest].concat()) } else { self.absolute(parent, rest) }
            }
            child => {
                let child = [module, &[child.to_owned()]].concat();
                self.code.contains_key(&child).then(|| [module, path].concat())
            }
        }
    }

    /// The file in which a name is written down.
    fn home(&self, path: &[String], n_left: usize) -> Option<Module> {
        let n = (1..=path.len()).rev().find(|n| self.code.contains_key(&path[..*n]))?;
        let (module, rest) = path.split_at(n);
        let through = rest.first().and_then(|name| self.exports.get(module)?.get(name));
        match through.filter(|_| n_left > 0) {
            Some(through) => self.home(&[through.as_slice(), &rest[1..]].concat(), n_left - 1),
            None => Some(module.to_vec()),
        }
    }

    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let parents: BTreeSet<&[String]> =
            self.code.keys().filter_map(|one| Some(one.split_last()?.1)).collect();
        let is_file = |module: &Module| !parents.contains(module.as_slice());
        let mut edges = BTreeMap::new();
        for (module, text) in self.code.iter().filter(|(module, _)| is_file(module)) {
            let paths = uses(text).into_iter().flat_map(|(_, paths)| paths).chain(inline_paths(text));
            let homes = paths.filter_map(|path| self.home(&self.absolute(module, &path)?, 8));
            let others =
                homes.filter(|home| home != module && home.first() == module.first() && is_file(home));
            edges.insert(module.clone(), others.collect());
        }
        edges
    }
}

/// Each `use` of a file: whether it is public, and its paths.
fn uses(text: &str) -> Vec<(bool, Vec<Module>)> {
    let starts =
        text.match_indices("use ").filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric()));
    let one = |(at, _): (usize, &str)| {
        let tree = text[at + 4..].split(';').next()?;
        let before = text[..at].trim_end();
        Some((before.ends_with("pub") || before.ends_with("pub(super)"), flattened(tree, &[])))
    };
    starts.filter_map(one).collect()
}

/// The paths of a tree of `use`, such as `a::{b, c::d}`.
fn flattened(tree: &str, before: &[String]) -> Vec<Module> {
    let tree = tree.trim().split(" as ").next().unwrap_or_default();
    let parts = |text: &str| {
        text.split("::").filter(|part| !part.is_empty()).map(|part| part.trim().to_owned()).collect()
    };
    let Some((head, rest)) = tree.split_once('{') else {
        let path: Module = parts(tree);
        return vec![[before, &path].concat()];
    };
    let head: Module = parts(head);
    let before = [before, &head].concat();
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    let (mut paths, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inside[start..at].trim().is_empty() {
                    paths.extend(flattened(&inside[start..at], &before));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// Paths that are written out where they are used.
fn inline_paths(text: &str) -> Vec<Module> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !is_path(c)).filter(|word| word.contains("::"));
    let paths = words.map(|word| word.split("::").map(str::to_owned).collect::<Module>());
    paths
        .filter(|path| {
            ["crate", "super", "self"].contains(&path[0].as_str())
                && path[1..].iter().all(|part| !part.is_empty())
        })
        .collect()
}

/// Every file that can be reached from `from`.
fn reached<'e>(edges: &'e BTreeMap<Module, BTreeSet<Module>>, from: &'e Module) -> BTreeSet<&'e Module> {
    let (mut seen, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(next) = pending.pop() {
        for other in edges.get(next).into_iter().flatten() {
            if seen.insert(other) {
                pending.push(other);
            }
        }
    }
    seen
}

#[test]
fn no_files_of_a_room_need_each_other() {
    let edges = Source::read().edges();
    let all: BTreeMap<&Module, BTreeSet<&Module>> =
        edges.keys().map(|file| (file, reached(&edges, file))).collect();
    let circles: BTreeSet<Vec<String>> = all
        .iter()
        .filter(|(file, reached)| reached.contains(*file))
        .map(|(file, reached)| {
            let round = reached.iter().filter(|other| all[*other].contains(file));
            round.map(|other| other.join("/")).collect()
        })
        .collect();
    report(&circles.iter().map(|circle| format!("a circle: {}", circle.join(", "))).collect::<Vec<_>>());
}
