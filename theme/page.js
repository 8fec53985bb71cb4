// What the pages need beyond mdBook's own scripts, for readers who do not use a
// mouse.
(() => {
    'use strict';

    // A box that scrolls must be reachable with the keyboard.
    const mark = box => {
        const scrolls = box.scrollWidth > box.clientWidth;
        if (scrolls) {
            box.tabIndex = 0;
        } else {
            box.removeAttribute('tabindex');
        }
    };
    const watcher = new ResizeObserver(entries => entries.forEach(entry => mark(entry.target)));
    document.querySelectorAll('main pre > code, main .table-wrapper, .drawing').forEach(box => watcher.observe(box));

    // The menu's button stands in for the checkbox that mdBook's script watches.
    const toggle = document.getElementById('mdbook-sidebar-toggle');
    const checkbox = document.getElementById('mdbook-sidebar-toggle-anchor');
    toggle.addEventListener('click', () => {
        checkbox.checked = !checkbox.checked;
        checkbox.dispatchEvent(new Event('change'));
    });
    const open = checkbox.checked;
    toggle.setAttribute('aria-expanded', open);
    document.getElementById('mdbook-sidebar').setAttribute('aria-hidden', !open);
    for (const link of document.querySelectorAll('#mdbook-sidebar a')) {
        link.tabIndex = open ? 0 : -1;
    }

    // Marks the section that is being read, in the contents.
    const sections = Array.from(document.querySelectorAll('.on-this-page a'), link => ({
        link,
        heading: document.getElementById(decodeURIComponent(link.hash.slice(1))),
    }));
    const markSection = () => {
        const bottom = document.scrollingElement.scrollHeight - innerHeight - 2;
        const begun = sections.filter(({ heading }) => heading.getBoundingClientRect().top < innerHeight / 3);
        const current = scrollY > bottom ? sections.at(-1) : begun.at(-1);
        for (const section of sections) {
            section.link.classList.toggle('current', section === current);
        }
    };
    if (sections.length > 0) {
        addEventListener('scroll', markSection, { passive: true });
        markSection();
    }

    // The search is loaded when it is first wanted: by its button, its keys, or an
    // address that asks for it or for its marks. What is typed while it loads
    // goes into its box.
    const search = document.getElementById('mdbook-search-toggle');
    const wrapper = document.getElementById('mdbook-search-wrapper');
    const input = document.getElementById('mdbook-searchbar');
    let loading = false;
    const loadSearch = ready => {
        loading = true;
        // mdBook's search gives an element a style attribute, which a strict
        // `Content-Security-Policy` refuses. Its style can be set all the same.
        const { setAttribute } = Element.prototype;
        Element.prototype.setAttribute = function (name, value) {
            if (name === 'style') {
                this.style.cssText = value;
            } else {
                setAttribute.call(this, name, value);
            }
        };
        window.search_scripts.forEach((file, index, all) => {
            const script = document.createElement('script');
            script.src = file;
            script.async = false;
            if (index + 1 === all.length) {
                script.onload = ready;
            }
            document.head.append(script);
        });
    };
    const openSearch = () => {
        loadSearch(() => {
            wrapper.classList.add('hidden');
            search.click();
            input.setSelectionRange(input.value.length, input.value.length);
            input.dispatchEvent(new Event('keyup'));
        });
        wrapper.classList.remove('hidden');
        input.focus();
    };
    if (window.search_scripts && search) {
        // A result names its page and its section. The first section has the page's name.
        const results = document.getElementById('mdbook-searchresults');
        new MutationObserver(() => {
            for (const link of results.querySelectorAll('a')) {
                const [page, section] = link.textContent.split(' » ');
                if (page === section) {
                    link.textContent = page;
                }
            }
        }).observe(results, { childList: true });
        input.form.addEventListener('submit', event => event.preventDefault());
        const asked = new URLSearchParams(location.search);
        if (asked.has('search') || asked.has('highlight')) {
            loadSearch();
        }
        search.addEventListener('click', () => {
            if (!loading) {
                openSearch();
            }
        });
        document.addEventListener('keydown', event => {
            const chord = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
            const wanted = ['s', '/'].includes(event.key) && !chord;
            if (!loading && wanted && !mdbook_something_else_has_focus(event)) {
                event.preventDefault();
                openSearch();
            }
        });
    }

    // The button says what it copies.
    for (const button of document.querySelectorAll('main .clip-button')) {
        const file = button.closest('figure')?.querySelector('figcaption')?.textContent.trim();
        const name = file ? `Copy the listing from ${file}` : 'Copy the command';
        button.title = 'Copy';
        button.setAttribute('aria-label', name);
    }

    if ('print' in window.page_settings) {
        addEventListener('load', () => setTimeout(print, 100));
    }

    // Only under `mdbook serve`.
    if (window.page_settings.reload) {
        const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
        const socket = new WebSocket(`${scheme}//${location.host}/${window.page_settings.reload}`);
        socket.onmessage = event => {
            if (event.data === 'reload') {
                location.reload();
            }
        };
    }
})();
