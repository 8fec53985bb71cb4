// Draws each job in `#jobs` with Mermaid, and leaves the drawings in `#drawn` as JSON.
//
// `cargo xtask book` opens a page with this script in Chromium. The book's pages get
// the drawings as they leave here, so a reader loads no Mermaid. A page of the book
// allows no style but the style sheets' (`default-src 'self'`): each style attribute
// becomes attributes of SVG, and Mermaid's own style sheet is left out. The colours
// are those of `theme/book.css`.
(async () => {
    'use strict';

    // Fonts of the same measures are on every system. The style sheet names them, too.
    const FONT = 'Arial, Helvetica, "Liberation Sans", Arimo, sans-serif';
    const WIDE = {
        width: 84, height: 46, actorMargin: 10, boxMargin: 9, boxTextMargin: 4, noteMargin: 8,
        messageMargin: 28, diagramMarginX: 6, diagramMarginY: 6, mirrorActors: true,
    };
    // As wide as a phone.
    const NARROW = {
        ...WIDE, width: 60, height: 42, actorMargin: 2, boxMargin: 3, boxTextMargin: 3,
        diagramMarginX: 2, diagramMarginY: 2,
    };
    const ROOM = 70;
    const SIZE = { wide: 14, narrow: 12 };

    function settings(isNarrow) {
        const fontSize = isNarrow ? SIZE.narrow : SIZE.wide;
        return {
            startOnLoad: false,
            securityLevel: 'strict',
            deterministicIds: true,
            htmlLabels: false,
            theme: 'base',
            fontFamily: FONT,
            fontSize,
            themeVariables: { fontFamily: FONT, fontSize: `${fontSize}px` },
            sequence: { ...(isNarrow ? NARROW : WIDE), useMaxWidth: false },
            flowchart: { htmlLabels: false },
            state: { useMaxWidth: false },
        };
    }

    // Lines no wider than the room between two participants. Mermaid's own wrapping
    // puts a hyphen into a name that is too long.
    const pen = document.createElement('canvas').getContext('2d');
    function wrapped(text, room) {
        pen.font = `${SIZE.narrow}px ${FONT}`;
        const lines = [];
        for (const part of text.split(/(?<=[ _])/)) {
            const line = (lines.at(-1) ?? '') + part;
            if (lines.length > 0 && pen.measureText(line.trimEnd()).width <= room) {
                lines[lines.length - 1] = line;
            } else {
                lines.push(part);
            }
        }
        return lines.map(line => line.trimEnd()).join('<br/>');
    }
    function narrowed(source) {
        const participants = Array.from(source.matchAll(/^\s*participant (\w+)/gm), found => found[1]);
        return source
            .replace(/^(\s*box rgba\([^)]*\) )(.*)$/gm, (line, box, name) => box + wrapped(name, ROOM))
            .replace(/^(\s*(?:alt|else|opt|loop) )(.*)$/gm, (line, key, choice) => key + wrapped(choice, ROOM))
            .replace(/^(\s*(\w+)--?>>(\w+): )(.*)$/gm, (line, arrow, from, to, said) => {
                const steps = Math.abs(participants.indexOf(from) - participants.indexOf(to));
                return arrow + wrapped(said, ROOM * Math.max(1, steps));
            });
    }

    const rounded = text => text.replace(/-?\d+\.\d{2,}/g, number => `${Math.round(number * 10) / 10}`);

    // Ids of this drawing only: a page may have many.
    function rename(image, name) {
        const ids = new Map();
        for (const element of [image, ...image.querySelectorAll('[id]')]) {
            ids.set(element.id, element === image ? name : `${name}-${ids.size}`);
        }
        const text = new XMLSerializer().serializeToString(image);
        const isReferred = id => [`url(#${id})`, `url("#${id}")`, `"#${id}"`, `labelledby="${id}"`, `describedby="${id}"`]
            .some(reference => text.includes(reference));
        for (const element of image.querySelectorAll('[id]')) {
            const { id } = element;
            if (isReferred(id)) {
                element.id = ids.get(id);
            } else if (element.closest('defs') && element.parentElement.localName === 'defs') {
                element.remove();
            } else {
                element.removeAttribute('id');
            }
        }
        image.id = name;
        for (const element of [image, ...image.querySelectorAll('*')]) {
            for (const attribute of element.attributes) {
                const by = ['aria-labelledby', 'aria-describedby'].includes(attribute.name);
                attribute.value = by
                    ? ids.get(attribute.value)
                    : attribute.value.replace(/(?<=^|url\(["']?)#([^"')]+)/, (all, id) => `#${ids.get(id) ?? id}`);
            }
        }
    }

    // Whatever a style attribute says that SVG has an attribute for.
    const KEPT = ['text-anchor', 'font-size', 'font-weight', 'dominant-baseline', 'alignment-baseline', 'display'];

    function clean(image, name) {
        image.querySelectorAll('style, script').forEach(element => element.remove());
        rename(image, name);
        for (const element of [image, ...image.querySelectorAll('*')]) {
            for (const property of KEPT) {
                const value = element.style?.getPropertyValue(property);
                if (value && !['normal', '400'].includes(value)) {
                    element.setAttribute(property, value);
                }
            }
            for (const { name: attribute } of [...element.attributes]) {
                if (/^(style|data-|font-family|name$|alignment-baseline|xmlns:xlink)/.test(attribute)) {
                    element.removeAttribute(attribute);
                }
            }
            for (const attribute of element.attributes) {
                attribute.value = rounded(attribute.value);
            }
        }
        const { width, height } = image.viewBox.baseVal;
        image.setAttribute('width', Math.round(width));
        image.setAttribute('height', Math.round(height));
        image.setAttribute('role', 'img');
        image.removeAttribute('aria-roledescription');
    }

    const drawn = [];
    try {
        for (const { name, source, narrow } of JSON.parse(document.getElementById('jobs').textContent)) {
            window.mermaid.initialize(settings(narrow));
            const { svg } = await window.mermaid.render(name, narrow ? narrowed(source) : source);
            const place = document.createElement('div');
            document.body.append(place);
            place.innerHTML = svg;
            const image = place.querySelector('svg');
            clean(image, name);
            drawn.push(image.outerHTML);
            place.remove();
        }
        document.getElementById('drawn').textContent = JSON.stringify(drawn);
    } catch (error) {
        document.getElementById('failed').textContent = String(error?.message ?? error);
    }
})();
