//! `cargo xtask publish`: the folder to publish, complete, for one release.

use std::path::{Path, PathBuf};

use anyhow::Result;
use book_compiler::anchors::New;
use book_compiler::publish::{self, Publication};
use clap::Args;

use crate::book;
use crate::setup::Setup;

/// The arguments of `cargo xtask publish`.
#[derive(Args)]
pub struct Options {
    /// The folder: a new one, or one that this command has filled before.
    #[arg(long, value_name = "DIR", default_value = "published")]
    out: PathBuf,
    /// The release, such as 0.1; that of Cargo.toml if not said.
    #[arg(long, value_name = "VERSION")]
    release: Option<String>,
    /// Where the folder will be reached, such as <https://example.com/book/>. Link
    /// previews, canonical links, the sitemap and the 404 page need it.
    #[arg(long)]
    url: Option<String>,
    /// The repository's address, for the link to the source.
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// Where to edit a page, with {path} for its file. If not said, it is
    /// REPOSITORY/edit/main/{path}, as GitHub has it.
    #[arg(long, value_name = "URL")]
    edit_url: Option<String>,
}

/// `cargo xtask publish`.
pub fn publish(root: &Path, options: Options) -> Result<()> {
    let publication = Publication::of(publish::Options {
        out: options.out,
        release: options.release,
        url: options.url,
        repository: options.repository,
        edit_url: options.edit_url,
    })?;
    let tools = Setup::new(root)?.book_tools()?;
    publication
        .write(&|folder, variables| book::render_to(root, &tools, folder, variables, New::Refuse))
}
