//! SVG to pixels, by the crate resvg and a font that is part of the binary.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::{Error, Result};

/// A font that is there on every machine; what it lacks is taken from the machine's own.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let ours = fonts.faces().next().and_then(|face| face.families.first()).map(|(name, _)| name.clone());
    fonts.load_system_fonts();
    // After the machine's own, which would set it to whatever its configuration names, there or not.
    if let Some(family) = ours {
        fonts.set_sans_serif_family(family);
    }
    Arc::new(fonts)
});

pub(super) fn render(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let failed = |why: String| Error::Run(format!("a picture cannot be drawn as PNG: {why}"));
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| failed(error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(scale).ok_or_else(|| failed("it is empty".to_owned()))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| failed("it is too large".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(error.to_string()))
}
