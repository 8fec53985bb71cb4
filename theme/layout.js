// Runs right after the text, before anything is shown: it changes the layout.
try {
    document.getElementById('mdbook-sidebar-toggle-anchor').checked =
        document.documentElement.classList.contains('sidebar-visible');

    // The sections of this page, below its title in the contents.
    const active = document.querySelector('#mdbook-sidebar .active');
    const headings = document.querySelectorAll('main :is(h2, h3)[id] > a.header');
    if (active && headings.length > 0) {
        const list = document.createElement('ol');
        list.className = 'on-this-page';
        for (const heading of headings) {
            const link = document.createElement('a');
            link.href = heading.getAttribute('href');
            link.append(...heading.cloneNode(true).childNodes);
            const item = document.createElement('li');
            item.className = heading.parentElement.localName;
            item.append(link);
            list.append(item);
        }
        active.parentElement.after(list);
    }

    // The 404 page appears at any address; its own places are at that address.
    if ('base' in page_settings) {
        for (const link of document.querySelectorAll('a[href^="#"]')) {
            link.href = location.pathname + location.search + link.getAttribute('href');
        }
    }

    // A table keeps its meaning when a phone shows its rows as blocks: the roles
    // say what the elements would, and each cell knows its column's name.
    for (const table of document.querySelectorAll('main table')) {
        const heads = Array.from(table.querySelectorAll('thead th'));
        for (const head of heads) {
            head.scope = 'col';
        }
        const roles = { thead: 'rowgroup', tbody: 'rowgroup', tr: 'row', th: 'columnheader', td: 'cell' };
        table.setAttribute('role', 'table');
        for (const [name, role] of Object.entries(roles)) {
            table.querySelectorAll(name).forEach(part => part.setAttribute('role', role));
        }
        for (const row of table.querySelectorAll('tbody tr')) {
            Array.from(row.cells).forEach((cell, column) => {
                cell.dataset.label = heads[column].textContent;
            });
        }
    }

    // The name of a file may break after a slash, not within its last word.
    for (const file of document.querySelectorAll('.listing figcaption code')) {
        file.replaceChildren(...file.textContent.split(/(?<=\/)/).flatMap(
            (part, index) => index > 0 ? [document.createElement('wbr'), part] : [part]));
    }

    // What all lines of a listing are indented by; the style sheet takes it off.
    for (const code of document.querySelectorAll('.listing pre > code')) {
        const lines = code.textContent.split('\n').filter(line => line.trim());
        const indent = Math.min(...lines.map(line => line.search(/\S/)));
        if (indent > 0) {
            code.style.setProperty('--indent', indent);
        }
    }
} finally {
    document.documentElement.classList.remove('arriving');
}
