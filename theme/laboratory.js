// The page of the laboratory. The engine knows what happens; this shows it.
//
// A run is a list of words: what was done, and a `1` for each step. The engine plays it
// from its beginning each time, so a step back is a shorter list, and a link carries it.
(async () => {
    'use strict';

    const lab = document.querySelector('.laboratory');
    const part = name => lab.querySelector(`[data-lab="${name}"]`);

    // The engine: a function from a run to what there is to see of it. Of all that it
    // imports it calls one thing, the random numbers behind a table's order.
    const load = async () => {
        // From a folder or in a sandbox, where nothing may be fetched.
        if (origin === 'null') {
            throw new Error('the page has no origin');
        }
        const file = await fetch(lab.dataset.engine);
        if (!file.ok) {
            throw new Error(`status ${file.status}`);
        }
        const module = await WebAssembly.compile(await file.arrayBuffer());
        let exports;
        const imports = {};
        for (const { module: from, name } of WebAssembly.Module.imports(module)) {
            imports[from] ??= {};
            imports[from][name] = (at, length) => {
                if (!name.includes('getRandomValues')) {
                    throw new Error(`${name} is not here`);
                }
                crypto.getRandomValues(new Uint8Array(exports.memory.buffer, at, length));
            };
        }
        exports = (await WebAssembly.instantiate(module, imports)).exports;
        return words => {
            for (const letter of words.join('.')) {
                exports.put(letter.codePointAt(0));
            }
            const bytes = new Uint8Array(exports.run());
            bytes.forEach((_, at) => { bytes[at] = exports.take(at); });
            return JSON.parse(new TextDecoder().decode(bytes));
        };
    };

    let run;
    try {
        run = await load();
    } catch (error) {
        lab.classList.add('failed');
        const failed = document.querySelector('[data-lab-failed]');
        failed.hidden = false;
        failed.textContent = `The laboratory does not run here (${error.message}). It needs a web`
            + ' server, and a Content-Security-Policy with “script-src \'self\' \'wasm-unsafe-eval\'” if there'
            + ' is one. The outcomes below were made by the same code.';
        return;
    }

    // What was done, how much of it is shown, and the experiment that it began as.
    let words = [];
    let at = 0;
    let begin = 0;
    let experiment = '';
    let view;
    let timer;

    const element = (name, text, className) => {
        const made = document.createElement(name);
        made.textContent = text;
        if (className) {
            made.className = className;
        }
        return made;
    };
    const ms = number => `${number.toLocaleString('en')} ms`;

    const states = ({ guard, state }, _, { length }) => {
        const line = element('p', length > 1 ? `${guard}: ` : 'The isolate is: ');
        const names = ['absent', 'loading', 'ready'];
        for (const name of names.includes(state) ? names : [...names, state]) {
            const box = element('span', name, name === state ? 'now' : '');
            if (name === state) {
                box.setAttribute('aria-current', 'true');
            }
            line.append(box);
        }
        return line;
    };

    const lane = handler => {
        const item = element('li', '', handler.guard);
        const guard = view.isolates.length > 1 ? `, ${handler.guard}` : '';
        const title = element('p', '');
        title.append(element('strong', `${handler.number} ${handler.name}${guard}`));
        const steps = element('p', '', 'lab-steps');
        const taken = handler.steps.length > 0 ? handler.steps.join(', ') : 'none';
        steps.append(element('span', `Steps so far: ${taken}.`, 'lab-quiet'));
        for (let step = 1; step <= 6; step += 1) {
            const now = step === handler.step && handler.is_live ? 'now' : 'done';
            const dot = element('i', step, handler.steps.includes(step) ? now : '');
            dot.setAttribute('aria-hidden', 'true');
            steps.append(dot);
        }
        item.append(title, steps);
        const looks = handler.looks > 0 ? ` It has looked ${handler.looks} times.` : '';
        if (handler.is_live) {
            item.append(element('p', `Waits for ${handler.waits}.${looks}`));
        }
        item.append(element('p', `The application saw: ${handler.saw}.`));
        item.append(element('p', `The report: ${handler.report}.`));
        return item;
    };

    const cancel = number => {
        const button = element('button', `Cancel ${number}`);
        button.type = 'button';
        button.dataset.do = `cancel-${number}`;
        return button;
    };

    const moment = ({ at_ms, who, text, state }, index, { length }) => {
        const row = element('tr', '', index + 1 === length ? 'now' : '');
        row.setAttribute('role', 'row');
        [['At', ms(at_ms)], ['Handler', who], ['What happened', text], ['State', state]].forEach(([label, says]) => {
            const cell = element('td', says);
            cell.setAttribute('role', 'cell');
            cell.dataset.label = label;
            row.append(cell);
        });
        return row;
    };

    const request = ({ at_ms, who, head, body, answer }) => {
        const box = element('div', '');
        box.append(element('p', `${who}, at ${ms(at_ms)}. Answer: ${answer}.`));
        box.append(element('pre', `${head}\n\n${body}`));
        return box;
    };

    /** The words of a run, as short as a link should be: `1.1.1` is `3`. */
    const link = () => {
        const short = [];
        for (const word of words.slice(0, at)) {
            const last = Number(short.at(-1));
            if (word === '1' && last > 0) {
                short[short.length - 1] = String(last + 1);
            } else {
                short.push(word);
            }
        }
        return `run=${short.join('.')}`;
    };

    /** What was done last, in words, for those who do not see the board. */
    const said = before => {
        const news = view.record.slice(before).map(({ at_ms, who, text }) => `${ms(at_ms)}, ${who}: ${text}`);
        if (news.length > 0) {
            // Who asks for many things at once reads them in the time line.
            return news.length > 3 ? news.at(-1) : news.join(' ');
        }
        const option = lab.querySelector(`option[value="${words[at - 1]}"]`);
        if (option) {
            return `${option.closest('label').firstChild.textContent.trim()}: ${option.textContent}, from now on.`;
        }
        return view.is_over ? 'Nothing is left to happen.' : '';
    };

    const show = (says = '') => {
        const before = view?.record.length ?? 0;
        const focused = document.activeElement?.dataset?.do;
        view = run(words.slice(0, at));
        part('clock').textContent = ms(view.now_ms);
        part('store').value = view.store;
        part('receiver').value = view.receiver;
        part('naive').checked = view.isolates.length > 1;
        part('states').replaceChildren(...view.isolates.map(states));
        part('lanes').replaceChildren(...view.handlers.map(lane));
        const live = view.handlers.filter(({ is_live }) => is_live).map(({ number }) => number);
        part('cancels').replaceChildren(...[...new Set(live)].map(cancel));
        part('record').replaceChildren(...view.record.map(moment));
        part('requests').replaceChildren(...view.requests.map(request));
        part('requests-count').textContent = view.requests.length;
        part('console').replaceChildren(...view.console.map(
            ({ at_ms, who, text }) => element('li', `${ms(at_ms)}  ${who}  ${text}`)));
        part('console-count').textContent = view.console.length;
        part('link').href = `#${link()}`;
        part('time').scrollTop = part('time').scrollHeight;
        const over = at === words.length && view.is_over && at > 0;
        const sum = over ? ` Nothing is left to happen. ${view.sum} ${view.course}` : '';
        part('say').textContent = (says || said(before)) + sum;
        lab.dataset.over = over;
        for (const button of lab.querySelectorAll('[data-experiment]')) {
            button.setAttribute('aria-pressed', button.dataset.experiment === experiment);
        }
        if (focused?.startsWith('cancel-')) {
            (lab.querySelector(`[data-do="${focused}"]`) ?? part('step')).focus();
        }
    };

    const stop = () => {
        clearInterval(timer);
        timer = undefined;
        part('play').setAttribute('aria-pressed', 'false');
        part('play').textContent = 'Play';
    };

    const step = () => {
        if (at === words.length && !view.is_over) {
            words.push('1');
        }
        if (at < words.length) {
            at += 1;
            show();
        } else {
            stop();
            show('Nothing is left to happen.');
        }
    };

    /** Does something now: what was to come gives way to it. */
    const act = (...more) => {
        words = [...words.slice(0, at), ...more];
        at = words.length;
        show();
    };

    const open = (text, id, whole) => {
        stop();
        experiment = id;
        words = run([text]).done;
        const first = words.indexOf('1');
        begin = first < 0 || whole ? words.length : first;
        at = begin;
        const heading = document.getElementById(id);
        part('look').textContent = heading?.nextElementSibling?.textContent ?? 'A run from a link.';
        view = undefined;
        show();
    };

    /** Opens what the address asks for, if it asks for something of ours. */
    const follow = () => {
        const wanted = decodeURIComponent(location.hash.slice(1));
        const button = lab.querySelector(`[data-experiment="${CSS.escape(wanted)}"]`);
        if (button) {
            open(button.dataset.run, wanted, false);
        } else if (wanted.startsWith('run=')) {
            open(wanted.slice(4), '', true);
        }
        return button !== null || wanted.startsWith('run=');
    };

    // A run of the reader's own is in the address, so that it can be copied from there.
    const keep = () => history.replaceState(null, '', `#${experiment && at === begin ? experiment : link()}`);

    lab.addEventListener('click', event => {
        const button = event.target.closest('button');
        if (!button) {
            return;
        }
        const { experiment: id, run: text, do: word, lab: name } = button.dataset;
        if (name !== 'play') {
            stop();
        }
        if (id) {
            open(text, id, false);
        } else if (word) {
            act(word);
        } else if (name === 'step') {
            step();
        } else if (name === 'back') {
            at = Math.max(0, at - 1);
            show(at === 0 ? 'Back at the beginning.' : `Back to: ${said(Math.max(0, run(words.slice(0, at)).record.length - 1))}`);
        } else if (name === 'again') {
            at = begin;
            show('At the beginning.');
        } else if (name === 'end') {
            words = run([...words, 'end']).done;
            at = words.length;
            show();
        } else if (name === 'play' && timer) {
            stop();
        } else if (name === 'play') {
            button.setAttribute('aria-pressed', 'true');
            button.textContent = 'Pause';
            step();
            timer = setInterval(step, 1200);
        }
        keep();
    });
    for (const name of ['store', 'receiver']) {
        part(name).addEventListener('change', ({ target }) => {
            stop();
            // Whether there is a DSN is settled for the life of an isolate.
            if (target.value === 'store-unbound' || view.store === 'store-unbound') {
                words = [];
                at = 0;
                begin = 0;
            }
            act(target.value);
            keep();
        });
    }
    part('naive').addEventListener('change', ({ target }) => {
        stop();
        words = target.checked ? ['naive'] : [];
        at = words.length;
        begin = at;
        experiment = '';
        show(target.checked ? 'A new run, with the obvious guard beside it.' : 'A new run.');
        keep();
    });
    // The book's own keys turn its pages and open its search.
    lab.addEventListener('keydown', event => {
        if (event.key.startsWith('Arrow') || event.target.localName === 'select') {
            event.stopPropagation();
        }
    });
    addEventListener('hashchange', follow);

    // Who comes from another page came to see it run. Its heading has the outcome only.
    if (follow()) {
        lab.scrollIntoView();
    } else {
        const first = lab.querySelector('[data-experiment]');
        open(first.dataset.run, first.dataset.experiment, false);
    }
    lab.dataset.ready = '';
})();
