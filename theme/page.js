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
    window.markScrollable = box => watcher.observe(box);
    document.querySelectorAll('main pre > code, main .table-wrapper').forEach(window.markScrollable);

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

    // The button says what it copies.
    for (const button of document.querySelectorAll('main .clip-button')) {
        const file = button.closest('figure')?.querySelector('figcaption')?.textContent.trim();
        const name = file ? `Copy the listing from ${file}` : 'Copy the command';
        button.title = 'Copy';
        button.setAttribute('aria-label', name);
    }
})();
