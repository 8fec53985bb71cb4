//! The laboratory in a browser: it shows the same outcomes as its engine in a native test.

use std::fs;
use std::path::Path;

use harness::book;
use harness::browser::{Page, Scheme};
use harness::site::Site;
use harness::walk::{PHONE, WIDE};
use laboratory::{EXPERIMENTS, Experiment, Run};
use serde_json::{Value, json};

use crate::every_page::{Judge, axe, window_with_axe};

const PAGE: &str = "laboratory.html";
const READY: &str = "'ready' in document.querySelector('.laboratory').dataset";

harness::trials![
    each_step_forth_and_back_shows_what_the_engine_did,
    a_link_carries_a_run_and_the_headings_lead_to_their_experiments,
    buttons_and_switches_do_what_they_say_and_each_deed_is_told_in_words,
    the_keyboard_alone_is_enough_and_turns_no_page,
    nothing_moves_that_was_not_asked_to,
    axe_finds_nothing_while_an_experiment_runs,
    without_a_script_and_on_paper_it_is_the_first_experiment_step_by_step,
    where_a_policy_forbids_the_engine_the_page_says_so_and_shows_the_outcomes,
    plain_mdbook_build_makes_the_same_engine,
    ..EXPERIMENTS.map(|experiment| {
        let id = experiment.id.replace('-', "_");
        let rule = format!("{id}_comes_out_in_a_browser_as_it_does_natively");
        harness::trial!(rule, move || comes_out_as_natively(experiment))
    }),
];

fn open(site: &Site, place: &str) -> Page {
    let mut page = Page::empty(Scheme::Light);
    go(&mut page, site, place);
    page
}

fn go(page: &mut Page, site: &Site, place: &str) {
    // Without this, a change of only the fragment would not load the page again.
    page.go("about:blank");
    page.go(&site.url(&format!("{PAGE}{place}")));
    page.wait_until("laboratory", READY);
}

/// The content of the board.
fn board(page: &mut Page) -> Value {
    page.evaluate(
        "(() => {
            const lab = document.querySelector('.laboratory');
            const texts = (selector) =>
                [...lab.querySelectorAll(selector)].map(({ textContent }) => textContent);
            return {
                clock: texts('[data-lab=clock]')[0],
                lanes: [...lab.querySelectorAll('[data-lab=lanes] li')].map((lane) =>
                    [...lane.querySelectorAll('p')].map(({ textContent }) => textContent)
                        .filter((text) => /^The (application|report)/.test(text))),
                record: [...lab.querySelectorAll('[data-lab=record] tr')].map((row) =>
                    [...row.cells].map(({ textContent }) => textContent)),
                states: texts('.lab-states .now'),
                requests: texts('[data-lab=requests] pre'),
                console: lab.querySelectorAll('[data-lab=console] li').length,
                over: lab.dataset.over,
                said: texts('[data-lab=say]')[0],
            };
        })()",
    )
}

fn milliseconds(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ => format!("{},{:03} ms", ms / 1_000, ms % 1_000),
    }
}

/// Fails unless the board shows this run.
fn assert_shows(page: &mut Page, run: &str) {
    let seen = board(page);
    let view = Run::of(run).view();
    let lanes: Vec<_> = view
        .handlers
        .iter()
        .map(|it| {
            json!([
                format!("The application saw: {}.", it.saw),
                format!("The report: {}.", it.report)
            ])
        })
        .collect();
    let record: Vec<_> = view
        .record
        .iter()
        .map(|it| json!([milliseconds(it.at_ms), it.who, it.text, it.state]))
        .collect();
    let states: Vec<_> = view.isolates.iter().map(|it| it.state).collect();
    let requests: Vec<_> = view
        .requests
        .iter()
        .map(|it| format!("{}\n\n{}", it.head, it.body))
        .collect();
    assert_eq!(seen["lanes"], json!(lanes), "{run}");
    assert_eq!(seen["record"], json!(record), "{run}");
    assert_eq!(seen["states"], json!(states), "{run}");
    assert_eq!(seen["requests"], json!(requests), "{run}");
    assert_eq!(seen["console"], view.console.len(), "{run}");
    assert_eq!(seen["clock"], milliseconds(view.now_ms), "{run}");
}

fn comes_out_as_natively(experiment: Experiment) {
    let site = book::serve();
    let mut page = open(&site, "");
    page.click(&format!("[data-experiment={}]", experiment.id));
    page.click("[data-lab=end]");
    assert_shows(&mut page, experiment.run);
    let seen = board(&mut page);
    assert_eq!(seen["over"], "true");
    let view = Run::of(experiment.run).view();
    let sum = format!("{} {}", view.sum, view.course);
    let said = seen["said"].as_str().unwrap_or_default();
    assert!(said.ends_with(&sum), "{said}");
    // The page also contains this outcome as text, which is there without a script.
    let text = page.evaluate(
        "[...document.querySelectorAll('main > p')].map(({ innerText }) => innerText).join('\\n')",
    );
    assert!(
        text.as_str().is_some_and(|text| text.contains(&sum)),
        "the page has another outcome than {sum}"
    );
    assert_eq!(page.errors(), [""; 0]);
}

fn each_step_forth_and_back_shows_what_the_engine_did() {
    let site = book::serve();
    let mut page = open(&site, "#three-at-once");
    let done = Run::of("alarm.fetch.run.end").view().done;
    for many in 3..done.len() {
        assert_shows(&mut page, &done[..many].join("."));
        page.click("[data-lab=step]");
    }
    assert_shows(&mut page, "alarm.fetch.run.end");
    for many in (0..done.len()).rev() {
        page.click("[data-lab=back]");
        assert_shows(&mut page, &done[..many].join("."));
    }
    page.click("[data-lab=play]");
    page.wait_until(
        "end",
        "document.querySelector('.laboratory').dataset.over === 'true'",
    );
    assert_shows(&mut page, "alarm.fetch.run.end");
}

fn a_link_carries_a_run_and_the_headings_lead_to_their_experiments() {
    let site = book::serve();
    let mut page = open(&site, "#run=store-slow.alarm.cancel-1.socket.2");
    assert_shows(&mut page, "store-slow.alarm.cancel-1.socket.2");
    page.click("[data-do=panic]");
    let address = page.evaluate("location.hash");
    assert_eq!(address, "#run=store-slow.alarm.cancel-1.socket.2.panic");
    let address = address.as_str().unwrap_or_default().to_owned();
    go(&mut page, &site, &address);
    assert_shows(&mut page, "store-slow.alarm.cancel-1.socket.2.panic");
    // A link may contain anything: it is treated as text, and unknown words are ignored.
    go(&mut page, &site, "#run=<img src=x>.alarm.%3Cb%3E.1");
    assert_shows(&mut page, "alarm.1");
    for Experiment { id, run } in EXPERIMENTS {
        go(&mut page, &site, &format!("#{id}"));
        page.click("[data-lab=end]");
        assert_shows(&mut page, run);
    }
    // The pages about an experiment link to it.
    for (from, id) in [
        ("architecture.html", "loader-cancelled"),
        ("why-isolates.html", "naive"),
        ("failure.html", "store-slow-failing-well"),
        ("failure.html", "receiver-hangs"),
        ("failure.html", "pause"),
    ] {
        page.go(&site.url(from));
        page.evaluate(&format!(
            "document.querySelector(\"main a[href='laboratory.html#{id}']\").click()"
        ));
        page.arrives_at(|url| url.ends_with(&format!("/laboratory.html#{id}")));
        page.wait_until("laboratory", READY);
        let pressed =
            "document.querySelector('.laboratory [aria-pressed=true]').dataset.experiment";
        assert_eq!(page.evaluate(pressed), id);
        let top =
            "Math.abs(document.querySelector('.laboratory').getBoundingClientRect().top) < 100";
        page.wait_until("laboratory in view", top);
    }
    assert_eq!(page.errors(), [""; 0]);
}

fn choose(page: &mut Page, list: &str, value: &str) {
    page.evaluate(&format!(
        "(() => {{
            const list = document.querySelector('[data-lab={list}]');
            list.value = '{value}';
            list.dispatchEvent(new Event('change', {{ bubbles: true }}));
        }})()"
    ));
}

fn buttons_and_switches_do_what_they_say_and_each_deed_is_told_in_words() {
    let site = book::serve();
    let mut page = open(&site, "");
    choose(&mut page, "store", "store-unbound");
    choose(&mut page, "store", "store-quick");
    assert_shows(&mut page, "store-quick");
    let mut done = vec!["store-quick".to_owned()];
    for word in ["alarm", "fetch", "socket", "run", "30s", "panic"] {
        page.click(&format!("[data-do='{word}']"));
        done.push(word.to_owned());
        assert_shows(&mut page, &done.join("."));
        let said = board(&mut page)["said"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let news = Run::of(&done.join(".")).view().record;
        let last = &news.last().expect("something happened").text;
        assert!(said.contains(last.as_str()), "{word}: {said}");
    }
    for receiver in [
        "429",
        "429-seconds",
        "429-date",
        "429-limits",
        "500",
        "hangs",
        "cuts-off",
    ] {
        let word = format!("receiver-{receiver}");
        choose(&mut page, "receiver", &word);
        let said = board(&mut page)["said"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(said.starts_with("Receiver: "), "{said}");
        page.click("[data-lab=again]");
        choose(&mut page, "receiver", &word);
        page.click("[data-do=alarm]");
        page.click("[data-lab=end]");
        page.click("[data-do=run]");
        let seen = board(&mut page);
        let lanes = seen["lanes"].as_array().map_or(0, Vec::len);
        assert_eq!(lanes, 2, "{receiver}: {seen}");
    }
    page.click("[data-lab=naive]");
    assert_shows(&mut page, "naive");
    page.click("[data-do=alarm]");
    page.click("[data-do=cancel-1]");
    assert_shows(&mut page, "naive.alarm.cancel-1");
    assert_eq!(page.errors(), [""; 0]);
}

fn the_keyboard_alone_is_enough_and_turns_no_page() {
    let site = book::serve();
    let mut page = open(&site, "");
    page.evaluate("document.querySelector('[data-experiment=pause]').focus()");
    page.press("Enter");
    let focused = |page: &mut Page| page.evaluate("document.activeElement.dataset.lab ?? ''");
    let mut tabs = 0;
    while focused(&mut page) != "step" {
        page.press("Tab");
        tabs += 1;
        assert!(tabs < 10, "no way to the button `Step`");
    }
    page.press("Enter");
    assert_shows(&mut page, "receiver-429-seconds.alarm.1");
    while focused(&mut page) != "time" {
        page.press("Tab");
        tabs += 1;
        assert!(tabs < 40, "no way to the time line");
    }
    for key in ["ArrowDown", "ArrowLeft", "ArrowRight"] {
        page.press(key);
    }
    let place = page.evaluate("location.pathname");
    assert_eq!(place, "/laboratory.html");
    assert_shows(&mut page, "receiver-429-seconds.alarm.1");
}

fn nothing_moves_that_was_not_asked_to() {
    let site = book::serve();
    let mut page = open(&site, "#panic");
    let shown = |page: &mut Page| {
        page.evaluate(
            "(async () => {
                await new Promise((done) => setTimeout(done, 1500));
                const lab = document.querySelector('.laboratory');
                return [lab.innerHTML, document.getAnimations().length];
            })()",
        )
    };
    let first = shown(&mut page);
    assert_eq!(shown(&mut page), first);
    assert_eq!(first[1], 0);
    // The heights on the page stay the same while the run is played.
    let measures = "[...document.querySelectorAll('main > *')].map((it) => it.getBoundingClientRect().height).join()";
    let before = page.evaluate(measures);
    page.click("[data-lab=play]");
    page.wait_until(
        "end",
        "document.querySelector('.laboratory').dataset.over === 'true'",
    );
    assert_eq!(page.evaluate(measures), before);
}

fn axe_finds_nothing_while_an_experiment_runs() {
    let site = book::serve();
    let mut page = window_with_axe();
    let mut found = Vec::new();
    for width in [WIDE, 390, PHONE] {
        page.resize(width, 900);
        go(&mut page, &site, "#naive");
        page.click("[data-lab=play]");
        page.click(".laboratory details:first-of-type summary");
        for (scheme, judge) in [(Scheme::Light, Judge::All), (Scheme::Dark, Judge::Colours)] {
            page.prefer(scheme);
            for violation in axe(&mut page, judge) {
                found.push(format!("at {width}, {}: {violation}", scheme.name()));
            }
            let picture = page.screenshot(&format!("laboratory-{width}-{}", scheme.name()));
            println!("figure: {}", picture.display());
        }
        page.prefer(Scheme::Light);
        let wide = page.evaluate("document.documentElement.scrollWidth");
        assert_eq!(wide, width, "something sticks out");
    }
    assert!(found.is_empty(), "{found:#?}");
}

const SHOWN: &str = "[...document.querySelectorAll('.laboratory, .laboratory-default')]
    .map((it) => it.checkVisibility())";

fn without_a_script_and_on_paper_it_is_the_first_experiment_step_by_step() {
    let site = book::serve();
    let mut page = Page::empty(Scheme::Light);
    page.without_scripts();
    page.go(&site.url(PAGE));
    assert_eq!(page.evaluate(SHOWN), json!([false, true]));
    let text = page.evaluate("document.querySelector('main').innerText");
    let text = text.as_str().unwrap_or_default();
    for moment in Run::of(EXPERIMENTS[0].run).view().record {
        assert!(text.contains(&moment.text), "{}", moment.text);
    }
    let mut page = open(&site, "#panic");
    assert_eq!(page.evaluate(SHOWN), json!([true, false]));
    page.on_paper(Scheme::Dark);
    assert_eq!(page.evaluate(SHOWN), json!([false, true]));
    // The page of the whole book has no laboratory, but shows the outcomes.
    page.before_each("window.print = () => {};");
    page.go(&site.url("print.html"));
    assert_eq!(page.evaluate(SHOWN), json!([true]));
}

fn where_a_policy_forbids_the_engine_the_page_says_so_and_shows_the_outcomes() {
    let site = Site::with(&book::folder(), "", |_| book::policed(book::POLICY));
    let mut page = Page::open(&site.url(PAGE), Scheme::Light);
    page.wait_until(
        "word of it",
        "!document.querySelector('.lab-failed').hidden",
    );
    assert_eq!(page.evaluate(SHOWN), json!([false, true]));
    let said = page.evaluate("document.querySelector('.lab-failed').textContent");
    let said = said.as_str().unwrap_or_default();
    assert!(said.contains("'wasm-unsafe-eval'"), "{said}");
    // Without a server the page can fetch nothing. It says so, and the console stays empty.
    let file = book::folder().join(PAGE);
    let mut page = Page::open(&format!("file://{}", file.display()), Scheme::Light);
    page.wait_until(
        "word of it",
        "!document.querySelector('.lab-failed').hidden",
    );
    assert_eq!(page.evaluate(SHOWN), json!([false, true]));
    assert_eq!(page.errors(), [""; 0]);
}

fn plain_mdbook_build_makes_the_same_engine() {
    let (ours, plain) = (book::folder(), book::render(&[]));
    let page = fs::read_to_string(plain.join(PAGE)).expect("the page");
    let name = page.split("data-engine=\"").nth(1).expect("an engine");
    let name = name.split('"').next().unwrap_or_default();
    let engine = |folder: &Path| fs::read(folder.join(name)).expect("the engine");
    assert!(engine(&plain).starts_with(b"\0asm"), "{name}");
    assert!(engine(&plain) == engine(&ours), "{name} is another one");
}
