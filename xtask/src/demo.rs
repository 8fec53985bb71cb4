//! `cargo xtask demo`: the example Worker beside two receivers, to be broken.
//!
//! Bugsink shows issues, Spotlight the traces that they are in. Each gets everything.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::background::{Background, Folder};
use crate::run;
use crate::setup::{Npm, Setup};
use crate::worker::{self, Builder};

/// Long enough for a start on a busy machine.
const START: Duration = Duration::from_secs(180);

/// Added to Bugsink's own template for local use, which digests an event before
/// it answers, so that no second process is needed.
///
/// Only this machine can reach it and it is gone after the demo, so there is no
/// one to keep out, and no login to be typed. The list of issues reloads itself.
const SETTINGS: &str = r#"
BUGSINK["PHONEHOME"] = False
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

class SignedIn:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.contrib.auth import get_user_model
        request.user = get_user_model().objects.get()
        response = self.get_response(request)
        if request.path.startswith("/issues/") and request.path.count("/") == 3:
            response["Refresh"] = "1"
        return response

MIDDLEWARE.insert(
    MIDDLEWARE.index("bugsink.middleware.LoginRequiredMiddleware"),
    "bugsink_conf.SignedIn",
)
"#;

/// Makes both databases, the one user and the project; prints its DSN.
const PREPARE: &str = r#"
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("migrate", "snappea", database="snappea", verbosity=0)
from django.contrib.auth import get_user_model
from projects.models import Project, ProjectMembership, ProjectRole
from teams.models import Team
user = get_user_model().objects.create_superuser(username="demo")
project = Project.objects.create(name="demo", team=Team.objects.create(name="demo"))
ProjectMembership.objects.create(
    project=project, user=user, role=ProjectRole.ADMIN, accepted=True)
print("project " + str(project.id))
print("dsn " + project.dsn)
"#;

/// Stores a source map as Bugsink does with one that `sentry-cli` has sent.
const TAKE: &str = r#"
import hashlib, json
from files.models import FileMetadata
from files.tasks import create_file_from_local_file
from projects.models import Project
with open("FILE", "rb") as f:
    content = f.read()
    f.seek(0)
    stored, _ = create_file_from_local_file(
        hashlib.sha1(content).hexdigest(), "index_bg.wasm.map", len(content), f)
FileMetadata.objects.create(
    project=Project.objects.get(), debug_id=json.loads(content)["debug_id"],
    file_type="source_map", file=stored, data="{}")
"#;

/// `cargo xtask demo`.
pub fn demo(root: &Path) -> Result<()> {
    let setup = Setup::new(root)?;
    let (wasm, tools) = (setup.wasm()?, setup.worker_tools()?);
    let (npm, bugsink) = (setup.npm()?, setup.bugsink()?);
    let spotlight = setup.spotlight()?;
    eprintln!("building the example Worker");
    let listings = root.join("listings");
    let builder = Builder {
        wasm: &wasm,
        tools: &tools,
        npm: &npm,
    };
    builder.build(&listings)?;
    let source_map = worker::source_map(&listings)?;

    let folder = Folder::new("worker-sentry-demo")?;
    eprintln!("starting Bugsink and Spotlight");
    // Bugsink writes its own address into the DSN, so it has to know the port.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let origin = format!("http://127.0.0.1:{port}");
    let viewer = start_viewer(root, &npm, &spotlight, &origin, &folder)?;
    let receiver = Receiver::start(&bugsink, port, &folder)?;
    let both = viewer.wait_for("Both at ", START)?;
    let dsn = receiver.dsn.replace(&format!("127.0.0.1:{port}"), &both);
    eprintln!("starting the Worker");
    let worker = start_worker(&listings, &npm, &dsn, &folder)?;
    // While that starts.
    receiver.take(&bugsink, &folder, &source_map)?;
    receiver.server.wait_for("Listening at: ", START)?;
    let traces = viewer.wait_for("Spotlight at ", START)?;
    let address = worker.wait_for("Ready on ", START)?;
    println!(
        "
  The Worker:            {address}/
  Its issues, Bugsink:   {}
  Its traces, Spotlight: {traces}/telemetry/traces

  Make an alarm fail, and look at the issues a second later:

curl -X POST '{address}/drill/rate-limiter/alarm?marker=hello-1'

  One request through a queue, two Workflows and an object to the step that fails. Look at
  the traces at once, and again ten seconds later, when the first Workflow has noticed:

curl '{address}/batch' -d '[{{\"name\":\"hello-2\",\"sources\":[{{\"text\":\"! no rule\"}}]}}]'

  The other drills are in listings/src/drill.rs. What is stored here is in
  {}
  and gone with the demo. Ctrl-C ends it.

  What the Worker says:
",
        receiver.issues,
        folder.path().display(),
    );
    let seen = worker.output().len();
    worker.follow(seen, |line| println!("{line}"))
}

/// Bugsink with a project.
struct Receiver {
    dsn: String,
    issues: String,
    server: Background,
}

/// One of Bugsink's programs, in its folder.
fn program(bin: &Path, name: &str, folder: &Folder) -> Command {
    let mut command = run::command(bin.join(name));
    command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .env("PYTHONUNBUFFERED", "1");
    command
}

impl Receiver {
    /// It does not listen yet.
    fn start(bin: &Path, port: u16, folder: &Folder) -> Result<Self> {
        let address = format!("127.0.0.1:{port}");
        let port = format!("--port={port}");
        let mut configure = program(bin, "bugsink-create-conf", folder);
        configure.args(["--template=local", "--host=127.0.0.1", &port]);
        run::output_of(&mut configure).context("`bugsink-create-conf` failed")?;
        let file = folder.path().join("bugsink_conf.py");
        let settings = fs::read_to_string(&file)? + SETTINGS;
        fs::write(&file, settings)?;

        let mut prepare = program(bin, "bugsink-manage", folder);
        prepare.args(["shell", "-c", PREPARE]);
        let prepared = Background::start("bugsink-manage", &prepare, folder)?;
        let project = prepared.wait_for("project ", START)?;
        let dsn = prepared.wait_for("dsn ", START)?;

        let mut serve = program(bin, "gunicorn", folder);
        serve.args(["--bind", &address, "--threads", "4", "bugsink.wsgi"]);
        Ok(Receiver {
            dsn,
            issues: format!("http://{address}/issues/{project}/"),
            server: Background::start("bugsink", &serve, folder)?,
        })
    }

    /// Gives it the source map of the Worker.
    fn take(&self, bin: &Path, folder: &Folder, source_map: &Path) -> Result<()> {
        let mut take = program(bin, "bugsink-manage", folder);
        let script = TAKE.replace("FILE", &source_map.display().to_string());
        run::output_of(take.args(["shell", "-c", &script]))
            .context("Bugsink took no source map")?;
        Ok(())
    }
}

/// Starts Spotlight, which passes what it gets on to Bugsink.
fn start_viewer(
    root: &Path,
    npm: &Npm,
    packages: &Path,
    bugsink: &str,
    folder: &Folder,
) -> Result<Background> {
    let mut command = run::command(&npm.node);
    command
        .arg(root.join("tests/fixtures/spotlight.mjs"))
        .arg(packages)
        .arg(bugsink)
        .current_dir(folder.path())
        .env("HOME", folder.path());
    Background::start("spotlight", &command, folder)
}

/// Starts `wrangler dev` on the Worker that was built.
fn start_worker(listings: &Path, npm: &Npm, dsn: &str, folder: &Folder) -> Result<Background> {
    let directory = folder.path().join("worker");
    fs::create_dir(&directory)?;
    let committed = fs::read_to_string(listings.join("wrangler.toml"))?;
    let config = configuration(&committed, &listings.join("build/index.js"))?;
    let secrets =
        format!("SENTRY_DSN='{dsn}'\nDRILLS='on'\nSENTRY_DEBUG='on'\nSENTRY_SOURCE_MAPS='on'\n");
    for (file, text) in [("wrangler.toml", config), (".dev.vars", secrets)] {
        fs::write(directory.join(file), text)?;
    }
    let mut command = wrangler(npm, &directory);
    command
        .args(["dev", "--ip", "127.0.0.1", "--port", "0"])
        .args(["--inspector-ip", "127.0.0.1", "--inspector-port", "0"])
        .args(["--persist-to", "state"])
        .args(["--var", "SENTRY_TRACES_SAMPLE_RATE:1"]);
    Background::start("wrangler", &command, folder)
}

/// Wrangler, kept to this machine and out of the user's own settings.
fn wrangler(npm: &Npm, directory: &Path) -> Command {
    let mut command = npm.command("wrangler");
    command
        .current_dir(directory)
        .env("CI", "1")
        .env("NO_COLOR", "1")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .env("XDG_CONFIG_HOME", directory.join("home"))
        .env("WRANGLER_REGISTRY_PATH", directory.join("registry"))
        .env("TMPDIR", directory);
    command
}

/// The committed configuration, for a Worker that has been built already and
/// lies elsewhere.
fn configuration(committed: &str, main: &Path) -> Result<String> {
    let mut in_build = false;
    let mut config = String::new();
    let mut has_main = false;
    for line in committed.lines() {
        if line.starts_with('[') {
            in_build = line.trim() == "[build]";
        }
        if in_build {
            continue;
        }
        if line.starts_with("main = ") {
            has_main = true;
            config.push_str(&format!("main = {:?}\n", main.display().to_string()));
        } else {
            config.push_str(line);
            config.push('\n');
        }
    }
    if !has_main {
        bail!("listings/wrangler.toml has no line `main = …`");
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_build_and_the_place_of_the_worker_differ_from_what_is_committed() {
        let committed = fs::read_to_string(crate::root().join("listings/wrangler.toml")).unwrap();
        let config = configuration(&committed, Path::new("/built/index.js")).unwrap();
        let gone = |line: &&str| !config.lines().any(|kept| kept == *line);
        let gone: Vec<&str> = committed.lines().filter(gone).collect();
        let keys: Vec<&str> = gone
            .iter()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').next().unwrap_or_default())
            .collect();
        assert_eq!(keys, ["main", "[build]", "command", "watch_dir"]);
        assert!(config.contains("main = \"/built/index.js\"\n"));
    }
}
