//! The pages for people: what they tell to write is accepted, and what they link to exists.

use std::path::Path;

use crate::examples::accept;
use crate::{ROOT, files_below, read};

/// Begins a block that is a whole configuration.
const MARK: &str = "# /etc/etcdlet/etcdlet.yaml";

#[test]
fn every_configuration_on_a_page_is_accepted() {
    let mut found = 0;
    for page in pages() {
        for block in blocks(&read(&page)).into_iter().filter(|block| block.starts_with(MARK)) {
            accept(&page, &block);
            found += 1;
        }
    }
    assert!(found >= 5, "{found}");
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    for page in pages() {
        let folder = Path::new(&page).parent().expect("a page is in a folder").to_owned();
        for link in links(&read(&page)) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = Path::new(ROOT).join(&folder).join(target);
            assert!(path.exists(), "{page}: {link} leads nowhere");
        }
    }
}

fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "docs/deployment.md".to_owned()];
    pages.extend(files_below("docs/migration").iter().map(|path| path.display().to_string()));
    pages
}

/// The contents of the blocks of YAML.
fn blocks(page: &str) -> Vec<String> {
    page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned())).collect()
}

fn links(page: &str) -> Vec<String> {
    page.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

#[test]
fn blocks_and_links_are_found() {
    let page = "[a](b.md#c)\n```yaml\nx: 1\n```\n```sh\ny\n```\n";
    assert_eq!(blocks(page), ["x: 1"]);
    assert_eq!(links(page), ["b.md#c"]);
}
