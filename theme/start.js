// Runs before the first paint, so that nothing flashes or moves, and gives mdBook's
// own scripts what they ask for by name. What differs from page to page is in the
// attributes of its element.
const { root: path_to_root, light: default_light_theme, dark: default_dark_theme } = document.currentScript.dataset;
const default_theme = matchMedia('(prefers-color-scheme: dark)').matches ? default_dark_theme : default_light_theme;
window.playground_copyable = true;
// page.js reads the rest when the page is there.
window.page_settings = { ...document.currentScript.dataset };
if (page_settings.index) {
    window.path_to_searchindex_js = page_settings.index;
    // page.js loads these when somebody searches.
    window.search_scripts = page_settings.search.split(' ');
}

// A browser that blocks storage throws when a script only names it. The scripts get
// a storage that lasts as long as the page instead.
for (const name of ['localStorage', 'sessionStorage']) {
    try {
        window[name].getItem('');
    } catch {
        const kept = new Map();
        const storage = {
            getItem: key => kept.get(String(key)) ?? null,
            setItem: (key, value) => { kept.set(String(key), String(value)); },
            removeItem: key => { kept.delete(String(key)); },
        };
        Object.defineProperty(window, name, { value: storage, configurable: true });
    }
}

{
    const root = document.documentElement;
    const chosen = localStorage.getItem('mdbook-theme');
    root.classList.remove(default_light_theme);
    root.classList.add('js', 'arriving', [default_light_theme, default_dark_theme].includes(chosen) ? chosen : default_theme);
    const wide = matchMedia('(min-width: 1080px)').matches;
    root.classList.toggle('sidebar-visible', wide && localStorage.getItem('mdbook-sidebar') !== 'hidden');
    // layout.js does it earlier. A page whose layout.js is lost is shown, too.
    addEventListener('DOMContentLoaded', () => root.classList.remove('arriving'));
    // A reader's choice may differ from the system's. book.js keeps the first of the two up to date.
    const [colour, other] = document.querySelectorAll('meta[name="theme-color"]');
    if (root.classList.contains(default_dark_theme)) {
        colour.content = other.content;
    }
    colour.removeAttribute('media');
    other.remove();
}

// A heading that is on another page now.
if (page_settings.moved) {
    addEventListener('DOMContentLoaded', () => {
        const moved = JSON.parse(page_settings.moved)[location.hash];
        if (moved) {
            location.replace(new URL(moved, location.href).href);
        }
    });
}
