// On a page that only leads to another one: takes the place on the page along, which
// the page's `refresh` would lose.
{
    const { to, moved } = document.currentScript.dataset;
    if (location.hash) {
        const target = JSON.parse(moved)[location.hash] ?? to + location.hash;
        location.replace(new URL(target, location.href).href);
    }
}
