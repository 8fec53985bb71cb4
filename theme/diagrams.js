// Draws the page's diagrams, and loads Mermaid only where there is one.
//
// A diagram is a `figure.diagram` with a `pre.mermaid` in it. The figure says
// how large the drawing is (`--diagram-width`, `--diagram-height`), so the
// style sheet reserves its place before anything is drawn. Colours come from the
// style sheet too: a change of theme, or printing, needs no second drawing.
(() => {
    'use strict';

    const sources = Array.from(document.querySelectorAll('pre.mermaid'));
    // The print page waits for this before it opens the printer's dialogue.
    let done;
    window.diagramsDrawn = new Promise(resolve => { done = resolve; });
    if (sources.length === 0) {
        done();
        return;
    }

    // Everything that has a colour, in terms of the style sheet's variables.
    // Mermaid prefixes these rules with the drawing's own id.
    const colours = `
        text, tspan, .nodeLabel, .edgeLabel, .label text
            { fill: var(--fg) !important; color: var(--fg) !important; }
        rect.actor, .labelBox, .node rect, .node .basic
            { fill: var(--diagram-box) !important; stroke: var(--diagram-line) !important; }
        .actor-line, .loopLine, rect.rect
            { stroke: var(--diagram-faint) !important; }
        rect.rect { stroke-width: 0 !important; }
        .messageLine0, .messageLine1, .transition, path.edge-thickness-normal
            { stroke: var(--diagram-line) !important; stroke-width: 1.4px !important; }
        rect.note { fill: var(--diagram-note) !important; stroke: var(--diagram-faint) !important; }
        marker path, marker circle
            { fill: var(--diagram-line) !important; stroke: var(--diagram-line) !important; }
        .edgeLabel rect, .labelBkg, .edgeLabel .background, rect.background
            { fill: var(--bg) !important; opacity: 1 !important; }
        .edgeLabel, .edgeLabel *, .labelBkg { background-color: var(--bg) !important; }
        circle.state-start { fill: var(--diagram-line) !important; stroke: var(--diagram-line) !important; }
        text.actor { font-weight: 500 !important; }
        .loopText, .labelText { font-weight: 600 !important; }
    `;
    const font = getComputedStyle(document.body).fontFamily;

    async function draw(source, index) {
        const { svg } = await window.mermaid.render(`drawing-${index}`, source.textContent);
        const drawing = document.createElement('div');
        drawing.className = 'drawing';
        drawing.innerHTML = svg;
        const image = drawing.querySelector('svg');
        // One image with a name, a description and, below it, the same in words.
        image.setAttribute('role', 'img');
        image.removeAttribute('aria-roledescription');
        image.removeAttribute('style');
        image.removeAttribute('width');
        image.removeAttribute('height');
        source.before(drawing);
        source.hidden = true;
        window.markScrollable?.(drawing);
    }

    // Without a drawing the reader gets the text that it would be made from, and
    // the same in words.
    function showText() {
        for (const source of sources) {
            if (!source.hidden) {
                const figure = source.closest('figure');
                figure?.classList.add('as-text');
                figure?.querySelector('details')?.setAttribute('open', '');
                window.markScrollable?.(source);
            }
        }
    }

    const script = document.createElement('script');
    script.src = `${path_to_root}mermaid.min.js`;
    script.onload = async () => {
        window.mermaid.initialize({
            startOnLoad: false,
            securityLevel: 'strict',
            deterministicIds: true,
            htmlLabels: false,
            theme: 'base',
            fontFamily: font,
            themeCSS: colours,
            sequence: {
                width: 84,
                height: 46,
                actorMargin: 10,
                boxMargin: 9,
                boxTextMargin: 4,
                noteMargin: 8,
                messageMargin: 28,
                diagramMarginX: 6,
                diagramMarginY: 6,
                mirrorActors: true,
                actorFontSize: 13,
                noteFontSize: 13,
                messageFontSize: 13,
                actorFontFamily: font,
                noteFontFamily: font,
                messageFontFamily: font,
                useMaxWidth: false,
            },
            flowchart: { htmlLabels: false },
            state: { useMaxWidth: false },
        });
        try {
            for (const [index, source] of sources.entries()) {
                await draw(source, index);
            }
        } catch (error) {
            console.error('A diagram could not be drawn:', error);
        }
        showText();
        done();
    };
    script.onerror = () => {
        showText();
        done();
    };
    document.head.append(script);
})();
