// Colours the listings. It stands in for highlight.js, of which mdBook brings a
// build with all its languages that is larger than the rest of a page; book.js
// calls it by the same two names. The classes are the ones of highlight.js.
//
// A language is a list of kinds, tried in order at each place. What no kind
// begins with is passed on as it is, so the text itself never changes.
window.hljs = (() => {
    'use strict';

    const keywords = words => new RegExp(`(?:${words.split(' ').join('|')})\\b`, 'y');
    const TEXT_IN_QUOTES = /"(?:\\[^]|[^"\\])*"/y;

    const rust = [
        ['comment', /\/\/.*|\/\*[^]*?\*\//y],
        ['string', /[bc]?r(#*)"[^]*?"\1/y],
        ['string', /[bc]?"(?:\\[^]|[^"\\])*"/y],
        ['string', /b?'(?:\\(?:u\{\w+\}|x\w\w|.)|[^\\'])'/y],
        ['symbol', /'\w+/y],
        ['meta', /#!?\[(?:[^\]["]|"(?:\\[^]|[^"\\])*"|\[[^\]]*\])*\]/y],
        ['number', /\d[\w]*(?:\.\d[\w]*)?/y],
        ['title', /(?<=\bfn\s+)\w+/y],
        [
            'keyword',
            keywords(
                'as async await break const continue crate dyn else enum extern false fn for if impl '
                    + 'in let loop match mod move mut pub ref return self Self static struct super trait '
                    + 'true type unsafe use where while',
            ),
        ],
        ['built_in', /\w+!(?=[([{ ])/y],
        ['type', /[A-Z]\w*|(?:[iu](?:8|16|32|64|128|size)|f32|f64|bool|char|str)\b/y],
    ];
    const toml = [
        ['comment', /#.*/y],
        ['section', /(?<=^|\n)\[.*\]/y],
        ['attr', /[\w.-]+(?=\s*=)/y],
        ['string', TEXT_IN_QUOTES],
        ['literal', keywords('true false')],
        ['number', /\d[\w:.+-]*/y],
    ];
    const sh = [
        ['comment', /(?<=^|\s)#.*/y],
        ['string', TEXT_IN_QUOTES],
        ['string', /'[^']*'/y],
        ['variable', /\$\w+/y],
    ];
    const yaml = [
        ['comment', /(?<=^|\s)#.*/y],
        ['attr', /[\w.-]+(?=:\s)/y],
        ['string', TEXT_IN_QUOTES],
        ['variable', /\$\{\{.*?\}\}/y],
    ];
    const js = [
        ['comment', /\/\/.*|\/\*[^]*?\*\//y],
        ['string', TEXT_IN_QUOTES],
        ['string', /'(?:\\[^]|[^'\\])*'|`(?:\\[^]|[^`\\])*`/y],
        ['number', /\d\w*(?:\.\d\w*)?/y],
        [
            'keyword',
            keywords(
                'async await break case catch class const continue default else export extends false '
                    + 'finally for from function if import in instanceof let new null of return static '
                    + 'super switch this throw true try typeof undefined var while yield',
            ),
        ],
        ['title', /\w+(?=\()/y],
        ['type', /[A-Z]\w*/y],
    ];
    const languages = { rust, toml, sh, yaml, js, javascript: js };
    const ORDINARY = /\w+|[^]/y;

    function part(kinds, text, at) {
        for (const [kind, pattern] of [...kinds, [null, ORDINARY]]) {
            pattern.lastIndex = at;
            const found = pattern.exec(text);
            if (found) {
                return [kind, found[0]];
            }
        }
    }

    function highlightBlock(block) {
        const name = /(?:^|\s)language-(\w+)/.exec(block.className)?.[1];
        // A block with elements in it already has a form of its own.
        if (!Object.hasOwn(languages, name) || block.childElementCount > 0) {
            return;
        }
        const text = block.textContent;
        const parts = [];
        for (let at = 0; at < text.length;) {
            const [kind, piece] = part(languages[name], text, at);
            at += piece.length;
            if (kind === null) {
                parts.push(piece);
            } else {
                const span = document.createElement('span');
                span.className = `hljs-${kind}`;
                span.textContent = piece;
                parts.push(span);
            }
        }
        block.replaceChildren(...parts);
    }

    return { configure() {}, highlightBlock };
})();
