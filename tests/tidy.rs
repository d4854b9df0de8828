//! The repository's own rules, checked on its own files.
//!
//! Each rule is a function from a file's path and text to a list of violations, so that its tests
//! can show both that it holds here and that it would notice when it did not. The rules read
//! tokens, not a syntax tree: they are meant to catch a slip, not an adversary.

#[path = "tidy/dead_files.rs"]
mod dead_files;
#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/hygiene.rs"]
mod hygiene;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/proto.rs"]
mod proto;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/tokens.rs"]
mod tokens;
#[path = "tidy/tree.rs"]
mod tree;
