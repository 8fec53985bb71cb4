//! The chores of this repository, run as `cargo xtask <command>`.
//!
//! Three commands are enough: `serve` to read the book, `demo` to see an error arrive, `test` to
//! run every check. Each first sets up what it needs.

mod bench;
mod book;
mod coverage;
mod demo;
mod drawings;
mod drift;
mod engine;
mod fuzz;
mod mutants;
mod pictures;
mod proof;
mod publish;
mod release;
mod run;
#[cfg(test)]
mod secrets;
mod seen;
mod serve;
mod setup;
mod test;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use book_compiler::root;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The chores of this repository"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install every tool the other commands need, into the user's cache.
    ///
    /// Running it again is quick: a tool that is there in the right version is left alone.
    /// Nothing is written into the checkout but links below target/tools.
    ///
    /// WORKER_SENTRY_CACHE=DIR           where the tools go
    /// WORKER_SENTRY_NO_PATH_TOOLS=1     ignore cargo tools that are on PATH
    /// WORKER_SENTRY_NODE=npm|pypi       which Node.js to install instead of the machine's
    /// WORKER_SENTRY_WASM=rustup|distribution
    ///                                   which compiler builds for wasm32
    /// CHROME=FILE                       the Chromium or Chrome to use
    #[command(verbatim_doc_comment)]
    Setup,
    /// Verify the listings, render the book and serve it on this machine.
    Serve {
        /// The port to serve on; the next free one where it is taken.
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Start the example Worker and two receivers, all on this machine, and make
    /// the Worker fail. Ctrl-C ends everything.
    Demo {
        /// Make this handler fail at once, such as panic/alarm, and print where it did:
        /// the address of its issue, and functions, files and lines of its stack.
        #[arg(long, value_name = "HOST/HANDLER")]
        drill: Option<String>,
    },
    /// Render the book into ./book, with the documentation of the API.
    Book {
        /// Add new pages and headings to the list of places that must stay.
        #[arg(long)]
        anchors: bool,
    },
    /// Make the folder to publish: the book with the API, complete, for one
    /// release.
    ///
    /// The newest release is at the root of the folder, and each release below its
    /// own name, such as v0.1/. Earlier ones that are in the folder stay there, and
    /// each of their pages leads to the newest.
    #[command(verbatim_doc_comment)]
    Publish(publish::Options),
    /// Say whether the packages could be released as they are. Publishes nothing.
    ///
    /// Packs and builds them, tries the upload, reads the licences and the advisories of
    /// all they depend on, makes the documentation as docs.rs does, and builds with the
    /// oldest dependencies that the manifests allow.
    Release,
    /// Run everything that proves the book, the crate and the example Worker.
    ///
    /// Stops at the first stage that fails and says how to run only that one.
    Test {
        /// Run only the tests whose name contains this text, and no lints.
        filter: Option<String>,
        /// Run only this stage.
        #[arg(long, value_enum)]
        stage: Option<test::Stage>,
        /// Write down which tests passed and what they used, for the book to show,
        /// instead of comparing it with what is written.
        #[arg(long, conflicts_with = "filter")]
        record: bool,
    },
    /// Measure this crate and the JavaScript SDK side by side, in workerd on this
    /// machine, and write the book's page of it.
    ///
    /// Takes some minutes. Let nothing else run meanwhile.
    Bench {
        /// Fewer rounds; prints what was found and writes nothing.
        #[arg(long)]
        quick: bool,
        /// Measure nothing; write the page again from tests/bench/results.json.
        #[arg(long, conflicts_with = "quick")]
        page: bool,
    },
    /// Give each reader of untrusted input a million random inputs: DSNs, headers, stacks, what
    /// JavaScript throws, cron expressions, modules.
    Fuzz(fuzz::Options),
    /// Take the pictures of the book anew: issues of the example as Bugsink shows them.
    ///
    /// Builds the Workers, makes them fail beside Bugsink, and writes src/pictures and the
    /// text of each picture. The proof takes them again and compares.
    #[command(verbatim_doc_comment)]
    Pictures,
    /// Change the code of the crate and the example in one place after another, and see that
    /// a native test notices each change.
    ///
    /// Takes hours for all of it: name a part, or only what has changed.
    #[command(verbatim_doc_comment)]
    Mutants(mutants::Options),
    /// Measure which lines of the listings each test runs, and write it into
    /// tests/coverage.json, from which the book names the tests of a listing.
    ///
    /// Takes about ten minutes: tests and Workers are compiled anew, with counters.
    #[command(verbatim_doc_comment)]
    Coverage {
        /// Measure only a part anew. Enough where nothing but native tests have changed.
        #[arg(long, value_enum)]
        only: Option<coverage::Part>,
    },
    /// Say which pins are behind their registries: crates, npm, PyPI and Rust.
    ///
    /// With --prove, run the core of the proof on another runtime instead: each way in,
    /// each fault of the transport, panics, Workflows, and what the compatibility dates
    /// change. It uses the Workers as they were built last.
    #[command(verbatim_doc_comment)]
    Drift {
        /// Run the core on the newest wrangler of the registry, or on the oldest that
        /// the crate was seen to work with.
        #[arg(long, value_enum)]
        prove: Option<drift::Prove>,
    },
    /// Check the pages and name the tests of each listing. mdBook starts this.
    #[command(hide = true)]
    Preprocess,
    /// Finish the rendered pages. mdBook starts this.
    #[command(hide = true)]
    Site,
    /// Draw every diagram anew into a folder. The proof compares.
    #[command(hide = true)]
    Draw {
        /// The folder.
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let root = root();
    let result = match Cli::parse().command {
        Command::Setup => setup::everything(&root),
        Command::Serve { port } => serve::serve(&root, port),
        Command::Demo { drill } => demo::demo(&root, drill.as_deref()),
        Command::Book { anchors } => book::book(&root, anchors),
        Command::Bench { quick, page } => bench::bench(&root, quick, page),
        Command::Publish(options) => publish::publish(&root, options),
        Command::Pictures => pictures::pictures(&root),
        Command::Fuzz(options) => fuzz::fuzz(&root, &options),
        Command::Mutants(options) => mutants::mutants(&root, &options),
        Command::Release => release::release(&root),
        Command::Test {
            filter,
            stage,
            record,
        } => test::test(&root, filter.as_deref(), stage, record),
        Command::Coverage { only } => coverage::coverage(&root, only),
        Command::Drift { prove } => drift::drift(&root, prove),
        Command::Preprocess => book::preprocess(&root),
        Command::Site => book::site(&root),
        Command::Draw { out } => drawings::draw_all(&root, &out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
