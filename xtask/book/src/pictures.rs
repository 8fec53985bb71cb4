//! The pictures of the book.
//!
//! A page names only the light picture. The renderer `site` puts the dark one beside it, and writes
//! the size of both, so that the page does not move when a picture arrives.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::files::root;

/// A page with each picture in light and in dark. The style sheet shows one of the two, and a
/// browser loads no lazy picture that is not shown. mdBook's link around a picture, which enlarges
/// it to the window, is removed: these pictures are at full size.
pub fn placed(page: &str) -> Result<String> {
    const BEGIN: &str = "<label class=\"checkbox-label\">";
    let mut parts = page.split(BEGIN);
    let mut placed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let image = part.split_once("<img src=\"").and_then(|(_, rest)| {
            let (source, rest) = rest.split_once('"')?;
            let (path, name) = source.strip_suffix(".webp")?.rsplit_once('/')?;
            let words = rest.split_once("alt=\"")?.1.split_once('"')?.0;
            path.ends_with("pictures").then_some((path, name, words))
        });
        let Some((path, name, words)) = image else {
            placed.push_str(BEGIN);
            placed.push_str(part);
            continue;
        };
        let files = match name.strip_suffix("-light") {
            Some(name) => Vec::from(["light", "dark"].map(|scheme| {
                let class = format!("class=\"in-{scheme}\" ");
                (class, format!("{name}-{scheme}.webp"))
            })),
            // The picture looks the same in light and in dark, so it is one file.
            None => vec![(String::new(), format!("{name}.webp"))],
        };
        for (class, file) in files {
            let [width, height] = size(&root().join("src/pictures").join(&file))?;
            placed.push_str(&format!(
                "<img {class}src=\"{path}/{file}\" alt=\"{words}\" width=\"{width}\" \
                 height=\"{height}\" loading=\"lazy\" decoding=\"async\">"
            ));
        }
        let (_, after) = part
            .split_once("</label>")
            .context("a picture without an end")?;
        placed.push_str(after);
    }
    Ok(placed)
}

/// Width and height of a WebP in the extended format, as Chromium writes it:
/// <https://www.rfc-editor.org/rfc/rfc9649.html#section-2.7>
fn size(file: &Path) -> Result<[u32; 2]> {
    let what = || format!("{}: not a picture as Chromium writes it", file.display());
    let bytes = fs::read(file).with_context(what)?;
    let head = bytes.get(..30).filter(|it| &it[8..16] == b"WEBPVP8X");
    let head = head.with_context(what)?;
    Ok([24, 27].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], 0]) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_there_in_light_and_in_dark_with_its_size_and_the_same_words() {
        let page = "<p><label class=\"checkbox-label\"><input class=\"checkbox-img\"><img \
                    src=\"../pictures/issue-light.webp\" alt=\"An issue\"><span><img \
                    src=\"../pictures/issue-light.webp\" alt=\"An issue\"></span></label></p>\
                    <label class=\"checkbox-label\"><img src=\"a.png\"></label>";
        let placed = placed(page).unwrap();
        let images: Vec<&str> = placed.split("<img ").skip(1).collect();
        assert_eq!(images.len(), 3);
        for (image, scheme) in images.iter().zip(["light", "dark"]) {
            let begin = format!(
                "class=\"in-{scheme}\" src=\"../pictures/issue-{scheme}.webp\" alt=\"An issue\" width=\""
            );
            assert!(image.starts_with(&begin), "{image}");
            assert!(image.contains("loading=\"lazy\""), "{image}");
        }
        assert!(
            placed.ends_with("</p><label class=\"checkbox-label\"><img src=\"a.png\"></label>")
        );
    }
}
